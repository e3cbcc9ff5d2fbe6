// The table of commands, and those that fit in a few lines.
#include "orchestrator/cli/commands.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <unistd.h>

#include "common/base/child_process.h"
#include "orchestrator/cli/version.h"

namespace gnnflow {
namespace {

struct Command {
  std::string_view name;
  Result<int> (*function)(const CommandLine&, const Console&);
};

constexpr Command kCommands[] = {
    {"run", run_command},         {"plan", plan_command},       {"status", status_command},
    {"logs", logs_command},       {"graph", hand_over_command}, {"partition", hand_over_command},
    {"version", version_command}, {"help", help_command},
};

// What `gnnflow graph` hands over; `gnnflow partition` is the command of that name itself.
constexpr std::string_view kGraphCommands[] = {"import", "generate", "info", "verify", "sample", "list"};

int tell(const Error& error, const Console& console) {
  // Errors of a workflow file begin with their place.
  std::string_view prefix = error.cause == Cause::bad_workflow ? "" : "gnnflow: ";
  console.err(fmt::format("{}{}\n", prefix, error.message));
  return exit_code(error.cause);
}

}  // namespace

int run_gnnflow(const std::vector<std::string>& arguments, const Console& console) {
  Result<CommandLine> line = parse_command_line(arguments);
  if (!line) return tell(line.error(), console);
  const Command* command = std::find_if(std::begin(kCommands), std::end(kCommands),
                                        [&](const Command& c) { return c.name == line->command; });
  if (command == std::end(kCommands)) bug(fmt::format("the command '{}' has no function", line->command));
  Result<int> done = command->function(*line, console);
  return done ? *done : tell(done.error(), console);
}

Result<int> hand_over_command(const CommandLine& line, const Console&) {
  std::vector<std::string> words = line.rest;
  if (line.command == "partition") {
    words.insert(words.begin(), "partition");
  } else {
    bool help = !words.empty() && (words[0] == "--help" || words[0] == "-h");
    bool known = !words.empty() && std::find(std::begin(kGraphCommands), std::end(kGraphCommands),
                                             words[0]) != std::end(kGraphCommands);
    if (!known && !help) {
      return Error{Cause::bad_usage,
                   fmt::format("graph {}: write one of {}", words.empty() ? "what?" : words[0],
                               fmt::join(kGraphCommands, ", "))};
    }
  }
  std::string program = program_beside("gnnflow-worker").string();
  std::vector<char*> argv = {program.data()};
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  return system_error(fmt::format("starting {}", program), errno);
}

Result<int> version_command(const CommandLine&, const Console& console) {
  console.out(version_text());
  return 0;
}

Result<int> help_command(const CommandLine& line, const Console& console) {
  console.out(line.text);
  return 0;
}

}  // namespace gnnflow
