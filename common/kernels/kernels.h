// Row kernels: gather, sum and mean over rows of a table, in the instruction set of this CPU. All sets give
// results that agree as the tests say; the plain set is the reference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace gnnflow {

enum class RowType : uint8_t { f32, f16, bf16, u8 };  // element type of a stored row

struct RowTable {
  const std::byte* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  RowType type = RowType::f32;
};

// One instruction set's functions. Ids are rows of the table. They return the position of the first id that
// is out of range, or -1; output is then unspecified. Plain function pointers: a table, not a hierarchy.
struct Kernels {
  std::string_view name;  // "plain", "avx2", "avx512"

  // out[i, :] = float(table[ids[i], :]); out is [n, stride] f32, stride >= columns.
  int64_t (*gather)(const RowTable& table, std::span<const int32_t> ids, float* out, int64_t stride);
  // out[i, :] = scale_i * sum over offsets[i] <= e < offsets[i+1] of table[sources[e], :]; in order of e.
  // With mean, scale_i is 1/count (0 rows: zeros), else 1.
  int64_t (*sum)(const RowTable& table, std::span<const int32_t> offsets, std::span<const int32_t> sources,
                 bool mean, float* out, int64_t stride);
  // out[positions[i], :] = float(table[ids[i], :]): a gather whose rows go to given places. Without ids: rows
  // in order.
  int64_t (*place)(const RowTable& table, std::span<const int32_t> ids, std::span<const int32_t> positions,
                   float* out, int64_t stride);
};

// The set used by this process: the best the CPU has, or what GNNFLOW_KERNELS=plain|avx2|avx512 names.
// Another name, or one that this CPU lacks, ends the program with 2.
const Kernels& kernels();
// All that this CPU can run, plain first, best last.
std::span<const Kernels* const> all_kernels();

extern const Kernels kPlainKernels, kAvx2Kernels, kAvx512Kernels;  // REQUIRES of use: in all_kernels()

int64_t bytes_of(RowType type);
float float_of_half(uint16_t half);
uint16_t half_of_float(float value);  // round to nearest even

}  // namespace gnnflow
