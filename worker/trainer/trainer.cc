// The epochs of one rank.
#include "worker/trainer/trainer.h"

#include <chrono>

#include <fmt/format.h>

#include "common/base/digest.h"
#include "common/base/log.h"
#include "worker/trainer/batch_pipeline.h"
#include "worker/trainer/forward.h"
#include "worker/trainer/models/registry.h"
#include "worker/trainer/optimizers.h"
#include "worker/trainer/seed_schedule.h"
#include "worker/trainer/train_step.h"

namespace gnnflow {
namespace {

constexpr int64_t kScoreStep = -1;  // in the key of scores

Json to_json(const StepTimers& step, double sample, double fetch, double stall) {
  Json json;
  json["sample"] = sample;
  json["fetch"] = fetch;
  json["forward"] = step.forward;
  json["backward"] = step.backward;
  json["reduce"] = step.reduce;
  json["update"] = step.update;
  json["stall"] = stall;
  return json;
}

class Training {
 public:
  explicit Training(const TrainJob& job) : job_(job), options_(job.options), group_(job.group) {}

  Result<Json> run() {
    TRY(prepare());
    TRY(resume());
    while (state_.epoch < options_.epochs && !stopped_early()) TRY(run_epoch(state_.epoch + 1));
    return finish();
  }

 private:
  Status prepare();
  Status choose_products();
  Status resume();
  Status adopt(Checkpoint checkpoint);
  bool stopped_early() const;
  Status run_epoch(int64_t epoch);
  Result<StepSums> train_pass(int64_t epoch);
  Result<StepSums> score(int64_t epoch);
  Status compare_weights(int64_t epoch);
  Status keep_checkpoint();
  Result<Json> finish();
  Status check_stop() const;
  void report_batch(int64_t epoch, int64_t done, const StepSums& sums);

