// Bias, ReLU, dropout and their gradients, in one pass each.
#include "worker/trainer/ops/row_loops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "common/sampler/pick.h"

// The same additions and products on every instruction set (nothing is contracted or reordered): only wider.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define GNNFLOW_WIDER __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define GNNFLOW_WIDER
#endif

namespace gnnflow {
namespace {

constexpr int kLanes = 4;  // of 16 bits in a draw

GNNFLOW_WIDER void bias_row(float* __restrict z, const float* __restrict bias, int64_t columns) {
  for (int64_t c = 0; c < columns; ++c) z[c] += bias[c];
}
GNNFLOW_WIDER void bias_relu_row(float* __restrict z, const float* __restrict bias, int64_t columns) {
  for (int64_t c = 0; c < columns; ++c) {
    const float value = z[c] + bias[c];
    z[c] = value < 0.0f ? 0.0f : value;  // a NaN stays
  }
}
GNNFLOW_WIDER void bias_relu_drop_row(float* __restrict z, const float* __restrict bias,
                                      const uint16_t* __restrict lanes, uint16_t threshold, float scale,
                                      int64_t columns) {
  for (int64_t c = 0; c < columns; ++c) {
    const float value = z[c] + bias[c];
    const float kept = value < 0.0f ? 0.0f : value * scale;
    z[c] = lanes[c] < threshold ? 0.0f : kept;
  }
}
GNNFLOW_WIDER void masked_row(const float* __restrict activated, const float* __restrict gradient,
                              float scale, float* __restrict out, float* __restrict sums, int64_t columns) {
  for (int64_t c = 0; c < columns; ++c) {
    const float value = activated[c] > 0.0f ? gradient[c] * scale : 0.0f;
    out[c] = value;
    sums[c] += value;
  }
}
GNNFLOW_WIDER void add_row(const float* __restrict gradient, float* __restrict sums, int64_t columns) {
  for (int64_t c = 0; c < columns; ++c) sums[c] += gradient[c];
}
GNNFLOW_WIDER void scale_row(float* __restrict row, float factor, int64_t columns) {
  for (int64_t c = 0; c < columns; ++c) row[c] *= factor;
}

}  // namespace

uint64_t dropout_key(uint64_t seed, int64_t step, int layer) {
  return KeyChain(PickUse::dropout)
      .with(seed)
      .with(static_cast<uint64_t>(step))
      .with(static_cast<uint64_t>(layer))
      .key();
}

float dropout_scale(double probability) { return static_cast<float>(1.0 / (1.0 - probability)); }

void bias_and_activate(float* z, const float* bias, int64_t begin, int64_t end, int64_t columns,
                       const Activation& activation) {
  const Dropout& dropout = activation.dropout;
  if (dropout.probability <= 0) {
    for (int64_t row = begin; row < end; ++row) {
      if (activation.relu) {
        bias_relu_row(z + row * columns, bias, columns);
      } else {
        bias_row(z + row * columns, bias, columns);
      }
    }
    return;
  }
  const auto threshold = static_cast<uint16_t>(std::lround(dropout.probability * 65536.0));
  const float scale = dropout_scale(dropout.probability);
  const int64_t draws = (columns + kLanes - 1) / kLanes;
  std::vector<uint64_t> words(static_cast<size_t>(draws));
  std::vector<uint16_t> lanes(static_cast<size_t>(draws * kLanes));
  for (int64_t row = begin; row < end; ++row) {
    const uint64_t key =
        node_key(dropout.key, static_cast<uint64_t>(dropout.originals[static_cast<size_t>(row)]));
    for (int64_t i = 0; i < draws; ++i) words[static_cast<size_t>(i)] = draw(key, static_cast<uint64_t>(i));
    std::memcpy(lanes.data(), words.data(), words.size() * sizeof(uint64_t));
    bias_relu_drop_row(z + row * columns, bias, lanes.data(), threshold, scale, columns);
  }
}

void gradient_before_activation(const float* activated, const float* gradient, float scale, float* out,
                                float* sums, int64_t begin, int64_t end, int64_t columns) {
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * columns;
    if (activated != nullptr) {
      masked_row(activated + at, gradient + at, scale, out + at, sums, columns);
    } else {
      add_row(gradient + at, sums, columns);
    }
  }
}

void divide_right_halves(float* pairs, std::span<const int32_t> offsets, int64_t begin, int64_t end,
                         int64_t columns) {
  for (int64_t row = begin; row < end; ++row) {
    const int32_t count = offsets[static_cast<size_t>(row) + 1] - offsets[static_cast<size_t>(row)];
    if (count > 1) scale_row(pairs + (2 * row + 1) * columns, 1.0f / static_cast<float>(count), columns);
  }
}

}  // namespace gnnflow
