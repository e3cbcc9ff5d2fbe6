// A short and stable name for each step's newest result: a link in the state folder.
#pragma once

#include <string_view>

#include "common/base/file.h"
#include "common/base/result.h"

namespace gnnflow {

// Makes `<state>/results/<step>` a link to `output`, in the place of the one that was there, and returns its
// path. `controller_root` is `<state>/<store id>/controller`. REQUIRES: `output` lies below it.
Result<fs::path> link_result(const fs::path& controller_root, std::string_view step, const fs::path& output);

}  // namespace gnnflow
