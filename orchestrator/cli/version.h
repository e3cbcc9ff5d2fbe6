// What this program is: version, commit, compiler, libraries.
#pragma once

#include <string>

namespace gnnflow {

std::string version_text();

}  // namespace gnnflow