  const TrainJob& job_;
  const TrainOptions& options_;
  RankGroup& group_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Weights> weights_;
  Products products_;
  std::optional<SeedSchedule> schedule_;
  std::optional<SeedPass> validation_;
  std::unique_ptr<BatchLoader> loader_;
  BatchPipeline::Spares spares_;
  Checkpoint state_;  // weights in it are stale but while it is written
  std::optional<TrainStep> step_;
  double sample_seconds_ = 0, fetch_seconds_ = 0, stall_seconds_ = 0;
};

Status Training::check_stop() const {
  if (job_.stop != nullptr && job_.stop->raised()) return Error{job_.stop->cause(), "training was stopped"};
  return {};
}

Status Training::prepare() {
  const ModelShape shape = job_.graph.shape();
  TRY(model_, make_model(options_.model, shape));
  const int layers = model_->layers();
  std::vector<int> fanout = options_.sample.fanout;
  if (!model_->uses_neighbours()) {
    fanout.clear();
  } else if (fanout.empty()) {
    return Error{Cause::bad_workflow,
                 fmt::format("model '{}' needs `sample: {{ fanout: [...] }}` with {} numbers",
                             options_.model.text_or("kind", ""), layers)};
  } else if (static_cast<int>(fanout.size()) != layers) {
    return Error{Cause::bad_workflow,
                 fmt::format("fanout has {} numbers, but the model has {} layers", fanout.size(), layers)};
  }
  weights_ = std::make_unique<Weights>(model_->parameters(), TrainStep::kBeside);
  weights_->initialise(options_.seed);
  TRY(schedule_, SeedSchedule::make(job_.graph, options_.sample, options_.seed, group_));
  TRY(validation_, schedule_->validation());

  LoaderOptions loader;
  loader.fanout = fanout;
  if (model_->uses_neighbours()) loader.table = job_.graph.table();
  loader.columns = shape.inputs;
  loader.node_count = job_.graph.node_count();
  loader.originals = job_.graph.originals();
  loader_ = std::make_unique<BatchLoader>(job_.source, loader);

  state_.model = options_.model;
  state_.options = options_.resume_identity();
  state_.fanout = fanout;
  state_.batch = options_.sample.batch;
  state_.seed = options_.seed;
  state_.shape = shape;
  state_.parameters = model_->parameters();
  state_.machine = machine_of(job_.threads, group_.ranks());
  return {};
}

Status Training::choose_products() {
  Json chosen;
  if (group_.rank() == 0) {
    const auto rows =
        expected_destinations(*model_, state_.fanout, options_.sample.batch, job_.graph.node_count());
    chosen = Products::choose(model_->products(rows)).to_json();
  }
  TRY(const std::string text, group_.broadcast(chosen.dump(), "choice of libraries"));
  TRY(state_.products, Json::parse(text));
  return {};
}

Status Training::resume() {
  CheckpointFiles files;
  if (group_.rank() == 0 && !job_.resume.empty()) {
    TRY(files, read_checkpoint_files(job_.resume));
  }
  TRY(files, group_.broadcast(std::move(files), "checkpoint"));
  if (files.empty()) {
    TRY(choose_products());
  } else {
    TRY(auto checkpoint,
        decode_checkpoint(files, job_.resume.empty() ? "the checkpoint" : job_.resume.string()));
    TRY(adopt(std::move(checkpoint)));
  }
  TRY(products_, Products::from_json(state_.products, "checkpoint"));
  model_->bind(weights_->views(), &products_);
  step_.emplace(*model_, *weights_, options_.optimizer, state_.optimizer, group_);
  return {};
}

Status Training::adopt(Checkpoint checkpoint) {
  const auto refuse = [](std::string what) {
    return Error{Cause::bad_data, "the checkpoint to resume from does not fit: " + std::move(what)};
  };
  if (checkpoint.options != state_.options) {
    return refuse(fmt::format("it was made with options {}, these are {}", checkpoint.options.dump(),
                              state_.options.dump()));
  }
  if (checkpoint.shape.inputs != state_.shape.inputs || checkpoint.shape.classes != state_.shape.classes ||
      checkpoint.weights.size() != weights_->values().size()) {
    return refuse(fmt::format("it has {} features and {} classes, the graph {} and {}",
                              checkpoint.shape.inputs, checkpoint.shape.classes, state_.shape.inputs,
                              state_.shape.classes));
  }
  if (checkpoint.machine != state_.machine && group_.rank() == 0) {
    log_warning("the checkpoint was made on {}, this is {}: weights will be equal only within rounding",
                checkpoint.machine.dump(), state_.machine.dump());
  }
  const Json machine = state_.machine;
  const auto parameters = state_.parameters;
  state_ = std::move(checkpoint);
  state_.machine = machine;
  state_.parameters = parameters;
  std::copy(state_.weights.begin(), state_.weights.end(), weights_->values().begin());
  if (group_.rank() == 0) log_info("going on after epoch {} (step {})", state_.epoch, state_.step);
  return {};
}

bool Training::stopped_early() const {
  return options_.early_stop.patience > 0 && state_.best_epoch > 0 &&
         state_.epoch - state_.best_epoch >= options_.early_stop.patience;
}

void Training::report_batch(int64_t epoch, int64_t done, const StepSums& sums) {
  if (group_.rank() != 0) return;
  std::string note = fmt::format("loss {:.4f}", sums.mean_loss());
  if (!state_.history.empty() && state_.history.back().has("val_accuracy")) {
    note += fmt::format(" val {:.4f}", state_.history.back().number_or("val_accuracy", 0));
  }
  // Of the whole training: whoever shows it does not begin again with each epoch.
  const int64_t steps = schedule_->steps();
  job_.reports.progress({fmt::format("epoch {} of {}", epoch, options_.epochs), (epoch - 1) * steps + done,
                         options_.epochs * steps, "batches", note});
}

Result<StepSums> Training::train_pass(int64_t epoch) {
  const SeedPass pass = schedule_->epoch(epoch);
  BatchPipeline pipeline(*loader_, {&pass, options_.seed, epoch, state_.step, 0, true}, spares_);
  StepSums sums;
  for (int64_t i = 0; i < pass.steps(); ++i) {
    TRY(check_stop());
    TRY(auto batch, pipeline.next());
    sample_seconds_ += batch->sample_seconds;
    fetch_seconds_ += batch->fetch_seconds;
    TRY(const auto step,
        step_->run(*batch, loader_->options())
            .within(fmt::format("batch {} of epoch {} (step {})", i + 1, epoch, batch->key.step)));
    sums.add(step);
    pipeline.give_back(std::move(batch));
    report_batch(epoch, i + 1, sums);
  }
  stall_seconds_ = pipeline.stall_seconds();
  state_.step += pass.steps();
  return sums;
}

// With the training fan-outs; the key is (epoch, step -1), so the score does not depend on batches or ranks.
Result<StepSums> Training::score(int64_t epoch) {
  const torch::NoGradGuard no_grad;
  auto counts = torch::zeros({2}, torch::kInt64);
  {
    BatchPipeline pipeline(
        *loader_, {&*validation_, options_.seed, epoch, BatchPipeline::Pass::kOneKey, kScoreStep, false},
        spares_);
    for (int64_t i = 0; i < validation_->steps(); ++i) {
      TRY(check_stop());
      TRY(auto batch, pipeline.next());
      TRY(const auto scores, forward(*model_, loader_->options(), *batch, false));
      counts[0] += static_cast<int64_t>(batch->labels.size());
      counts[1] += count_correct(predictions_of(scores), batch->labels);
      pipeline.give_back(std::move(batch));
    }
  }
  TRY(group_.sum(counts, "validation score"));
  StepSums sums;
  sums.seeds = counts[0].item<int64_t>();
  sums.correct = counts[1].item<int64_t>();
  return sums;
}

Status Training::compare_weights(int64_t epoch) {
  const std::string digest = digest_of(std::as_bytes(weights_->values()));
  TRY(const auto all, group_.gather(digest, "digests of the weights"));
  for (size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank] != digest) {
      return Error{Cause::bug,
                   fmt::format("after epoch {} the weights of rank {} ({}) differ from those of rank {} ({})",
                               epoch, group_.rank(), digest, rank, all[rank])};
    }
  }
  return {};
}

