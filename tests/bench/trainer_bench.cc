// The training step of a 3-layer GraphSAGE over its floor: products alone, leaf sums alone and sampling
// alone, measured in the same run. Prints one JSON object that says where the rest goes.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include <sys/resource.h>
#include <unistd.h>

#include "common/base/json.h"
#include "common/graph/graph_dir.h"
#include "tests/bench/bench_graph.h"
#include "worker/trainer/environment.h"
#include "worker/trainer/forward.h"
#include "worker/trainer/models/registry.h"
#include "worker/trainer/train_step.h"

namespace gnnflow::bench {
namespace {

constexpr int64_t kNodes = 245'000, kColumns = 100, kClasses = 47, kHidden = 256, kBatchSize = 1024;
constexpr int kWarmUp = 6, kSteps = 40, kThreads = 2;

template <typename T>
T must(Result<T> result) {
  if (result) return std::move(result).value();
  std::fprintf(stderr, "trainer_bench: %s\n", result.error().message.c_str());
  std::exit(exit_code(result.error().cause));
}
void must(const Status& status) {
  if (status) return;
  std::fprintf(stderr, "trainer_bench: %s\n", status.error().message.c_str());
  std::exit(exit_code(status.error().cause));
}

// A graph in memory behind the interface of all graphs.
class MemorySource final : public GraphSource {
 public:
  MemorySource() : graph_(kNodes), features_(kNodes * kColumns * sizeof(float)) {
    float* values = features_.as<float>();
    for (int64_t i = 0; i < kNodes * kColumns; ++i) {
      values[i] = static_cast<float>(unit_of(draw(1, static_cast<uint64_t>(i)))) - 0.5f;
    }
  }
  Status neighbours(const NeighbourRequest& request, Neighbours& out) override {
    out.sources.clear();
    out.offsets.clear();
    out.offsets.push_back(0);
    return draw_rows(graph_.view(), request.layer_key, request.fanout, request.nodes, 0, out.offsets,
                     out.sources);
  }
  Status rows(std::string_view, std::span<const int32_t> nodes, float* out, int64_t stride) override {
    kernels().gather(table(), nodes, out, stride);
    return {};
  }
  SourceCounters take_counters() override { return {}; }
  RowTable table() const {
    return {reinterpret_cast<const std::byte*>(features_.as<float>()), kNodes, kColumns, RowType::f32};
  }

 private:
  BenchGraph graph_;
  HugeMemory features_;
};

SeedPass seed_pass(int steps) {
  SeedPass pass;
  pass.bounds.push_back(0);
  for (int step = 0; step < steps; ++step) {
    const int64_t stripe = kNodes / kBatchSize;
    for (int64_t i = 0; i < kBatchSize; ++i) {
      const uint64_t word = draw(static_cast<uint64_t>(step) + 7, static_cast<uint64_t>(i));
      pass.nodes.push_back(static_cast<int32_t>(
          i * stripe + static_cast<int64_t>(below(word, static_cast<uint64_t>(stripe)))));
      pass.labels.push_back(static_cast<int32_t>(word % kClasses));
    }
    pass.bounds.push_back(static_cast<int64_t>(pass.nodes.size()));
  }
  return pass;
}

template <typename Work>
double best_seconds(int times, Work work) {
  double best = 1e9;
  for (int i = 0; i < times; ++i) {
    const double start = seconds_now();
    work();
    best = std::min(best, seconds_now() - start);
  }
  return best;
}

double products_alone(const Products& products, std::span<const ProductShape> shapes) {
  double total = 0;
  for (size_t layer = 0; layer < shapes.size(); ++layer) {
    const ProductShape& s = shapes[layer];
    const auto x = torch::rand({s.rows, s.inputs}), w = torch::rand({s.outputs, s.inputs}),
               g = torch::rand({s.rows, s.outputs});
    auto out = torch::empty({s.rows, s.outputs}), gw = torch::empty_like(w), gx = torch::empty_like(x);
    const auto at = [](const torch::Tensor& tensor) { return tensor.data_ptr<float>(); };
    total += best_seconds(6, [&] { products.forward(at(x), at(w), at(out), s); });
    total += best_seconds(6, [&] { products.weights(at(g), at(x), at(gw), s); });
    if (layer > 0) total += best_seconds(6, [&] { products.inputs(at(g), at(w), at(gx), s); });
  }
  return total;
}

double leaf_sums_alone(const RowTable& table, const Block& block) {
  auto out = torch::empty({block.destinations(), 2 * kColumns});
  float* rows = out.data_ptr<float>();
  return best_seconds(6, [&] {
    at::parallel_for(0, block.destinations(), 256, [&](int64_t begin, int64_t end) {
      const auto offsets =
          block.offsets.span().subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin) + 1);
      kernels().sum(table, offsets, block.sources.span(), true, rows + begin * 2 * kColumns, 2 * kColumns);
    });
  });
}

