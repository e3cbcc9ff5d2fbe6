// `gnnflow run`.
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/controller.h"

namespace gnnflow {

Result<int> run_command(const CommandLine& line, const Console& console) {
  TRY(RunWish wish, load_wish(line, console, line.file, Json()));
  return carry_out(wish, line, console);
}

}  // namespace gnnflow
