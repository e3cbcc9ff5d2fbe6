// Aggregation over blocks and linear layers as autograd functions: one fused pass forward, a transposed one
// backward.
#pragma once

#include <span>

#include "common/base/result.h"
#include "common/kernels/kernels.h"
#include "common/sampler/block.h"
#include "worker/trainer/ops/products.h"
#include "worker/trainer/ops/row_loops.h"
#include "worker/trainer/torch_compat.h"

namespace gnnflow {

// A block as the operations see it: borrowed, REQUIRED to live until the backward pass is over.
struct BlockView {
  std::span<const int32_t> offsets;  // [destinations + 1]
  std::span<const int32_t> sources;
  int64_t destinations() const { return static_cast<int64_t>(offsets.size()) - 1; }
  static BlockView of(const Block& block) { return {block.offsets.span(), block.sources.span()}; }
};

// [destinations, 2 * columns]: row i of x beside the mean of the rows that block i names (zeros when there is
// none). Gradients: each row of x gets its sum over edges in one order (no atomics, the same on any number of
// threads).
torch::Tensor self_and_mean(const torch::Tensor& x, const BlockView& block);

// The same straight from a table of features: row self[i] beside the mean of rows `block.sources`; no
// gradient. bad_data when an id is outside of the table.
Result<torch::Tensor> self_and_mean_of_table(const RowTable& table, std::span<const int32_t> self,
                                             const BlockView& block);

// activation(x W^T + b). Gradients of x only where it asks for them.
torch::Tensor linear(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                     const Products& products, const Activation& activation);

}  // namespace gnnflow
