// Text through descriptors whose other end may be gone: pipes and terminals.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gnnflow {

// All of it. A reader that is gone (`gnnflow status | head -1`) is no error.
void write_text(int descriptor, std::string_view text);
// Up to the end, or to the first reading after `most` bytes.
std::string read_to_end(int descriptor, size_t most = size_t{1} << 20);

}  // namespace gnnflow