int64_t page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

Json run() {
  set_compute_threads(kThreads);
  MemorySource source;
  Json options;
  options["kind"] = "sage";
  options["layers"] = 3;
  options["hidden"] = kHidden;
  options["dropout"] = 0.5;
  const auto model = must(make_model(options, {kColumns, kClasses}));
  Weights weights(model->parameters(), TrainStep::kBeside);
  weights.initialise(1);

  LoaderOptions loader_options;
  loader_options.fanout = {15, 10, 5};
  loader_options.table = source.table();
  loader_options.columns = kColumns;
  loader_options.node_count = kNodes;
  BatchLoader loader(source, loader_options);
  const SeedPass pass = seed_pass(kWarmUp + kSteps);

  PreparedBatch one;
  const auto seeds = std::span(pass.nodes).first(kBatchSize);
  int64_t edges = 0;
  const double sampling = best_seconds(10, [&] { must(loader.load({1, 0, 0}, seeds, false, one)); });
  std::vector<int64_t> destinations;
  for (const Block& block : one.batch.blocks) {
    destinations.push_back(block.destinations());
    edges += block.edge_count();
  }
  const auto shapes = model->products(destinations);
  const Products products = Products::choose(shapes);
  model->bind(weights.views(), &products);
  const double product_seconds = products_alone(products, shapes);
  const double sum_seconds = leaf_sums_alone(source.table(), one.batch.blocks[0]);

  const auto group = must(RankGroup::make({}, nullptr));
  OptimizerSettings settings;
  OptimizerState state;
  TrainStep step(*model, weights, settings, state, *group);
  BatchPipeline::Spares spares;
  double start = 0, stall = 0, sample = 0, slowest = 0;
  std::vector<double> times;
  int64_t faults = 0;
  {
    BatchPipeline pipeline(loader, {&pass, 1, 1, 0, 0, true}, spares);
    for (int i = 0; i < kWarmUp + kSteps; ++i) {
      if (i == kWarmUp) {
        start = seconds_now();
        stall = pipeline.stall_seconds();
        faults = page_faults();
        (void)step.take_timers();
      }
      const double begin = seconds_now();
      auto batch = must(pipeline.next());
      if (i >= kWarmUp) sample += batch->sample_seconds;
      must(step.run(*batch, loader.options()));
      pipeline.give_back(std::move(batch));
      if (i >= kWarmUp) times.push_back(seconds_now() - begin);
    }
    stall = pipeline.stall_seconds() - stall;
  }
  const double mean = (seconds_now() - start) / kSteps;
  faults = page_faults() - faults;
  slowest = *std::max_element(times.begin(), times.end());
  std::sort(times.begin(), times.end());
  const double floor = product_seconds + sum_seconds + sampling;
  const StepTimers timers = step.take_timers();
  const auto ms = [](double seconds) { return std::round(seconds * 1e5) / 100; };

  Json json;
  json["benchmark"] = "trainer";
  json["shape"] = "3-layer sage, hidden 256, batch 1024, fan-out 15,10,5, 100 features, 47 classes, f32";
  json["threads"] = kThreads;
  json["kernels"] = kernels().name;
  json["edges"] = edges;
  json["leaf_destinations"] = destinations[0];
  json["step_ms"] = ms(mean);
  json["step_median_ms"] = ms(times[times.size() / 2]);
  json["step_slowest_ms"] = ms(slowest);
  json["floor_ms"]["products"] = ms(product_seconds);
  json["floor_ms"]["leaf_sums"] = ms(sum_seconds);
  json["floor_ms"]["sampling"] = ms(sampling);
  json["floor_ms"]["all"] = ms(floor);
  json["step_over_floor"] =
      std::round(times[times.size() / 2] / floor * 1000) / 1000;  // the median: neighbours on the machine
  json["limit"] = 2.5;
  json["part_ms"]["forward"] = ms(timers.forward / kSteps);
  json["part_ms"]["backward"] = ms(timers.backward / kSteps);
  json["part_ms"]["update"] = ms(timers.update / kSteps);
  json["part_ms"]["waiting_for_batch"] = ms(stall / kSteps);
  json["part_ms"]["sampling_beside"] = ms(sample / kSteps);
  json["page_faults_per_step"] = faults / kSteps;
  return json;
}

}  // namespace
}  // namespace gnnflow::bench

// As a daemon starts trainers: OpenMP reads its policy before main.
int main(int, char** words) {
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) {
    setenv("OMP_WAIT_POLICY", "passive", 1);
    execv("/proc/self/exe", words);
  }
  gnnflow::keep_freed_memory();
  std::printf("%s\n", gnnflow::bench::run().dump_pretty().c_str());
}