Status Training::run_epoch(int64_t epoch) {
  const auto start = std::chrono::steady_clock::now();
  sample_seconds_ = fetch_seconds_ = 0;
  TRY(const StepSums trained, train_pass(epoch));
  TRY(const StepSums scored, score(epoch));
  TRY(compare_weights(epoch));
  state_.epoch = epoch;
  const bool has_validation = scored.seeds > 0;
  if (!has_validation || scored.accuracy() > state_.best_accuracy) {
    state_.best_epoch = epoch;
    state_.best_accuracy = has_validation ? scored.accuracy() : -1;
    state_.best_weights.assign(weights_->values().begin(), weights_->values().end());
  }
  Json metrics;
  metrics["epoch"] = epoch;
  metrics["loss"] = trained.mean_loss();
  metrics["train_accuracy"] = trained.accuracy();
  if (has_validation) metrics["val_accuracy"] = scored.accuracy();
  state_.history.push_back(metrics);  // without times: the same training gives the same files
  if (group_.rank() != 0) return {};
  report_batch(epoch, schedule_->steps(), trained);
  const SourceCounters counters = job_.source.take_counters();
  metrics["seconds"] = seconds_since(start);
  metrics["seconds_of"] = to_json(step_->take_timers(), sample_seconds_, fetch_seconds_, stall_seconds_);
  metrics["bytes_received"] = counters.bytes_received;
  metrics["remote_rows"] = counters.remote_rows;
  metrics["local_rows"] = counters.local_rows;
  job_.reports.metrics(metrics);
  log_info("epoch {}: loss {:.4f}, training accuracy {:.4f}{}", epoch, trained.mean_loss(),
           trained.accuracy(),
           has_validation ? fmt::format(", validation {:.4f}", scored.accuracy()) : std::string());
  return keep_checkpoint();
}

Status Training::keep_checkpoint() {
  state_.weights.assign(weights_->values().begin(), weights_->values().end());
  if (job_.checkpoints.empty()) return {};
  const fs::path temporary = job_.folder / fmt::format("checkpoint-{}", state_.epoch);
  TRY(const fs::path written, publish_checkpoint(state_, temporary, job_.checkpoints));
  TRY(remove_old_checkpoints(job_.checkpoints, state_.epoch, state_.best_epoch));
  TRY(const int64_t bytes, bytes_of_tree(written));
  Json report;
  report["epoch"] = state_.epoch;
  report["path"] = written.string();
  report["bytes"] = bytes;
  job_.reports.checkpoint(report);
  return {};
}

Result<Json> Training::finish() {
  Json metrics;
  metrics["epochs"] = state_.epoch;
  metrics["steps"] = state_.step;
  metrics["best_epoch"] = state_.best_epoch;
  if (state_.best_accuracy >= 0) metrics["best_val_accuracy"] = state_.best_accuracy;
  metrics["stopped_early"] = state_.epoch < options_.epochs;
  metrics["training_nodes"] = schedule_->training_nodes();
  metrics["history"] = state_.history;
  if (group_.rank() != 0) return metrics;

  state_.weights.assign(weights_->values().begin(), weights_->values().end());
  TRY(create_folders(job_.output));
  TRY(write_checkpoint_files(job_.output / "last", encode_checkpoint(state_)));
  Checkpoint best = state_;
  best.epoch = state_.best_epoch;
  best.step = state_.best_epoch * schedule_->steps();
  best.weights = state_.best_weights;
  best.optimizer = {};
  best.history.resize(
      static_cast<size_t>(std::min<int64_t>(best.epoch, static_cast<int64_t>(best.history.size()))));
  TRY(write_checkpoint_files(job_.output / "best", encode_checkpoint(best)));
  TRY(write_file_atomically(job_.output / "metrics.json", metrics.dump_pretty() + "\n"));
  return metrics;
}

}  // namespace

Json machine_of(int threads, int ranks) {
  Json json;
  json["kernels"] = std::string(kernels().name);
  json["threads"] = threads;
  json["ranks"] = ranks;
  json["torch"] = TORCH_VERSION;
  json["onednn"] = onednn_version();
  return json;
}

Result<Json> train(const TrainJob& job) {
  try {
    return Training(job).run();
  } catch (const std::bad_alloc&) {
    return Error{Cause::no_resources, "not enough memory for a batch: use a smaller batch or fan-out"};
  } catch (const c10::Error& error) {
    return Error{Cause::failed, fmt::format("libtorch: {}", error.what_without_backtrace())};
  }
}

}  // namespace gnnflow
