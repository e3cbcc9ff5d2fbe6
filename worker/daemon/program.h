// Running a program of the user's own to the end of everything that it has started.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/base/child_process.h"
#include "common/base/stop_signal.h"

namespace gnnflow {

struct Program {
  std::vector<std::string> command;                // argv; a name without '/' is looked up in PATH
  std::map<std::string, std::string> environment;  // added to ours
  fs::path folder;                                 // where it runs
  std::string token;
};

// In a process group of its own, stdin /dev/null; TERM is passed on when `stop` is raised. When it has ended,
// all that it left behind is killed: what this process adopted, and what carries the token. An error: it
// could not be started. REQUIRES: called on the main thread, which lives as long as the process (the program
// dies with it).
Result<ExitState> run_program(const Program& program, const StopSignal& stop);

}  // namespace gnnflow
