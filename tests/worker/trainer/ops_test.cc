// Operations over blocks against plain torch and finite differences; dropout as a function of what is
// dropped.
#include <gtest/gtest.h>

#include "common/sampler/pick.h"
#include "worker/trainer/ops/block_ops.h"

namespace gnnflow {
namespace {

// 3 destinations out of 5 sources; the last one has no neighbours, source 1 is used twice.
const std::vector<int32_t> kOffsets = {0, 3, 5, 5};
const std::vector<int32_t> kSources = {1, 4, 3, 1, 0};
const BlockView kBlock{kOffsets, kSources};

torch::Tensor numbers(std::vector<int64_t> shape, uint64_t seed) {
  auto tensor = torch::empty(shape);
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    tensor.data_ptr<float>()[i] = static_cast<float>(unit_of(draw(seed, static_cast<uint64_t>(i))) - 0.5);
  }
  return tensor;
}

torch::Tensor plain_self_and_mean(const torch::Tensor& x) {
  const auto mean0 = (x[1] + x[4] + x[3]) / 3, mean1 = (x[1] + x[0]) / 2;
  return torch::cat({x.narrow(0, 0, 3), torch::stack({mean0, mean1, torch::zeros_like(mean0)})}, 1);
}

TEST(SelfAndMean, EqualsPlainTorchForwardAndBackward) {
  for (const int64_t columns : {1, 7, 16, 100}) {
    auto x = numbers({5, columns}, 1).set_requires_grad(true), y = x.detach().clone().set_requires_grad(true);
    const auto weights = numbers({3, 2 * columns}, 2);
    const auto fused = self_and_mean(x, kBlock), plain = plain_self_and_mean(y);
    EXPECT_TRUE(torch::allclose(fused, plain, 1e-6, 1e-6)) << columns;
    (fused * weights).sum().backward();
    (plain * weights).sum().backward();
    EXPECT_TRUE(torch::allclose(x.grad(), y.grad(), 1e-5, 1e-6)) << columns;
    EXPECT_EQ(x.grad()[2].abs().sum().item<float>(),
              weights[2].narrow(0, 0, columns).abs().sum().item<float>())
        << "source 2 is a destination and nobody's neighbour";
  }
}

TEST(SelfAndMean, GivesTheSameBitsOnAnyNumberOfThreads) {
  std::vector<int32_t> offsets{0}, sources;
  for (int32_t i = 0; i < 3000; ++i) {
    for (int32_t e = 0; e < i % 7; ++e)
      sources.push_back(static_cast<int32_t>(draw(5, sources.size()) % 9000));
    offsets.push_back(static_cast<int32_t>(sources.size()));
  }
  std::vector<torch::Tensor> gradients;
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    auto x = numbers({9000, 33}, 1).set_requires_grad(true);
    const auto out = self_and_mean(x, {offsets, sources});
    (out * out).sum().backward();
    gradients.push_back(x.grad());
  }
  EXPECT_TRUE(torch::equal(gradients[0], gradients[1]));
}

TEST(SelfAndMean, OfATableEqualsThatOfRows) {
  const auto x = numbers({5, 20}, 1);
  const RowTable table{reinterpret_cast<const std::byte*>(x.data_ptr<float>()), 5, 20, RowType::f32};
  const std::vector<int32_t> self = {0, 1, 2};
  const auto direct = self_and_mean_of_table(table, self, kBlock);
  ASSERT_TRUE(direct);
  EXPECT_TRUE(torch::equal(*direct, self_and_mean(x, kBlock)));
}

TEST(SelfAndMean, NamesANodeOutsideOfTheTable) {
  const auto x = numbers({4, 20}, 1);
  const RowTable table{reinterpret_cast<const std::byte*>(x.data_ptr<float>()), 4, 20, RowType::f32};
  const std::vector<int32_t> self = {0, 1, 2}, wrong_self = {0, 9, 2};
  const auto leaf = self_and_mean_of_table(table, self, kBlock);
  ASSERT_FALSE(leaf);
  EXPECT_EQ(leaf.error().cause, Cause::bad_data);
  EXPECT_EQ(leaf.error().message, "node 4 is outside of the feature table of 4 rows");
  EXPECT_EQ(self_and_mean_of_table(table, wrong_self, kBlock).error().message,
            "node 9 is outside of the feature table of 4 rows");
}

double loss_of(const torch::Tensor& x, const torch::Tensor& w, const torch::Tensor& b,
               const Activation& activation) {
  const Products products;
  const auto out = linear(self_and_mean(x, kBlock), w, b, products, activation);
  return (out.to(torch::kFloat64).pow(2)).sum().item<double>();
}

TEST(Linear, HasTheGradientsOfFiniteDifferences) {
  const Products products;
  const std::vector<int64_t> originals = {11, 5, 7};
  Activation activation{true, {0.3, dropout_key(1, 2, 0), originals}};
  std::vector<torch::Tensor> inputs = {numbers({5, 6}, 1), numbers({8, 12}, 2), numbers({8}, 3)};
  for (auto& one : inputs) one.set_requires_grad(true);
  const auto out = linear(self_and_mean(inputs[0], kBlock), inputs[1], inputs[2], products, activation);
  out.pow(2).sum().backward();
  for (size_t which = 0; which < inputs.size(); ++which) {
    const auto gradient = inputs[which].grad().contiguous();
    for (int64_t i = 0; i < inputs[which].numel(); ++i) {
      constexpr float kStep = 1e-3f;
      std::vector<double> losses;
      for (const float step : {kStep, -kStep}) {
        std::vector<torch::Tensor> moved;
        for (const auto& one : inputs) moved.push_back(one.detach().clone());
        moved[which].data_ptr<float>()[i] += step;
        losses.push_back(loss_of(moved[0], moved[1], moved[2], activation));
      }
      const double difference = (losses[0] - losses[1]) / (2 * kStep);
      EXPECT_NEAR(gradient.data_ptr<float>()[i], difference, 2e-3 + 2e-3 * std::abs(difference))
          << which << " at " << i;
    }
  }
}

