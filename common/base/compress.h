// Zstandard, whole buffers.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace gnnflow {

std::string compress(std::string_view bytes, int level = 3);
// `limit` bounds what a lying header can make us allocate.
Result<std::string> decompress(std::string_view bytes, size_t limit);

}  // namespace gnnflow
