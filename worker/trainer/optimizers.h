// Optimisers over one flat buffer: IEEE operations in one written order, the same bits on every instruction
// set.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/trainer/options.h"

namespace gnnflow {

// What an optimiser keeps between steps, beside the weights.
struct OptimizerState {
  std::vector<float> first;   // momentum (sgd) or first moment
  std::vector<float> second;  // second moment
  int64_t steps = 0;
};

// gradients := gradients / count, before the update. REQUIRES: count > 0.
void average_gradients(std::span<float> gradients, double count);

// One step. `state` is sized at the first one.
void update_weights(const OptimizerSettings& settings, OptimizerState& state, std::span<float> weights,
                    std::span<const float> gradients);

}  // namespace gnnflow