TEST(Linear, EqualsPlainTorchInBothLibraries) {
  for (const auto library : {ProductLibrary::onednn, ProductLibrary::blas}) {
    Products products;
    const ProductShape shape{1500, 24, 10};
    for (const auto kind : {ProductKind::forward, ProductKind::weights, ProductKind::inputs})
      products.set(kind, shape, library);
    std::vector<torch::Tensor> ours = {numbers({1500, 24}, 1), numbers({10, 24}, 2), numbers({10}, 3)}, plain;
    for (auto& one : ours) {
      plain.push_back(one.clone().set_requires_grad(true));
      one.set_requires_grad(true);
    }
    const auto out = linear(ours[0], ours[1], ours[2], products, {.relu = true, .dropout = {}});
    const auto expected = torch::relu(torch::addmm(plain[2], plain[0], plain[1].t()));
    EXPECT_TRUE(torch::allclose(out, expected, 1e-5, 1e-5));
    const auto weights = numbers({1500, 10}, 4);
    (out * weights).sum().backward();
    (expected * weights).sum().backward();
    for (size_t i = 0; i < ours.size(); ++i)
      EXPECT_TRUE(torch::allclose(ours[i].grad(), plain[i].grad(), 1e-4, 1e-4)) << i;
  }
}

TEST(Linear, OfNoRowsHasZeroGradients) {
  const Products products;
  auto x = torch::zeros({0, 4}).set_requires_grad(true), w = numbers({3, 4}, 1).set_requires_grad(true);
  auto b = numbers({3}, 1).set_requires_grad(true);
  linear(x, w, b, products, {.relu = true, .dropout = {}}).sum().backward();
  EXPECT_EQ(w.grad().abs().sum().item<float>(), 0);
  EXPECT_EQ(b.grad().abs().sum().item<float>(), 0);
}

TEST(Dropout, DependsOnTheOriginalIdAndNotOnThePlace) {
  const std::vector<int64_t> one = {3, 8, 12}, other = {12, 3};
  const auto zeros = torch::zeros({50});
  auto a = torch::ones({3, 50}), b = torch::ones({2, 50});
  bias_and_activate(a.data_ptr<float>(), zeros.data_ptr<float>(), 0, 3, 50,
                    {true, {0.5, dropout_key(1, 7, 0), one}});
  bias_and_activate(b.data_ptr<float>(), zeros.data_ptr<float>(), 0, 2, 50,
                    {true, {0.5, dropout_key(1, 7, 0), other}});
  EXPECT_TRUE(torch::equal(a[2], b[0]));
  EXPECT_TRUE(torch::equal(a[0], b[1]));
  EXPECT_FALSE(torch::equal(a[0], a[1]));
  for (const uint64_t key : {dropout_key(2, 7, 0), dropout_key(1, 8, 0), dropout_key(1, 7, 1)}) {
    auto c = torch::ones({2, 50});
    bias_and_activate(c.data_ptr<float>(), zeros.data_ptr<float>(), 0, 2, 50, {true, {0.5, key, other}});
    EXPECT_FALSE(torch::equal(b, c));
  }
}

TEST(Dropout, DropsTheShareAskedForAndKeepsTheMean) {
  for (const double p : {0.1, 0.5, 0.8}) {
    std::vector<int64_t> originals(2000);
    for (size_t i = 0; i < originals.size(); ++i) originals[i] = static_cast<int64_t>(i);
    auto rows = torch::ones({2000, 64});
    const auto zeros = torch::zeros({64});
    bias_and_activate(rows.data_ptr<float>(), zeros.data_ptr<float>(), 0, 2000, 64,
                      {true, {p, dropout_key(1, 1, 0), originals}});
    EXPECT_NEAR((rows == 0).to(torch::kFloat32).mean().item<double>(), p, 0.01);
    EXPECT_NEAR(rows.mean().item<double>(), 1.0, 0.03);
  }
}

TEST(Activation, LetsNaNThroughSoThatTheLossShowsIt) {
  auto row = torch::full({1, 4}, std::nanf(""));
  const auto zeros = torch::zeros({4});
  bias_and_activate(row.data_ptr<float>(), zeros.data_ptr<float>(), 0, 1, 4, {.relu = true, .dropout = {}});
  EXPECT_TRUE(torch::isnan(row).all().item<bool>());
}

TEST(Products, ComeBackFromJson) {
  Products products;
  products.set(ProductKind::weights, {1, 200, 256}, ProductLibrary::blas);
  const auto back = Products::from_json(products.to_json(), "x");
  ASSERT_TRUE(back);
  EXPECT_EQ(back->library(ProductKind::weights, {999, 200, 256}), ProductLibrary::blas);
  EXPECT_EQ(back->library(ProductKind::forward, {999, 200, 256}), ProductLibrary::onednn);
  Json wrong = products.to_json();
  wrong["weights 200x256"] = "mkl";
  const auto refused = Products::from_json(wrong, "checkpoint.json");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "checkpoint.json: unknown library \"mkl\" of product 'weights 200x256'");
}

}  // namespace
}  // namespace gnnflow
