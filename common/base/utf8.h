// Text of others that may be no UTF-8, and that a terminal is to show and not to obey.
#pragma once

#include <cstddef>
#include <string_view>

namespace gnnflow {

// Bytes of the well-formed character that `text` begins with, 0 if it begins with none.
size_t utf8_length(std::string_view text);
// One character or bad byte that a terminal would not show but obey or drop: C0, DEL, C1 and what is no
// UTF-8.
bool is_unprintable(std::string_view letter);

}  // namespace gnnflow
