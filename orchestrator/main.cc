// gnnflow: the controller and the command line.
#include "orchestrator/cli/commands.h"

int main(int argc, char** argv) {
  return gnnflow::run_gnnflow(std::vector<std::string>(argv + 1, argv + argc), gnnflow::process_console());
}
