// Programs and libraries of bundles on this machine: files by digest, and a folder of links for each bundle.
#pragma once

#include <string>
#include <vector>

#include "common/base/json.h"
#include "common/base/result.h"

namespace gnnflow {

// A `bundle` request: what is missing or damaged (`missing`), or, with `make`, the folder. Damaged is what
// has not its content: read anew when size, times or inode are not those of the time when it was right.
Result<Json> look_at_bundle(const Json& request);

}  // namespace gnnflow
