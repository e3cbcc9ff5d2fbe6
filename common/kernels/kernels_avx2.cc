// Kernels for AVX2: eight columns at once; the last ones as eight that overlap the ones before, which gives
// the same bits.
#include "common/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2,f16c")

namespace gnnflow {
namespace {

constexpr int kLanes = 8;
constexpr int kMaxVectors = 14;      // accumulators of one stretch of columns
constexpr int32_t kEdgesAhead = 16;  // rows between touching one and adding it
constexpr int32_t kRowsAhead = 8;    // the same where rows are only copied

template <RowType type>
constexpr int64_t kBytes = type == RowType::f32  ? 4
                           : type == RowType::u8 ? 1
                                                 : 2;

template <RowType type>
__m256 load(const std::byte* from) {
  if constexpr (type == RowType::f32) return _mm256_loadu_ps(reinterpret_cast<const float*>(from));
  if constexpr (type == RowType::f16)
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  if constexpr (type == RowType::bf16) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
}

inline void touch(const std::byte* begin, int64_t bytes) {
  const auto first = reinterpret_cast<uintptr_t>(begin) & ~uintptr_t{63};
  const auto end = reinterpret_cast<uintptr_t>(begin) + static_cast<uintptr_t>(bytes);
  for (uintptr_t line = first; line < end; line += 64)
    _mm_prefetch(reinterpret_cast<const char*>(line), _MM_HINT_T0);
}

// What stays the same over a call.
struct Sum {
  RowTable table;
  const int32_t* offsets;
  int64_t destinations;
  const int32_t* sources;
  bool mean;
  float* out;
  int64_t stride;
};

// `vectors` times eight columns from `begin` on, the last eight at `begin + last`, of all destinations.
template <RowType type, int vectors>
int64_t sum_stretch(const Sum& sum, int64_t begin, int64_t last) {
  const int64_t row_bytes = sum.table.columns * kBytes<type>;
  const std::byte* const data = sum.table.data + begin * kBytes<type>;
  const auto rows = static_cast<uint32_t>(sum.table.rows);
  const int32_t edges = sum.offsets[sum.destinations];
  const int64_t touched = (last + kLanes) * kBytes<type>;
  for (int64_t i = 0; i < sum.destinations; ++i) {
    __m256 total[vectors];
    for (auto& one : total) one = _mm256_setzero_ps();
    for (int32_t e = sum.offsets[i]; e < sum.offsets[i + 1]; ++e) {
      if (e + kEdgesAhead < edges)
        touch(data + static_cast<int64_t>(sum.sources[e + kEdgesAhead]) * row_bytes, touched);
      const auto id = static_cast<uint32_t>(sum.sources[e]);
      if (id >= rows) return e;
      const std::byte* row = data + static_cast<int64_t>(id) * row_bytes;
      for (int v = 0; v < vectors - 1; ++v)
        total[v] = _mm256_add_ps(total[v], load<type>(row + v * kLanes * kBytes<type>));
      total[vectors - 1] = _mm256_add_ps(total[vectors - 1], load<type>(row + last * kBytes<type>));
    }
    const int32_t count = sum.offsets[i + 1] - sum.offsets[i];
    if (sum.mean && count > 0) {
      const __m256 scale = _mm256_set1_ps(1.0f / static_cast<float>(count));
      for (auto& one : total) one = _mm256_mul_ps(one, scale);
    }
    float* out = sum.out + i * sum.stride + begin;
    for (int v = 0; v < vectors - 1; ++v) _mm256_storeu_ps(out + v * kLanes, total[v]);
    _mm256_storeu_ps(out + last, total[vectors - 1]);
  }
  return -1;
}

template <RowType type>
int64_t sum_of(const Sum& sum) {
  using Stretch = int64_t (*)(const Sum&, int64_t, int64_t);
  static constexpr Stretch kStretches[kMaxVectors] = {
      sum_stretch<type, 1>,  sum_stretch<type, 2>,  sum_stretch<type, 3>,  sum_stretch<type, 4>,
      sum_stretch<type, 5>,  sum_stretch<type, 6>,  sum_stretch<type, 7>,  sum_stretch<type, 8>,
      sum_stretch<type, 9>,  sum_stretch<type, 10>, sum_stretch<type, 11>, sum_stretch<type, 12>,
      sum_stretch<type, 13>, sum_stretch<type, 14>};
  const int64_t columns = sum.table.columns;
  for (int64_t begin = 0; begin < columns;) {
    if (columns - begin < kLanes) begin = columns - kLanes;  // overlaps the stretch before
    const int64_t left = (columns - begin + kLanes - 1) / kLanes;
    const int64_t vectors = left < kMaxVectors ? left : kMaxVectors;
    const int64_t width = vectors * kLanes < columns - begin ? vectors * kLanes : columns - begin;
    if (const int64_t bad = kStretches[vectors - 1](sum, begin, width - kLanes); bad >= 0) return bad;
    begin += width;
  }
  return -1;
}

template <RowType type>
void convert(const std::byte* row, int64_t columns, float* out) {
  for (int64_t c = 0; c + kLanes <= columns; c += kLanes)
    _mm256_storeu_ps(out + c, load<type>(row + c * kBytes<type>));
  const int64_t last = columns - kLanes;
  if (columns % kLanes != 0) _mm256_storeu_ps(out + last, load<type>(row + last * kBytes<type>));
}

// Row ids[i], or i without ids, goes to row positions[i], or i without positions.
template <RowType type, bool with_ids, bool with_positions>
int64_t copy_rows(const RowTable& table, const int32_t* ids, const int32_t* positions, int64_t n, float* out,
                  int64_t stride) {
  const int64_t row_bytes = table.columns * kBytes<type>;
  const auto rows = static_cast<uint64_t>(table.rows);
  const auto id_of = [&](int64_t i) { return with_ids ? int64_t{ids[i]} : i; };
  for (int64_t i = 0; i < n; ++i) {
    if (i + kRowsAhead < n) touch(table.data + id_of(i + kRowsAhead) * row_bytes, row_bytes);
    if (static_cast<uint64_t>(id_of(i)) >= rows) return i;
    convert<type>(table.data + id_of(i) * row_bytes, table.columns,
                  out + (with_positions ? positions[i] : i) * stride);
  }
  return -1;
}

template <bool with_ids, bool with_positions>
int64_t copy_any(const RowTable& table, const int32_t* ids, const int32_t* positions, size_t count,
                 float* out, int64_t stride) {
  const auto n = static_cast<int64_t>(count);
  switch (table.type) {
    case RowType::f32:
      return copy_rows<RowType::f32, with_ids, with_positions>(table, ids, positions, n, out, stride);
    case RowType::f16:
      return copy_rows<RowType::f16, with_ids, with_positions>(table, ids, positions, n, out, stride);
    case RowType::bf16:
      return copy_rows<RowType::bf16, with_ids, with_positions>(table, ids, positions, n, out, stride);
    case RowType::u8:
      return copy_rows<RowType::u8, with_ids, with_positions>(table, ids, positions, n, out, stride);
  }
  return 0;
}

int64_t gather(const RowTable& table, std::span<const int32_t> ids, float* out, int64_t stride) {
  if (table.columns < kLanes) return kPlainKernels.gather(table, ids, out, stride);
  return copy_any<true, false>(table, ids.data(), nullptr, ids.size(), out, stride);
}

int64_t sum(const RowTable& table, std::span<const int32_t> offsets, std::span<const int32_t> sources,
            bool mean, float* out, int64_t stride) {
  if (offsets.empty()) return -1;
  if (table.columns < kLanes) return kPlainKernels.sum(table, offsets, sources, mean, out, stride);
  const Sum all{table, offsets.data(), static_cast<int64_t>(offsets.size()) - 1, sources.data(), mean,
                out,   stride};
  switch (table.type) {
    case RowType::f32:
      return sum_of<RowType::f32>(all);
    case RowType::f16:
      return sum_of<RowType::f16>(all);
    case RowType::bf16:
      return sum_of<RowType::bf16>(all);
    case RowType::u8:
      return sum_of<RowType::u8>(all);
  }
  return 0;
}

int64_t place(const RowTable& table, std::span<const int32_t> ids, std::span<const int32_t> positions,
              float* out, int64_t stride) {
  if (table.columns < kLanes) return kPlainKernels.place(table, ids, positions, out, stride);
  const int32_t* to = positions.data();
  return ids.empty() ? copy_any<false, true>(table, nullptr, to, positions.size(), out, stride)
                     : copy_any<true, true>(table, ids.data(), to, positions.size(), out, stride);
}

}  // namespace

const Kernels kAvx2Kernels{"avx2", gather, sum, place};

}  // namespace gnnflow
#pragma GCC pop_options
#endif
