// Predictions of every node, their counts over all ranks, and the files that rank 0 writes.
#include "worker/trainer/evaluate.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/graph/array_file.h"
#include "worker/trainer/batch_pipeline.h"
#include "worker/trainer/forward.h"
#include "worker/trainer/layerwise.h"
#include "worker/trainer/models/registry.h"

namespace gnnflow {
namespace {

constexpr int64_t kPredictionsAtOnce = int64_t{1} << 20;
constexpr int64_t kSampledStep = -2;  // in the key of a sampled evaluation; -1 scores validation

class Evaluation {
 public:
  explicit Evaluation(const EvaluateJob& job) : job_(job), group_(job.group) {}
  Result<Json> run();

 private:
  Status load_model();
  Result<std::vector<int32_t>> sampled_predictions();
  Result<Json> count(std::span<const int32_t> predictions);
  Status write_predictions(std::span<const int32_t> own);

  const EvaluateJob& job_;
  RankGroup& group_;
  Checkpoint checkpoint_;
  Products products_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Weights> weights_;
  std::optional<NodeOwners> owners_;
};

Status Evaluation::load_model() {
  CheckpointFiles files;
  if (group_.rank() == 0) {
    std::error_code error;
    const fs::path best = job_.model / "best";
    TRY(files, read_checkpoint_files(fs::exists(best / "checkpoint.json", error) ? best : job_.model));
  }
  TRY(files, group_.broadcast(std::move(files), "model"));
  TRY(checkpoint_, decode_checkpoint(files, job_.model.empty() ? "the model" : job_.model.string()));
  const ModelShape shape = job_.graph.shape();
  if (checkpoint_.shape.inputs != shape.inputs || checkpoint_.shape.classes != shape.classes) {
    return Error{Cause::bad_data, fmt::format("the model has {} features and {} classes, the graph {} and {}",
                                              checkpoint_.shape.inputs, checkpoint_.shape.classes,
                                              shape.inputs, shape.classes)};
  }
  TRY(model_, make_model(checkpoint_.model, shape));
  weights_ = std::make_unique<Weights>(model_->parameters());
  if (weights_->values().size() != checkpoint_.weights.size()) {
    return Error{Cause::bad_data, "the checkpoint's weights do not fit its model"};
  }
  std::copy(checkpoint_.weights.begin(), checkpoint_.weights.end(), weights_->values().begin());
  TRY(products_, Products::from_json(checkpoint_.products, "checkpoint"));
  model_->bind(weights_->views(), &products_);
  return {};
}

Result<std::vector<int32_t>> Evaluation::sampled_predictions() {
  const torch::NoGradGuard no_grad;
  LoaderOptions options;
  options.fanout = checkpoint_.fanout;
  if (model_->uses_neighbours()) options.table = job_.graph.table();
  options.columns = checkpoint_.shape.inputs;
  options.node_count = job_.graph.node_count();
  BatchLoader loader(job_.source, options);
  SeedPass pass;
  pass.bounds.push_back(0);
  for (int64_t i = 0; i < owners_->own_count(); ++i) {
    pass.nodes.push_back(static_cast<int32_t>(owners_->own_node(i)));
    if (i + 1 == owners_->own_count() || (i + 1) % checkpoint_.batch == 0) pass.bounds.push_back(i + 1);
  }
  pass.labels.resize(pass.nodes.size());
  BatchPipeline::Spares spares;
  BatchPipeline pipeline(
      loader, {&pass, checkpoint_.seed, checkpoint_.epoch, BatchPipeline::Pass::kOneKey, kSampledStep, false},
      spares);
  std::vector<int32_t> predictions;
  for (int64_t i = 0; i < pass.steps(); ++i) {
    if (job_.stop != nullptr && job_.stop->raised())
      return Error{job_.stop->cause(), "evaluation was stopped"};
    TRY(auto batch, pipeline.next());
    TRY(const auto scores, forward(*model_, loader.options(), *batch, false));
    const auto some = predictions_of(scores);
    predictions.insert(predictions.end(), some.begin(), some.end());
    pipeline.give_back(std::move(batch));
    if (group_.rank() == 0) job_.reports.progress({"sampled", i + 1, pass.steps(), "batches", ""});
  }
  return predictions;
}

// Exact sums over ranks: per split correct and total, and for the asked split hits, predictions and labels
// per class.
Result<Json> Evaluation::count(std::span<const int32_t> predictions) {
  const int64_t classes = checkpoint_.shape.classes;
  auto sums = torch::zeros({6 + 3 * classes}, torch::kInt64);
  auto* values = sums.data_ptr<int64_t>();
  for (const SplitName name : {SplitName::train, SplitName::val, SplitName::test}) {
    const auto at = 2 * static_cast<int>(name);
    const bool asked = job_.options.split == kSplitNames[static_cast<size_t>(name)];
    for (const int32_t node : job_.graph.split_of_own(name)) {
      const int64_t label = job_.graph.label(node);
      if (label < 0) continue;
      TRY(const int32_t checked, checked_label(job_.graph, node, label));
      const int32_t predicted = predictions[static_cast<size_t>(owners_->own_position(node))];
      values[at] += predicted == checked ? 1 : 0;
      values[at + 1] += 1;
      if (!asked) continue;
      values[6 + 3 * checked] += predicted == checked ? 1 : 0;
      values[6 + 3 * predicted + 1] += 1;
      values[6 + 3 * checked + 2] += 1;
    }
  }
  TRY(group_.sum(sums, "counts"));
  Json metrics;
  for (size_t name = 0; name < 3; ++name) {
    const int64_t correct = values[2 * name], total = values[2 * name + 1];
    if (total == 0) continue;
    Json split;
    split["correct"] = correct;
    split["total"] = total;
    split["accuracy"] = static_cast<double>(correct) / static_cast<double>(total);
    metrics["splits"][kSplitNames[name]] = split;
    if (job_.options.split != kSplitNames[name]) continue;
    metrics["accuracy"] = split["accuracy"];
    metrics["correct"] = correct;
    metrics["total"] = total;
  }
  if (!metrics.has("accuracy")) {
    return Error{Cause::bad_data,
                 fmt::format("the graph has no labelled nodes in split '{}'", job_.options.split)};
  }
  double f1 = 0;
  int64_t present = 0, largest = 0;
  for (int64_t c = 0; c < classes; ++c) {
    const int64_t* counts = values + 6 + 3 * c;
    if (counts[1] + counts[2] == 0) continue;
    f1 += 2.0 * static_cast<double>(counts[0]) / static_cast<double>(counts[1] + counts[2]);
    ++present;
    largest = std::max(largest, counts[2]);
  }
  metrics["majority"] = static_cast<double>(largest) / static_cast<double>(metrics.get("total").integer());
  metrics["macro_f1"] = f1 / static_cast<double>(present);
  metrics["split"] = job_.options.split;
  metrics["how"] = job_.options.how == EvaluateHow::full ? "full" : "sampled";
  metrics["epoch"] = checkpoint_.epoch;
  metrics["nodes"] = job_.graph.node_count();
  return metrics;
}

// Each rank's predictions go to rank 0, a piece at a time, in the order of its ranges.
Status Evaluation::write_predictions(std::span<const int32_t> own) {
  TRY(const auto counts, group_.gather(static_cast<int64_t>(own.size()), "numbers of predictions"));
  const int64_t most = *std::max_element(counts.begin(), counts.end());
  std::vector<int32_t> all(group_.rank() == 0 ? static_cast<size_t>(job_.graph.node_count()) : 0);
  std::vector<std::vector<int32_t>> received(static_cast<size_t>(group_.ranks()));
  for (int64_t begin = 0; begin < most; begin += kPredictionsAtOnce) {
    const auto first = std::min(begin, static_cast<int64_t>(own.size()));
    const auto last = std::min(begin + kPredictionsAtOnce, static_cast<int64_t>(own.size()));
    std::vector<int64_t> to(static_cast<size_t>(group_.ranks()), 0);
    to[0] = last - first;
    const auto piece =
        torch::from_blob(const_cast<int32_t*>(own.data()) + first, {last - first}, torch::kInt32);
    TRY(const auto in, group_.exchange(piece.clone(), to, "predictions"));
    const auto* at = in.rows.data_ptr<int32_t>();
    for (size_t rank = 0; rank < in.counts.size(); ++rank) {
      received[rank].insert(received[rank].end(), at, at + in.counts[rank]);
      at += in.counts[rank];
    }
  }
  if (group_.rank() != 0) return {};
  for (size_t rank = 0; rank < received.size(); ++rank) {
    size_t next = 0;
    for (const NodeRange& range : owners_->ranges_of(static_cast<int>(rank))) {
      for (int64_t node = range.begin; node < range.end; ++node) {
        all[static_cast<size_t>(job_.graph.original(node))] = received[rank][next++];
      }
    }
  }
  TRY(write_array<int32_t>(job_.output, "predictions.npy", Dtype::i4, {job_.graph.node_count()}, all));
  return {};
}

Result<Json> Evaluation::run() {
  TRY(load_model());
  TRY(owners_, NodeOwners::make(job_.graph, group_));
  std::vector<int32_t> predictions;
  if (job_.options.how == EvaluateHow::full) {
    TRY(const auto scores, layerwise_scores(*model_, job_, *owners_));
    predictions = predictions_of(scores);
  } else {
    TRY(predictions, sampled_predictions());
  }
  TRY(Json metrics, count(predictions));
  if (group_.rank() == 0) {
    TRY(remove_tree(job_.output));
    TRY(create_folders(job_.output));
  }
  TRY(write_predictions(predictions));
  if (group_.rank() == 0) {
    TRY(write_file_atomically(job_.output / "metrics.json", metrics.dump_pretty() + "\n"));
    job_.reports.metrics(metrics);
  }
  return metrics;
}

}  // namespace

Result<Json> evaluate(const EvaluateJob& job) {
  try {
    return Evaluation(job).run();
  } catch (const std::bad_alloc&) {
    return Error{Cause::no_resources, "not enough memory to evaluate"};
  } catch (const c10::Error& error) {
    return Error{Cause::failed, fmt::format("libtorch: {}", error.what_without_backtrace())};
  }
}

}  // namespace gnnflow
