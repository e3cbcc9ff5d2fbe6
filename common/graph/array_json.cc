// Tables of arrays and counts as JSON, read strictly.
#include "common/graph/array_json.h"

#include <fmt/format.h>

#include "common/base/digest.h"

namespace gnnflow {
namespace {

constexpr int64_t kMostThings = int64_t{1} << 48;  // sums and products of counts stay inside 64 bits

Result<ArrayInfo> array_from_json(const std::string& path, const Json& json, const std::string& where) {
  Fields fields(json, where);
  ArrayInfo info;
  info.path = path;
  const auto dtype = dtype_named(fields.text("dtype"));
  info.bytes = fields.integer("bytes");
  info.digest = fields.text("digest");
  for (const Json& length : fields.list("shape").array()) {
    if (!length.is_integer() || length.integer() < 0) {
      fields.fail("'shape' is not a list of numbers");
      break;
    }
    info.shape.push_back(length.integer());
  }
  TRY(fields.finish());
  const auto bad = [&](std::string_view what) {
    return Error{Cause::bad_data, fmt::format("{}: {}", where, what)};
  };
  if (!dtype) return bad("unknown 'dtype'");
  if (info.shape.empty() || info.shape.size() > 2) return bad("'shape' has neither 1 nor 2 numbers");
  if (info.bytes < 0) return bad("'bytes' is negative");
  if (!is_digest(info.digest)) return bad("'digest' is not 32 hexadecimal digits");
  if (!is_inside(path)) return bad("is not a path inside its folder");
  info.dtype = *dtype;
  return info;
}

}  // namespace

Status keep(ArrayTable& arrays, Result<ArrayInfo> written) {
  if (!written) return std::move(written).error();
  std::string path = written->path;
  arrays[std::move(path)] = std::move(*written);
  return {};
}

Json arrays_to_json(const ArrayTable& arrays) {
  Json::Object out;
  for (const auto& [path, info] : arrays) {
    Json::Array shape(info.shape.begin(), info.shape.end());
    out[path] = Json::Object{{"dtype", name_of(info.dtype)},
                             {"shape", std::move(shape)},
                             {"bytes", info.bytes},
                             {"digest", info.digest}};
  }
  return out;
}

Result<ArrayTable> arrays_from_json(const Json& json, std::string_view where) {
  ArrayTable arrays;
  for (const auto& [path, value] : json.object()) {
    TRY(arrays[path], array_from_json(path, value, fmt::format("{}: array '{}'", where, path)));
  }
  return arrays;
}

void digest_arrays(const ArrayTable& arrays, Digester& digester) {
  for (const auto& [path, info] : arrays) {
    digester.add_field(path);
    digester.add_field(name_of(info.dtype));
    digester.add_field(fmt::format("{}", fmt::join(info.shape, ",")));
    digester.add_field(info.digest);
  }
}

Json counts_to_json(const std::map<std::string, int64_t>& counts) {
  Json::Object out;
  for (const auto& [name, count] : counts) out[name] = count;
  return out;
}

Result<std::map<std::string, int64_t>> counts_from_json(const Json& json, std::string_view where) {
  std::map<std::string, int64_t> counts;
  for (const auto& [name, count] : json.object()) {
    if (!count.is_integer() || count.integer() < 0 || count.integer() > kMostThings) {
      return Error{Cause::bad_data,
                   fmt::format("{}: '{}' is {}, not a number of things", where, name, count.dump())};
    }
    counts[name] = count.integer();
  }
  return counts;
}

void digest_counts(std::string_view what, const std::map<std::string, int64_t>& counts, Digester& digester) {
  digester.add_field(what);
  for (const auto& [name, count] : counts) {
    digester.add_field(name);
    digester.add_field(fmt::format("{}", count));
  }
}

}  // namespace gnnflow
