// The user's home folder, and paths that begin with "~".
#pragma once

#include <string_view>

#include "common/base/file.h"
#include "common/base/result.h"

namespace gnnflow {

Result<fs::path> home_folder();                       // HOME, else what the system says; any thread
Result<fs::path> expand_home(std::string_view path);  // "~" and "~/x"; all else stays as it is

}  // namespace gnnflow
