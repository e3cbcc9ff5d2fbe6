// This process as the controller of a workflow: state, hosts, view and engine put together.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/cli/command_line.h"
#include "orchestrator/cli/console.h"
#include "orchestrator/cli/state_place.h"
#include "orchestrator/engine/engine.h"

namespace gnnflow {

// A workflow as `run` and `retry` want it done.
struct RunWish {
  std::string command;  // "run", "retry"
  Workflow workflow;
  std::string digest;  // of the file as loaded
  StatePlace place;
  std::vector<std::string> only;  // of a retry: steps
};

// Loads the file with what the command line sets; `params` are those of an earlier run, or null.
Result<RunWish> load_wish(const CommandLine& line, const Console& console, const fs::path& file,
                          const Json& params);

// Does it, here or with --detach in the background. The exit code of the run, or why there was none.
Result<int> carry_out(const RunWish& wish, const CommandLine& line, const Console& console);

// Where there is nothing to carry out: its last line, shown as a run shows it.
void tell_end(const RunWish& wish, const CommandLine& line, const Console& console, std::string_view text);

// Ends what dead controllers have left on the hosts of the state. 6: of a host that cannot be asked.
Result<int> end_leftovers(const Workflow& workflow, const fs::path& state, const CommandLine& line,
                          const Console& console);

}  // namespace gnnflow
