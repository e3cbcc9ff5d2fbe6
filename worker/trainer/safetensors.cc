// Writes and reads .safetensors.
#include "worker/trainer/safetensors.h"

#include <bit>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "common/base/json.h"

namespace gnnflow {
namespace {

static_assert(std::endian::native == std::endian::little);
constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxHeaderBytes = size_t{100} << 20;  // the format's own limit

Result<SafetensorsFile::Tensor> decode_tensor(const Json& entry, std::string_view data, size_t& next,
                                              std::string_view where) {
  Fields fields(entry, where);
  const std::string dtype = fields.text("dtype");
  const Json& shape = fields.list("shape");
  const Json& offsets = fields.list("data_offsets");
  TRY(fields.finish());
  if (dtype != "F32") return Error{Cause::bad_data, fmt::format("{}: dtype {} is not F32", where, dtype)};
  SafetensorsFile::Tensor tensor;
  int64_t count = 1;
  for (const Json& one : shape.array()) {
    if (!one.is_integer() || one.integer() < 0 || __builtin_mul_overflow(count, one.integer(), &count)) {
      return Error{Cause::bad_data, fmt::format("{}: bad shape {}", where, shape.dump())};
    }
    tensor.shape.push_back(one.integer());
  }
  const auto& bounds = offsets.array();
  int64_t bytes = 0;
  if (bounds.size() != 2 || !bounds[0].is_integer() || !bounds[1].is_integer() || bounds[0].integer() < 0 ||
      bounds[1].integer() < bounds[0].integer() || bounds[1].integer() > static_cast<int64_t>(data.size()) ||
      __builtin_mul_overflow(count, int64_t{sizeof(float)}, &bytes) ||
      bounds[1].integer() - bounds[0].integer() != bytes) {
    return Error{Cause::bad_data, fmt::format("{}: data_offsets {} do not fit shape {} and {} bytes of data",
                                              where, offsets.dump(), shape.dump(), data.size())};
  }
  next += static_cast<size_t>(bytes);
  tensor.values.resize(static_cast<size_t>(count));
  if (bytes > 0)
    std::memcpy(tensor.values.data(), data.data() + bounds[0].integer(), static_cast<size_t>(bytes));
  return tensor;
}

}  // namespace

std::string encode_safetensors(std::span<const NamedTensor> tensors,
                               const std::map<std::string, std::string>& metadata) {
  Json header{Json::Object{}};
  if (!metadata.empty()) {
    for (const auto& [key, value] : metadata) header["__metadata__"][key] = value;
  }
  int64_t at = 0;
  for (const NamedTensor& tensor : tensors) {
    Json entry;
    Json::Array shape;
    for (const int64_t one : tensor.shape) shape.push_back(one);
    const auto bytes = static_cast<int64_t>(tensor.values.size_bytes());
    entry["dtype"] = "F32";
    entry["shape"] = shape;
    entry["data_offsets"] = Json::Array{at, at + bytes};
    header[tensor.name] = entry;
    at += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // data is aligned
  std::string out(kLengthBytes, '\0');
  const uint64_t length = text.size();
  std::memcpy(out.data(), &length, kLengthBytes);
  out += text;
  for (const NamedTensor& tensor : tensors) {
    out.append(reinterpret_cast<const char*>(tensor.values.data()), tensor.values.size_bytes());
  }
  return out;
}

Result<SafetensorsFile> decode_safetensors(std::string_view bytes, std::string_view where) {
  uint64_t length = 0;
  if (bytes.size() >= kLengthBytes) std::memcpy(&length, bytes.data(), kLengthBytes);
  if (bytes.size() < kLengthBytes || length > kMaxHeaderBytes || length > bytes.size() - kLengthBytes) {
    return Error{Cause::bad_data,
                 fmt::format("{}: not a .safetensors file, or cut short ({} bytes)", where, bytes.size())};
  }
  const auto header = Json::parse(bytes.substr(kLengthBytes, length));
  if (!header || !header->is_object())
    return Error{Cause::bad_data, fmt::format("{}: its header is no JSON map", where)};
  const std::string_view data = bytes.substr(kLengthBytes + length);
  SafetensorsFile file;
  size_t used = 0;
  for (const auto& [name, entry] : header->object()) {
    if (name == "__metadata__") {
      if (!entry.is_object()) return Error{Cause::bad_data, fmt::format("{}: __metadata__ is no map", where)};
      for (const auto& [key, value] : entry.object()) {
        if (!value.is_string())
          return Error{Cause::bad_data, fmt::format("{}: __metadata__.{} is no text", where, key)};
        file.metadata[key] = value.string();
      }
      continue;
    }
    TRY(auto tensor, decode_tensor(entry, data, used, fmt::format("{}: tensor '{}'", where, name)));
    file.tensors.emplace(name, std::move(tensor));
  }
  if (used != data.size()) {
    return Error{Cause::bad_data,
                 fmt::format("{}: {} bytes of data, but its tensors have {}", where, data.size(), used)};
  }
  return file;
}

}  // namespace gnnflow
