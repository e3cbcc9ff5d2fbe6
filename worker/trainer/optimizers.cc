// SGD, Adam and AdamW. Scalars are made in double and rounded once; powers of beta by repeated
// multiplication, for the library's pow need not give the same bits everywhere. Compiled without contraction.
#include "worker/trainer/optimizers.h"

#include <cmath>

namespace gnnflow {
namespace {

double power(double base, int64_t exponent) {
  double result = 1.0;
  for (int64_t i = 0; i < exponent && result > 0; ++i) result *= base;
  return result;
}

void step_sgd(const OptimizerSettings& s, OptimizerState& state, std::span<float> weights,
              std::span<const float> gradients) {
  const auto lr = static_cast<float>(s.lr), decay = static_cast<float>(s.weight_decay);
  const auto momentum = static_cast<float>(s.momentum);
  const bool first = state.steps == 1;
  for (size_t i = 0; i < weights.size(); ++i) {
    float g = gradients[i] + decay * weights[i];
    if (s.momentum > 0) {
      g = first ? g : momentum * state.first[i] + g;
      state.first[i] = g;
    }
    weights[i] = weights[i] - lr * g;
  }
}

void step_adam(const OptimizerSettings& s, OptimizerState& state, std::span<float> weights,
               std::span<const float> gradients) {
  const bool decoupled = s.kind == OptimizerKind::adamw;
  const auto decay = static_cast<float>(decoupled ? 0.0 : s.weight_decay);
  const auto keep = static_cast<float>(decoupled ? 1.0 - s.lr * s.weight_decay : 1.0);
  const auto beta1 = static_cast<float>(s.beta1), rest1 = static_cast<float>(1.0 - s.beta1);
  const auto beta2 = static_cast<float>(s.beta2), rest2 = static_cast<float>(1.0 - s.beta2);
  const auto size = static_cast<float>(s.lr / (1.0 - power(s.beta1, state.steps)));
  const auto root = static_cast<float>(std::sqrt(1.0 - power(s.beta2, state.steps)));
  const auto epsilon = static_cast<float>(s.epsilon);
  float* first = state.first.data();
  float* second = state.second.data();
  for (size_t i = 0; i < weights.size(); ++i) {
    const float w = weights[i] * keep;
    const float g = gradients[i] + decay * w;
    const float m = beta1 * first[i] + rest1 * g;
    const float v = beta2 * second[i] + rest2 * (g * g);
    first[i] = m;
    second[i] = v;
    weights[i] = w - size * (m / (std::sqrt(v) / root + epsilon));
  }
}

}  // namespace

void average_gradients(std::span<float> gradients, double count) {
  const auto divisor = static_cast<float>(count);
  for (float& one : gradients) one = one / divisor;
}

void update_weights(const OptimizerSettings& settings, OptimizerState& state, std::span<float> weights,
                    std::span<const float> gradients) {
  if (state.first.empty()) state.first.assign(weights.size(), 0.0f);
  if (state.second.empty() && settings.kind != OptimizerKind::sgd) state.second.assign(weights.size(), 0.0f);
  ++state.steps;
  if (settings.kind == OptimizerKind::sgd) {
    step_sgd(settings, state, weights, gradients);
  } else {
    step_adam(settings, state, weights, gradients);
  }
}

}  // namespace gnnflow
