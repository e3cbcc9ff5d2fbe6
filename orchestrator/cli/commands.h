// The commands: one table, one function each.
#pragma once

#include <string>
#include <vector>

#include "common/base/result.h"
#include "orchestrator/cli/command_line.h"
#include "orchestrator/cli/console.h"

namespace gnnflow {

// Each returns its exit code, or what went wrong.
Result<int> run_command(const CommandLine& line, const Console& console);
Result<int> plan_command(const CommandLine& line, const Console& console);
Result<int> status_command(const CommandLine& line, const Console& console);
Result<int> logs_command(const CommandLine& line, const Console& console);
Result<int> retry_command(const CommandLine& line, const Console& console);
Result<int> stop_command(const CommandLine& line, const Console& console);
Result<int> hosts_command(const CommandLine& line, const Console& console);
Result<int> gc_command(const CommandLine& line, const Console& console);
Result<int> hand_over_command(const CommandLine& line,
                              const Console& console);  // does not return when it succeeds
Result<int> version_command(const CommandLine& line, const Console& console);
Result<int> help_command(const CommandLine& line, const Console& console);

// Parses, does, tells errors on stderr; returns the exit code of the process.
int run_gnnflow(const std::vector<std::string>& arguments, const Console& console);

}  // namespace gnnflow
