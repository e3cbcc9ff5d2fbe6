// The reference kernels: one element after the other.
#include <cstring>

#include "common/kernels/kernels.h"

namespace gnnflow {
namespace {

float element(const std::byte* row, int64_t column, RowType type) {
  switch (type) {
    case RowType::f32: {
      float value;
      std::memcpy(&value, row + column * 4, 4);
      return value;
    }
    case RowType::f16:
    case RowType::bf16: {
      uint16_t bits;
      std::memcpy(&bits, row + column * 2, 2);
      if (type == RowType::f16) return float_of_half(bits);
      const uint32_t wide = static_cast<uint32_t>(bits) << 16;
      float value;
      std::memcpy(&value, &wide, 4);
      return value;
    }
    case RowType::u8:
      return static_cast<float>(std::to_integer<uint8_t>(row[column]));
  }
  return 0;
}

void convert(const RowTable& table, int64_t row, float* out) {
  const std::byte* data = table.data + row * table.columns * bytes_of(table.type);
  for (int64_t c = 0; c < table.columns; ++c) out[c] = element(data, c, table.type);
}

bool in_range(const RowTable& table, int32_t id) { return id >= 0 && id < table.rows; }

int64_t gather(const RowTable& table, std::span<const int32_t> ids, float* out, int64_t stride) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!in_range(table, ids[i])) return static_cast<int64_t>(i);
    convert(table, ids[i], out + static_cast<int64_t>(i) * stride);
  }
  return -1;
}

int64_t sum(const RowTable& table, std::span<const int32_t> offsets, std::span<const int32_t> sources,
            bool mean, float* out, int64_t stride) {
  const int64_t row_bytes = table.columns * bytes_of(table.type);
  for (size_t i = 0; i + 1 < offsets.size(); ++i, out += stride) {
    for (int64_t c = 0; c < table.columns; ++c) out[c] = 0;
    for (int32_t e = offsets[i]; e < offsets[i + 1]; ++e) {
      const int32_t id = sources[static_cast<size_t>(e)];
      if (!in_range(table, id)) return e;
      for (int64_t c = 0; c < table.columns; ++c)
        out[c] += element(table.data + id * row_bytes, c, table.type);
    }
    if (mean && offsets[i + 1] > offsets[i]) {
      const float scale = 1.0f / static_cast<float>(offsets[i + 1] - offsets[i]);
      for (int64_t c = 0; c < table.columns; ++c) out[c] *= scale;
    }
  }
  return -1;
}

int64_t place(const RowTable& table, std::span<const int32_t> ids, std::span<const int32_t> positions,
              float* out, int64_t stride) {
  for (size_t i = 0; i < positions.size(); ++i) {
    const int32_t id = ids.empty() ? static_cast<int32_t>(i) : ids[i];
    if (!in_range(table, id)) return static_cast<int64_t>(i);
    convert(table, id, out + positions[i] * stride);
  }
  return -1;
}

}  // namespace

const Kernels kPlainKernels{"plain", gather, sum, place};

}  // namespace gnnflow
