// The step that all ranks take together.
#include "worker/trainer/train_step.h"

#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include "worker/trainer/forward.h"

namespace gnnflow {
namespace {

enum Beside { loss_sum, seed_count, correct_count };

// Adds the time since the last call to one of the timers.
class Lap {
 public:
  void to(double& timer) {
    const auto now = std::chrono::steady_clock::now();
    timer += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace

void StepSums::add(const StepSums& other) {
  loss += other.loss;
  seeds += other.seeds;
  correct += other.correct;
}

Status TrainStep::gradients_of(const PreparedBatch& batch, const LoaderOptions& loader) {
  Lap lap;
  TRY(const auto scores, forward(model_, loader, batch, true));
  const auto count = static_cast<int64_t>(batch.labels.size());
  const auto labels =
      torch::from_blob(const_cast<int32_t*>(batch.labels.data()), {count}, torch::kInt32).to(torch::kInt64);
  auto loss = at::cross_entropy_loss(scores, labels, {}, at::Reduction::Sum);
  lap.to(timers_.forward);
  loss.backward();
  const auto beside = weights_.beside();
  beside[loss_sum] = loss.item<float>();
  beside[seed_count] = static_cast<float>(count);
  beside[correct_count] = static_cast<float>(count_correct(predictions_of(scores), batch.labels));
  lap.to(timers_.backward);
  return {};
}

Result<StepSums> TrainStep::run(const PreparedBatch& batch, const LoaderOptions& loader) {
  weights_.gradients_and_beside().zero_();
  if (!batch.labels.empty()) TRY(gradients_of(batch, loader));
  Lap lap;
  TRY(group_.sum(weights_.gradients_and_beside(), "sum of gradients"));
  lap.to(timers_.reduce);
  const auto beside = weights_.beside();
  if (!std::isfinite(beside[loss_sum])) {
    return Error{Cause::bad_data, fmt::format("the loss is {}: look at the features and at the learning rate",
                                              beside[loss_sum])};
  }
  if (beside[seed_count] > 0) {
    average_gradients(weights_.gradients(), beside[seed_count]);
    update_weights(settings_, state_, weights_.values(), weights_.gradients());
  }
  lap.to(timers_.update);
  return StepSums{beside[loss_sum], std::lround(beside[seed_count]), std::lround(beside[correct_count])};
}

}  // namespace gnnflow
