// Parsing by CLI11.
#include "orchestrator/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr const char* kAbout =
    "gnnflow trains graph neural networks on several machines: one workflow file says what is made, where, "
    "from what.";
constexpr const char* kFooter =
    "Exit codes: 0 done, 1 a step failed, 2 wrong use, 3 the workflow file is wrong, 4 no such thing, 5 "
    "another controller\n"
    "holds the state, 6 host or peer unreachable, 12 damaged data, 13 no memory or disk, 75 run again, 130 "
    "Ctrl-C.\n"
    "All of them, and more about each command: docs/operations.md; about the workflow file: "
    "docs/workflow.md.";

std::function<std::string(const std::string&)> at_least(int64_t least) {
  return [least](const std::string& text) {
    std::optional<int64_t> number = parse_integer(text);
    return number && *number >= least ? "" : fmt::format("'{}' is no number from {} on", text, least);
  };
}

struct Parser {
  CLI::App app{kAbout, "gnnflow"};
  CommandLine line;
  std::string file, state, colour;
  std::string first, second;  // of logs: [FILE] STEP
  bool version = false;

  Parser() {
    app.require_subcommand(0, 1);
    app.add_flag("--version", version, "Show version, commit, compiler and libraries");
    add_run();
    add_plan();
    add_status();
    add_logs();
    add_hand_over("graph", "Make or look at graphs: import, generate, info, verify, sample, list");
    add_hand_over("partition", "Cut a graph into parts");
    app.footer(kFooter);  // after the commands: they would repeat it
  }

  CLI::App* command(const char* name, const char* about) { return app.add_subcommand(name, about); }

  void add_state(CLI::App* sub) {
    sub->add_option("--state", state, "Folder of the state; default: .gnnflow/<name> beside the workflow")
        ->type_name("DIR");
  }
  void add_file(CLI::App* sub, bool required) {
    CLI::Option* option = sub->add_option("FILE", file, "The workflow file")->type_name("");
    if (required) option->required();
  }
  void add_set(CLI::App* sub) {
    sub->add_option("--set", line.set, "Give a parameter another value than its default; may be repeated")
        ->type_name("NAME=VALUE")
        ->take_all()
        ->expected(1)
        ->allow_extra_args(false);
  }
  void add_json(CLI::App* sub, const char* about) { sub->add_flag("--json", line.json, about); }
  void add_run_number(CLI::App* sub) {
    sub->add_option("--run", line.run, "Number of the run; default: the last")
        ->type_name("N")
        ->check(at_least(1), "", "");
  }

  void add_run() {
    CLI::App* sub = command("run", "Do what the workflow says and is not done yet");
    add_file(sub, true);
    add_set(sub);
    add_state(sub);
    add_json(sub, "Events as NDJSON on stdout");
    sub->add_option("--color", colour, "auto, always or never")
        ->type_name("WHEN")
        ->check(CLI::IsMember({"auto", "always", "never"}));
  }
  void add_plan() {
    CLI::App* sub = command("plan", "Say what `run` would do, and why");
    add_file(sub, true);
    add_set(sub);
    add_state(sub);
    add_json(sub, "As one JSON object");
  }
  void add_status() {
    CLI::App* sub = command(
        "status",
        "Show a run, its steps and tasks; also while it goes on, and after its controller was killed");
    add_file(sub, false);
    add_state(sub);
    add_run_number(sub);
    add_json(sub, "As one JSON object");
    sub->add_flag("--exit-code", line.exit_code,
                  "End with 10 when running, 11 when interrupted, else with the run's exit code");
  }
  void add_logs() {
    CLI::App* sub = command("logs", "Show the log of a step's task");
    sub->add_option("FILE", first, "The workflow file, where there are several")->type_name("");
    sub->add_option("STEP", second, "The step")->type_name("");
    sub->add_option("--task", line.task, "Number of the task; default: the first that failed, else 0")
        ->type_name("N")
        ->check(at_least(0), "", "");
    add_run_number(sub);
    add_state(sub);
  }
  void add_hand_over(const char* name, const char* about) {
    CLI::App* sub = command(name, about);
    sub->prefix_command();
    sub->set_help_flag("");
  }

  void take(const CLI::App& chosen) {
    line.command = chosen.get_name();
    line.file = file;
    line.state = state;
    if (colour == "always") line.colour = ColourMode::always;
    if (colour == "never") line.colour = ColourMode::never;
    if (line.command != "logs") return;
    line.step = second.empty() ? first : second;  // the one word that is needed
    if (!second.empty()) line.file = first;
  }
};

// CLI11 keeps words of an unknown command for last and says little about them.
std::optional<Error> unknown_command(const Parser& parser, const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments[0].starts_with('-')) return std::nullopt;
  std::vector<std::string> names;
  for (const CLI::App* sub : parser.app.get_subcommands([](const CLI::App*) { return true; })) {
    if (sub->get_name() == arguments[0]) return std::nullopt;
    names.push_back(sub->get_name());
  }
  std::optional<std::string> near = nearest(arguments[0], names);
  return Error{Cause::bad_usage, fmt::format("unknown command '{}'{}", arguments[0],
                                             near ? fmt::format("; did you mean '{}'?", *near)
                                                  : fmt::format("; there are {}", join(names, ", ")))};
}

}  // namespace

Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments) {
  Parser parser;
  if (std::optional<Error> unknown = unknown_command(parser, arguments)) return std::move(*unknown);
  // What follows is the worker's to read, also when it looks like an option of ours.
  if (!arguments.empty() && (arguments[0] == "graph" || arguments[0] == "partition")) {
    parser.line.command = arguments[0];
    parser.line.rest.assign(arguments.begin() + 1, arguments.end());
    return std::move(parser.line);
  }
  try {
    parser.app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    parser.line.command = "help";
    parser.line.text = parser.app.help();  // of the command, when one was named
    return std::move(parser.line);
  } catch (const CLI::ParseError& error) {
    const std::vector<CLI::App*> chosen = parser.app.get_subcommands();
    return Error{Cause::bad_usage, fmt::format("{}; see `gnnflow {}--help`", trimmed(error.what()),
                                               chosen.empty() ? "" : chosen[0]->get_name() + " ")};
  }
  const std::vector<CLI::App*> chosen = parser.app.get_subcommands();
  if (parser.version) {
    parser.line.command = "version";
  } else if (chosen.empty()) {
    return Error{Cause::bad_usage, "which command? See `gnnflow --help`"};
  } else {
    parser.take(*chosen[0]);
    if (parser.line.command == "logs" && parser.line.step.empty()) {
      return Error{Cause::bad_usage, "STEP is required; see `gnnflow logs --help`"};
    }
  }
  return std::move(parser.line);
}

}  // namespace gnnflow
