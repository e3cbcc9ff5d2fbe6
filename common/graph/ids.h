// Ids and element types of arrays.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gnnflow {

using NodeId = int64_t;  // of a node type: original or new, the name of the variable says which
using EdgeId = int64_t;
constexpr NodeId kNoNode = -1;

// Element types as NumPy names them, little endian. bf16 lies on disk as <u2 with its meaning in the index.
enum class Dtype : uint8_t { u1, i1, u2, i2, i4, i8, f2, bf16, f4, f8 };

constexpr bool is_integer(Dtype dtype) { return dtype <= Dtype::i8; }
constexpr bool is_id(Dtype dtype) { return dtype == Dtype::i4 || dtype == Dtype::i8; }

int64_t bytes_of(Dtype dtype);
std::string_view name_of(Dtype dtype);  // "bf16"
std::optional<Dtype> dtype_named(std::string_view name);
std::string_view numpy_descr(Dtype dtype);  // "<u2" for bf16

// The smallest of i4 and i8 that holds ids below `count`.
Dtype dtype_for_ids(int64_t count);

}  // namespace gnnflow
