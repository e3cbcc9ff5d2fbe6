// Before the YAML parser: finds `${...}` without quotes inside { } and [ ], which is no YAML, and quotes
// never closed.
#pragma once

#include <string>
#include <string_view>

#include "orchestrator/workflow/problems.h"

namespace gnnflow {

// Stand for the braces of an unquoted `${...}` in a flow collection, so that the rest of the file can still
// be parsed and all errors be told in one pass. Neither may stand in a file otherwise.
constexpr char kOpenBrace = '\x02';
constexpr char kCloseBrace = '\x03';

// The text to parse: the same length, with such braces replaced; each was told to `problems`.
std::string scan_flow(std::string_view text, Problems& problems);

}  // namespace gnnflow
