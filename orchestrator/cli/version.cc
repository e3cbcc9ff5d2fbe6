// The build's own description; the definitions come from CMakeLists.txt.
#include "orchestrator/cli/version.h"

#include <fmt/format.h>

namespace gnnflow {

std::string version_text() {
  return fmt::format("gnnflow {}\ncommit {}\ncompiler {}\nlibraries {}\n", GNNFLOW_VERSION, GNNFLOW_COMMIT,
                     GNNFLOW_COMPILER, GNNFLOW_LIBRARIES);
}

}  // namespace gnnflow
