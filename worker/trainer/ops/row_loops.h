// Loops over rows that torch would make in several passes. No torch here; deterministic on any number of
// threads.
#pragma once

#include <cstdint>
#include <span>

namespace gnnflow {

// Which columns of which rows are dropped: a function of the key (seed, step, layer), the row's original id
// and the column.
struct Dropout {
  double probability = 0;  // 0: none
  uint64_t key = 0;
  std::span<const int64_t> originals;  // of the rows
};
uint64_t dropout_key(uint64_t seed, int64_t step, int layer);
float dropout_scale(double probability);  // 1 / (1 - p)

struct Activation {
  bool relu = false;
  Dropout dropout;
  bool any() const { return relu || dropout.probability > 0; }
};

// rows [begin, end) of z [n, columns]: z = drop(relu(z + bias)). REQUIRES: dropout only together with relu.
void bias_and_activate(float* z, const float* bias, int64_t begin, int64_t end, int64_t columns,
                       const Activation& activation);

// rows [begin, end): out = activated > 0 ? gradient * scale : 0, and sums [columns] += out of these rows, in
// order. `activated` may be null: then out is not written and the gradient itself is summed.
void gradient_before_activation(const float* activated, const float* gradient, float scale, float* out,
                                float* sums, int64_t begin, int64_t end, int64_t columns);

// rows [begin, end) of pairs [n, 2 * columns]: the right half times 1 / (offsets[i + 1] - offsets[i]).
void divide_right_halves(float* pairs, std::span<const int32_t> offsets, int64_t begin, int64_t end,
                         int64_t columns);

}  // namespace gnnflow
