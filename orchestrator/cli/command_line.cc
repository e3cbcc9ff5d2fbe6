// Parsing by CLI11.
#include "orchestrator/cli/command_line.h"

#include <algorithm>

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
  std::string first, second;      // of logs: [FILE] STEP; of stop: [FILE] [RUN]
  std::vector<std::string> more;  // of retry: [FILE] [RUN] [STEP...]
  bool version = false;

  Parser() {
    app.require_subcommand(0, 1);
    app.add_flag("--version", version, "Show version, commit, compiler and libraries");
    add_run();
    add_plan();
    add_status();
    add_logs();
    add_retry();
    add_stop();
    add_hosts();
    add_gc();
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

  void add_colour(CLI::App* sub) {
    sub->add_option("--color", colour, "auto, always or never")
        ->type_name("WHEN")
        ->check(CLI::IsMember({"auto", "always", "never"}));
  }
  // What `run` and `retry` have in common.
  void add_running(CLI::App* sub) {
    add_set(sub);
    add_state(sub);
    add_json(sub, "Events as NDJSON on stdout");
    sub->add_flag("--detach", line.detach,
                  "Go on in the background; what it says goes to STATE/controller.log")
        ->excludes("--json");
    add_colour(sub);
  }

  void add_run() {
    CLI::App* sub = command("run", "Do what the workflow says and is not done yet");
    add_file(sub, true);
    add_running(sub);
  }
  void add_plan() {
    CLI::App* sub = command("plan", "Say what `run` would do, and why");
    add_file(sub, true);
    sub->add_flag("--verify", line.verify, "Read what was made, on every host, and say what is damaged (12)");
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
    sub->add_flag("--watch", line.watch, "Show it again as it changes, until it has ended")
        ->excludes("--json");
    sub->add_flag("--exit-code", line.exit_code,
                  "End with 10 when running, 11 when interrupted, else with the run's exit code");
    add_colour(sub);
  }
  void add_logs() {
    CLI::App* sub = command("logs", "Show the log of a step's task");
    sub->add_option("FILE", first, "The workflow file, where there are several")->type_name("");
    sub->add_option("STEP", second, "The step")->type_name("");
    sub->add_option("--task", line.task, "Number of the task; default: the first that failed, else 0")
        ->type_name("N")
        ->check(at_least(0), "", "");
    sub->add_flag("-f,--follow", line.follow, "Go on with what it writes, until it has ended");
    add_run_number(sub);
    add_state(sub);
  }
  void add_retry() {
    CLI::App* sub =
        command("retry",
                "Make a new attempt of what failed in a run and of what follows, with that run's parameters");
    sub->add_option("FILE", first, "The workflow file, where there are several")->type_name("");
    sub->add_option("RUN", second, "Number of the run; default: the last")->type_name("");
    sub->add_option("STEP", more, "Only these steps and what follows them")->type_name("");
    add_running(sub);
  }
  void add_stop() {
    CLI::App* sub = command("stop", "End what runs, and wait until it has ended");
    sub->add_option("FILE", first, "The workflow file, where there are several")->type_name("");
    sub->add_option("RUN", second, "Number of the run; default: the one that runs")->type_name("");
    add_state(sub);
  }
  void add_hosts() {
    CLI::App* sub = command("hosts", "Show the hosts of a workflow, try them, learn their keys");
    sub->require_subcommand(0, 1);
    CLI::App* list = sub->add_subcommand("list", "Show each host, its address, and when it was last seen");
    add_file(list, false);
    CLI::App* check = sub->add_subcommand(
        "check",
        "Try every host and every pair of them, and say what would stop a run; leaves nothing running");
    add_file(check, true);
    CLI::App* trust = sub->add_subcommand(
        "trust", "Show the keys of the hosts that are not known yet, and record them once you agree");
    add_file(trust, true);
    trust->add_option("HOST", line.hosts, "Only these hosts")->type_name("");
    trust->add_flag("--yes", line.yes, "Record them without asking");
    for (CLI::App* action : {list, check, trust}) {
      add_set(action);
      add_state(action);
      if (action != trust) add_json(action, "As one JSON object");
    }
  }
  void add_gc() {
    CLI::App* sub = command("gc", "Remove here and on every host what no kept run needs");
    add_file(sub, false);
    sub->add_flag("--dry-run", line.dry_run, "Say what would be removed, and remove nothing");
    sub->add_option("--keep", line.keep,
                    "How many results of each step, and how many runs, are kept; default: 1")
        ->type_name("N")
        ->check(at_least(1), "", "");
    sub->add_flag("--all", line.all,
                  "Remove everything of this workflow, results too, but the history of its runs");
    add_set(sub);
    add_state(sub);
    add_json(sub, "As one JSON object");
  }
  void add_hand_over(const char* name, const char* about) {
    CLI::App* sub = command(name, about);
    sub->prefix_command();
    sub->set_help_flag("");
  }

  Status take(const CLI::App& chosen) {
    line.command = chosen.get_name();
    for (const CLI::App* action : chosen.get_subcommands()) line.action = action->get_name();
    line.file = file;
    line.state = state;
    if (colour == "always") line.colour = ColourMode::always;
    if (colour == "never") line.colour = ColourMode::never;
    if (line.command == "logs") return take_logs();
    if (line.command == "retry" || line.command == "stop") return take_run_words();
    return {};
  }

  Status take_logs() {
    line.step = second.empty() ? first : second;  // the one word that is needed
    if (!second.empty()) line.file = first;
    if (line.step.empty()) return Error{Cause::bad_usage, "STEP is required; see `gnnflow logs --help`"};
    return {};
  }

  // [FILE] [RUN] [STEP...]: a file has a '.' or '/' in it, which no step's name has; a number is the run.
  Status take_run_words() {
    std::vector<std::string> words = {first, second};
    std::erase(words, "");
    words.insert(words.end(), more.begin(), more.end());
    auto word = words.begin();
    if (word != words.end() && !is_name(*word)) line.file = *word++;
    if (word != words.end()) {
      if (std::optional<int64_t> number = parse_integer(*word)) {
        line.run = *number;
        ++word;
        if (line.run < 1) {
          return Error{Cause::bad_usage,
                       fmt::format("RUN is a number from 1 on, not {}; see `gnnflow {} --help`", line.run,
                                   line.command)};
        }
      }
    }
    line.steps.assign(word, words.end());
    if (line.command == "stop" && !line.steps.empty()) {
      const std::string hint =
          line.run > 0
              ? ""
              : fmt::format("; a workflow file without '.' in its name is written ./{}", line.steps[0]);
      return Error{Cause::bad_usage, fmt::format("RUN is a number, not '{}'{}; see `gnnflow stop --help`",
                                                 line.steps[0], hint)};
    }
    return {};
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

// Neither does it say which option was meant.
std::optional<std::string> unknown_option(const CLI::App& chosen, const std::vector<std::string>& arguments) {
  std::vector<std::string> known;
  for (const CLI::Option* option : chosen.get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    for (const std::string& name : option->get_snames()) known.push_back("-" + name);
  }
  for (const std::string& argument : arguments) {
    const std::string name = argument.substr(0, argument.find('='));
    if (name == "--") return std::nullopt;
    if (!name.starts_with('-') || std::find(known.begin(), known.end(), name) != known.end()) continue;
    if (name.size() < 3 && !name.starts_with("--")) continue;  // "-", or letters that stand together
    std::optional<std::string> near = nearest(name, known);
    return fmt::format("unknown option '{}'{}", name, near ? fmt::format("; did you mean '{}'?", *near) : "");
  }
  return std::nullopt;
}

Error wrong_use(const Parser& parser, const CLI::ParseError& error,
                const std::vector<std::string>& arguments) {
  const auto parsed = [](const CLI::App* sub) { return sub->parsed(); };
  const CLI::App* app = &parser.app;
  std::string words;  // "hosts check "
  for (auto inner = app->get_subcommands(parsed); !inner.empty(); inner = app->get_subcommands(parsed)) {
    app = inner[0];
    words += app->get_name() + " ";
  }
  const bool extra = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  std::optional<std::string> unknown = extra ? unknown_option(*app, arguments) : std::nullopt;
  return {Cause::bad_usage, fmt::format("{}; see `gnnflow {}--help`",
                                        unknown.value_or(std::string(trimmed(error.what()))), words)};
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
    return wrong_use(parser, error, arguments);
  }
  const std::vector<CLI::App*> chosen = parser.app.get_subcommands();
  if (parser.version) {
    parser.line.command = "version";
  } else if (chosen.empty()) {
    return Error{Cause::bad_usage, "which command? See `gnnflow --help`"};
  } else {
    TRY(parser.take(*chosen[0]));
  }
  return std::move(parser.line);
}

}  // namespace gnnflow
