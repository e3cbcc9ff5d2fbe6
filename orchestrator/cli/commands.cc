// The table of commands, and those that fit in a few lines.
#include "orchestrator/cli/commands.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <unistd.h>

#include "common/base/child_process.h"
#include "common/base/text.h"
#include "orchestrator/cli/version.h"
#include "orchestrator/workflow/problems.h"

namespace gnnflow {
namespace {

struct Command {
  std::string_view name;
  Result<int> (*function)(const CommandLine&, const Console&);
};

constexpr Command kCommands[] = {
    {"run", run_command},         {"plan", plan_command},
    {"status", status_command},   {"logs", logs_command},
    {"retry", retry_command},     {"stop", stop_command},
    {"hosts", hosts_command},     {"gc", gc_command},
    {"graph", hand_over_command}, {"partition", hand_over_command},
    {"version", version_command}, {"help", help_command},
};

struct GraphCommand {
  std::string_view name, about;
};
// What `gnnflow graph` hands over; `gnnflow partition` is the command of that name itself.
constexpr GraphCommand kGraphCommands[] = {
    {"import", "Make a graph directory from plain .npy files"},
    {"generate", "Make a graph out of a seed"},
    {"info", "Say what a graph or partition holds"},
    {"verify", "Read a graph or partition whole and check it"},
    {"sample", "Show the blocks of one batch in original ids"},
    {"list", "Name the files of a directory, or those that a part needs"},
};

std::string graph_help() {
  std::string text =
      "Make or look at graph directories, without a workflow\n"
      "Usage: gnnflow graph COMMAND ...\n\nCommands:\n";
  for (const GraphCommand& command : kGraphCommands) {
    text += fmt::format("  {:<27} {}\n", command.name, command.about);
  }
  return text + "\n`gnnflow graph COMMAND --help` lists the options.\n";
}

Error unknown_graph_command(const std::vector<std::string>& words) {
  std::vector<std::string> names;
  for (const GraphCommand& command : kGraphCommands) names.emplace_back(command.name);
  const std::string all = join(names, ", ");
  if (words.empty()) return {Cause::bad_usage, "graph what? Write one of " + all};
  const std::string near = suggestion(words[0], names);
  return {Cause::bad_usage, fmt::format("unknown command 'graph {}'{}", words[0],
                                        near.empty() ? "; write one of " + all : near)};
}

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

Result<int> hand_over_command(const CommandLine& line, const Console& console) {
  std::vector<std::string> words = line.rest;
  if (line.command == "partition") {
    words.insert(words.begin(), "partition");
  } else {
    if (!words.empty() && (words[0] == "--help" || words[0] == "-h")) {
      console.out(graph_help());
      return 0;
    }
    const bool known =
        !words.empty() && std::any_of(std::begin(kGraphCommands), std::end(kGraphCommands),
                                      [&](const GraphCommand& c) { return c.name == words[0]; });
    if (!known) return unknown_graph_command(words);
  }
  std::string program = program_beside("gnnflow-worker").string();
  // How it was called: its help says so too.
  std::string name = line.command == "partition" ? "gnnflow" : "gnnflow graph";
  std::vector<char*> argv = {name.data()};
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
