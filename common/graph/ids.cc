// Names and sizes of element types: one table.
#include "common/graph/ids.h"

#include <array>
#include <limits>

namespace gnnflow {
namespace {

struct Row {
  Dtype dtype;
  int64_t bytes;
  std::string_view name, descr;
};

constexpr std::array<Row, 10> kTable = {{
    {Dtype::u1, 1, "u1", "|u1"},
    {Dtype::i1, 1, "i1", "|i1"},
    {Dtype::u2, 2, "u2", "<u2"},
    {Dtype::i2, 2, "i2", "<i2"},
    {Dtype::i4, 4, "i4", "<i4"},
    {Dtype::i8, 8, "i8", "<i8"},
    {Dtype::f2, 2, "f2", "<f2"},
    {Dtype::bf16, 2, "bf16", "<u2"},
    {Dtype::f4, 4, "f4", "<f4"},
    {Dtype::f8, 8, "f8", "<f8"},
}};

const Row& row_of(Dtype dtype) { return kTable[static_cast<size_t>(dtype)]; }

}  // namespace

int64_t bytes_of(Dtype dtype) { return row_of(dtype).bytes; }

std::string_view name_of(Dtype dtype) { return row_of(dtype).name; }

std::optional<Dtype> dtype_named(std::string_view name) {
  for (const Row& row : kTable) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

std::string_view numpy_descr(Dtype dtype) { return row_of(dtype).descr; }

Dtype dtype_for_ids(int64_t count) {
  return count <= int64_t{std::numeric_limits<int32_t>::max()} + 1 ? Dtype::i4 : Dtype::i8;
}

}  // namespace gnnflow
