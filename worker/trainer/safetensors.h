// .safetensors: a length, a JSON header, and the bytes of tensors. Ours are f32; Python's package opens them.
//
//  0            8                   8 + n
//  | n (u64 LE) | header (JSON) ... | data: tensors one after the other |
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/base/file.h"
#include "common/base/result.h"

namespace gnnflow {

struct NamedTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::span<const float> values;  // borrowed
};

struct SafetensorsFile {
  struct Tensor {
    std::vector<int64_t> shape;
    std::vector<float> values;
  };
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

std::string encode_safetensors(std::span<const NamedTensor> tensors,
                               const std::map<std::string, std::string>& metadata);
// Every length, offset and shape is checked; bad_data names `where`.
Result<SafetensorsFile> decode_safetensors(std::string_view bytes, std::string_view where);

}  // namespace gnnflow
