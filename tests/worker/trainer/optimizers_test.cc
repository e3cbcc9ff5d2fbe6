// Optimisers against torch's own, and against themselves in pieces.
#include "worker/trainer/optimizers.h"

#include <gtest/gtest.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include "worker/trainer/torch_compat.h"

namespace gnnflow {
namespace {

constexpr int kSteps = 30;

std::vector<float> ours_after(const OptimizerSettings& settings, const torch::Tensor& start) {
  std::vector<float> weights(start.data_ptr<float>(), start.data_ptr<float>() + start.numel());
  OptimizerState state;
  for (int step = 0; step < kSteps; ++step) {
    std::vector<float> gradients;
    for (size_t i = 0; i < weights.size(); ++i)
      gradients.push_back(weights[i] * 0.5f + static_cast<float>(step % 3) - 1.0f);
    update_weights(settings, state, weights, gradients);
  }
  return weights;
}

torch::Tensor torch_after(torch::optim::Optimizer& optimizer, torch::Tensor weights) {
  for (int step = 0; step < kSteps; ++step) {
    weights.mutable_grad() = weights.detach() * 0.5f + static_cast<float>(step % 3) - 1.0f;
    optimizer.step();
  }
  return weights.detach();
}

void expect_close(const std::vector<float>& ours, const torch::Tensor& other) {
  for (size_t i = 0; i < ours.size(); ++i) EXPECT_NEAR(ours[i], other.data_ptr<float>()[i], 2e-5) << i;
}

const torch::Tensor& start() {
  static const torch::Tensor tensor = torch::linspace(-2, 2, 41);
  return tensor;
}

TEST(Optimizers, SgdWithMomentumAndDecayEqualsTorchs) {
  auto weights = start().clone().set_requires_grad(true);
  torch::optim::SGD sgd({weights}, torch::optim::SGDOptions(0.05).momentum(0.9).weight_decay(0.01));
  OptimizerSettings settings;
  settings.kind = OptimizerKind::sgd;
  settings.lr = 0.05;
  settings.momentum = 0.9;
  settings.weight_decay = 0.01;
  expect_close(ours_after(settings, start()), torch_after(sgd, weights));
}

TEST(Optimizers, AdamWithDecayEqualsTorchs) {
  auto weights = start().clone().set_requires_grad(true);
  torch::optim::Adam adam({weights}, torch::optim::AdamOptions(0.02).weight_decay(0.01));
  OptimizerSettings settings;
  settings.lr = 0.02;
  settings.weight_decay = 0.01;
  expect_close(ours_after(settings, start()), torch_after(adam, weights));
}

TEST(Optimizers, AdamWEqualsTorchs) {
  auto weights = start().clone().set_requires_grad(true);
  torch::optim::AdamW adamw({weights}, torch::optim::AdamWOptions(0.02).weight_decay(0.1));
  OptimizerSettings settings;
  settings.kind = OptimizerKind::adamw;
  settings.lr = 0.02;
  settings.weight_decay = 0.1;
  expect_close(ours_after(settings, start()), torch_after(adamw, weights));
}

TEST(Optimizers, GiveTheSameBitsForOneBufferAndForItsPieces) {
  for (const auto kind : {OptimizerKind::sgd, OptimizerKind::adam, OptimizerKind::adamw}) {
    OptimizerSettings settings;
    settings.kind = kind;
    settings.weight_decay = 0.01;
    const auto whole = ours_after(settings, start());
    for (const int64_t cut : {1, 7, 32}) {
      auto pieces = ours_after(settings, start().narrow(0, 0, cut).clone());
      const auto rest = ours_after(settings, start().narrow(0, cut, 41 - cut).clone());
      pieces.insert(pieces.end(), rest.begin(), rest.end());
      EXPECT_EQ(pieces, whole) << cut;
    }
  }
}

TEST(Optimizers, GradientsAreDividedByTheNumberOfSeeds) {
  std::vector<float> gradients = {1.0f, 3.0f, -7.0f};
  average_gradients(gradients, 3);
  EXPECT_EQ(gradients, (std::vector<float>{1.0f / 3.0f, 1.0f, -7.0f / 3.0f}));
}

}  // namespace
}  // namespace gnnflow
