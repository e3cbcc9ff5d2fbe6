// The header of a .npy file: read strictly, written as NumPy writes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/graph/ids.h"

namespace gnnflow {

struct NpyHeader {
  Dtype dtype = Dtype::u1;  // never bf16: the file cannot say it
  std::vector<int64_t> shape;
  int64_t header_bytes = 0;  // data begins here
  int64_t data_bytes = 0;    // product of shape and element size
};

// `file`: at least the header. The error says what is wrong, without the file's name.
Result<NpyHeader> read_npy_header(std::span<const std::byte> file);
std::string make_npy_header(Dtype dtype, std::span<const int64_t> shape);

}  // namespace gnnflow
