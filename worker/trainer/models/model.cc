// The flat buffers behind a model's parameters, and how they begin.
#include "worker/trainer/models/model.h"

#include "common/sampler/pick.h"

namespace gnnflow {

int64_t ParameterInfo::count() const {
  int64_t count = 1;
  for (int64_t one : shape) count *= one;
  return count;
}

Weights::Weights(const std::vector<ParameterInfo>& parameters, int64_t beside) : parameters_(parameters) {
  int64_t total = 0;
  for (const auto& one : parameters_) total += one.count();
  flat_ = torch::zeros({total});
  gradients_ = torch::zeros({total + beside});
  int64_t at = 0;
  for (const auto& one : parameters_) {
    auto view = flat_.narrow(0, at, one.count()).view(one.shape).detach();
    view.set_requires_grad(true);
    view.mutable_grad() = gradients_.narrow(0, at, one.count()).view(one.shape);
    views_.push_back(view);
    at += one.count();
  }
}

void Weights::initialise(uint64_t seed) {
  float* value = flat_.data_ptr<float>();
  for (const auto& one : parameters_) {
    const uint64_t key = KeyChain(PickUse::initial_weights).with(seed).with(std::string_view(one.name)).key();
    for (int64_t i = 0; i < one.count(); ++i) {
      *value++ = static_cast<float>((2.0 * unit_of(draw(key, static_cast<uint64_t>(i))) - 1.0) * one.bound);
    }
  }
}

std::span<float> Weights::values() { return {flat_.data_ptr<float>(), static_cast<size_t>(flat_.numel())}; }
std::span<float> Weights::gradients() {
  return {gradients_.data_ptr<float>(), static_cast<size_t>(flat_.numel())};
}
std::span<float> Weights::beside() {
  return {gradients_.data_ptr<float>() + flat_.numel(),
          static_cast<size_t>(gradients_.numel() - flat_.numel())};
}

}  // namespace gnnflow
