// Reading the members that requests share.
#include "worker/receive/wanted.h"

#include <fmt/format.h>

#include "common/base/digest.h"
#include "common/base/incoming.h"

namespace gnnflow {
namespace {

Error bad_request(std::string message) { return {Cause::bad_data, "a request: " + std::move(message)}; }

}  // namespace

Result<fs::path> root_of(const Json& request) {
  fs::path root = fs::path(request.text_or("root", "")).lexically_normal();
  if (!root.is_absolute()) return bad_request(fmt::format("root '{}' is not absolute", root.string()));
  if (!root.has_filename()) root = root.parent_path();
  return root;
}

Result<std::vector<WantedFile>> files_of(const Json& request, std::string_view at) {
  if (!request.get("files").is_array()) return bad_request("'files' is no list");
  const fs::path folder = request.text_or(at, "");
  std::vector<WantedFile> files;
  for (const Json& row : request.get("files").array()) {
    WantedFile file{(folder / row.text_or("path", "")).string(), row.integer_or("bytes", -1),
                    row.integer_or("offset", 0), row.text_or("digest", ""),
                    row.boolean_or("executable", false)};
    if (!is_inside(file.path))
      return bad_request(fmt::format("'{}' is not a plain relative path", file.path));
    if (!is_digest(file.digest))
      return bad_request(fmt::format("{}: '{}' is not a digest", file.path, file.digest));
    if (file.bytes < 0 || file.offset < 0) return bad_request(file.path + ": it has no size");
    files.push_back(std::move(file));
  }
  return files;
}

}  // namespace gnnflow
