// The loader's thread.
#include "worker/trainer/batch_pipeline.h"

#include <fmt/format.h>

#include "common/graph/graph_dir.h"

namespace gnnflow {
namespace {

SampleOptions sample_options(const LoaderOptions& options) {
  return {options.fanout, std::string(kRelation), !options.table.has_value()};
}

}  // namespace

BatchLoader::BatchLoader(GraphSource& source, LoaderOptions options)
    : source_(source),
      options_(std::move(options)),
      sampler_(
          sample_options(options_), options_.node_count,
          [this](uint64_t layer_key, int fanout, std::span<const int32_t> nodes, Block& block) -> Status {
            TRY(source_.neighbours({kRelation, layer_key, fanout, nodes}, drawn_));
            block.offsets.swap(drawn_.offsets);
            block.sources.swap(drawn_.sources);
            return {};
          }) {}

Status BatchLoader::load(const BatchKey& key, std::span<const int32_t> seeds, bool with_originals,
                         PreparedBatch& batch) {
  const auto start = std::chrono::steady_clock::now();
  batch.key = key;
  TRY(sampler_.sample(key, seeds, batch.batch));
  const size_t layers = std::max<size_t>(batch.batch.blocks.size(), 1);
  batch.originals.resize(layers);
  for (size_t layer = 0; layer < layers; ++layer) {
    auto& originals = batch.originals[layer];
    originals.clear();
    if (!with_originals) continue;
    const auto nodes = batch.batch.blocks.empty() ? batch.batch.seeds() : batch.batch.nodes[layer + 1].span();
    originals.resize(nodes.size());
    const bool mapped = options_.originals.size() > 0;
    for (size_t i = 0; i < nodes.size(); ++i) originals[i] = mapped ? options_.originals[nodes[i]] : nodes[i];
  }
  batch.sample_seconds = seconds_since(start);
  const auto fetch = std::chrono::steady_clock::now();
  batch.rows.clear();
  if (!options_.table) {
    const auto inputs = batch.batch.inputs();
    batch.rows.resize(inputs.size() * static_cast<size_t>(options_.columns));
    if (!inputs.empty()) TRY(source_.rows(kNodeType, inputs, batch.rows.data(), options_.columns));
  }
  batch.fetch_seconds = seconds_since(fetch);
  return {};
}

BatchPipeline::BatchPipeline(BatchLoader& loader, const Pass& pass, Spares& spares)
    : loader_(loader),
      pass_(pass),
      spares_(spares),
      ready_(loader.options().ahead),
      empty_(loader.options().ahead + 2) {
  for (size_t i = 0; i < loader.options().ahead + 1; ++i) {
    auto batch = std::make_unique<PreparedBatch>();
    if (!spares_.empty()) {
      batch = std::move(spares_.back());
      spares_.pop_back();
    }
    empty_.push(std::move(batch));
  }
  thread_ = std::jthread([this] { work(); });
}

BatchPipeline::~BatchPipeline() {
  ready_.close();
  empty_.close();
  thread_.join();
  while (auto batch = empty_.pop(Milliseconds(0))) spares_.push_back(std::move(*batch));
}

void BatchPipeline::work() {
  for (int64_t i = 0; i < pass_.seeds->steps(); ++i) {
    std::optional<std::unique_ptr<PreparedBatch>> batch;
    while (!batch) {
      if (empty_.finished()) return;
      batch = empty_.pop(Milliseconds(1000));
    }
    const auto begin = static_cast<size_t>(pass_.seeds->bounds[static_cast<size_t>(i)]);
    const auto count = static_cast<size_t>(pass_.seeds->bounds[static_cast<size_t>(i) + 1]) - begin;
    const int64_t step = pass_.first_step == Pass::kOneKey ? pass_.step : pass_.first_step + i;
    const auto seeds = std::span(pass_.seeds->nodes).subspan(begin, count);
    (*batch)->labels = std::span(pass_.seeds->labels).subspan(begin, count);
    Status loaded = loader_.load({pass_.seed, pass_.epoch, step}, seeds, pass_.training, **batch);
    if (!loaded) {
      ready_.push(std::move(loaded).error());
      return;
    }
    if (!ready_.push(std::move(*batch))) return;
  }
}

Result<std::unique_ptr<PreparedBatch>> BatchPipeline::next() {
  const auto start = std::chrono::steady_clock::now();
  while (true) {
    auto batch = ready_.pop(Milliseconds(1000));
    if (!batch) continue;  // the loader's own deadlines end its waits
    stall_seconds_ += seconds_since(start);
    return std::move(*batch);
  }
}

void BatchPipeline::give_back(std::unique_ptr<PreparedBatch> batch) { empty_.push(std::move(batch)); }

}  // namespace gnnflow
