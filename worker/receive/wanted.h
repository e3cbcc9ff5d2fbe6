// What requests have in common: a root that nothing leaves, and lists of files.
#pragma once

#include <string>
#include <vector>

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/result.h"

namespace gnnflow {

struct WantedFile {
  std::string path;
  int64_t bytes = 0, offset = 0;
  std::string digest;
  bool executable = false;
};

Result<fs::path> root_of(const Json& request);  // absolute
// `files`, each path below `at` (a member of the request, which may be empty); digests are checked for their
// shape.
Result<std::vector<WantedFile>> files_of(const Json& request, std::string_view at);

}  // namespace gnnflow
