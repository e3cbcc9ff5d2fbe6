// Where the public data sets of the tests lie. Cora is in the tree; the others are used where they are.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/file.h"

namespace gnnflow {

inline fs::path cora_folder() { return fs::path(GNNFLOW_SOURCE_FOLDER) / "tests/data/cora"; }

// Nothing, and a line that counts as "not run", when the set is not here.
inline std::optional<fs::path> data_set(std::string_view name) {
  const char* told = std::getenv("GNNFLOW_DATA");
  const fs::path root = told != nullptr ? fs::path(told) : fs::path(GNNFLOW_SOURCE_FOLDER) / "../shared/data";
  std::error_code ignored;
  if (fs::exists(root / name / "dataset.json", ignored)) return root / name;
  std::printf("not run: %s (no GNNFLOW_DATA)\n", std::string(name).c_str());
  return std::nullopt;
}

}  // namespace gnnflow
