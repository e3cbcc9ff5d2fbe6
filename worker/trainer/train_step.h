// One step of training: forward, backward, one sum over all ranks, update.
#pragma once

#include "worker/trainer/batch_pipeline.h"
#include "worker/trainer/models/model.h"
#include "worker/trainer/optimizers.h"
#include "worker/trainer/rank_group.h"

namespace gnnflow {

// Sums over seeds, of all ranks.
struct StepSums {
  double loss = 0;
  int64_t seeds = 0, correct = 0;
  void add(const StepSums& other);
  double mean_loss() const { return seeds > 0 ? loss / static_cast<double>(seeds) : 0; }
  double accuracy() const {
    return seeds > 0 ? static_cast<double>(correct) / static_cast<double>(seeds) : 0;
  }
};

struct StepTimers {
  double forward = 0, backward = 0, reduce = 0, update = 0;
};

// References outlive it. One thread.
class TrainStep {
 public:
  // What travels behind the gradients: loss, seeds, correct ones. Exact up to 2^24 seeds a step.
  static constexpr int64_t kBeside = 3;

  TrainStep(const Model& model, Weights& weights, const OptimizerSettings& settings, OptimizerState& state,
            RankGroup& group)
      : model_(model), weights_(weights), settings_(settings), state_(state), group_(group) {}

  // All ranks together; a rank out of seeds has a batch without any. bad_data when the loss is no number.
  Result<StepSums> run(const PreparedBatch& batch, const LoaderOptions& loader);
  StepTimers take_timers() { return std::exchange(timers_, {}); }

 private:
  Status gradients_of(const PreparedBatch& batch, const LoaderOptions& loader);

  const Model& model_;
  Weights& weights_;
  const OptimizerSettings& settings_;
  OptimizerState& state_;
  RankGroup& group_;
  StepTimers timers_;
};

}  // namespace gnnflow
