// Parsing by CLI11.
#include "orchestrator/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "common/base/text.h"
#include "common/usage/wrong_use.h"
#include "orchestrator/workflow/problems.h"

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

struct Parser {
  CLI::App app{kAbout, "gnnflow"};
  CommandLine line;
  std::string file, state, colour;
  std::string first, second;      // of logs: [FILE] [STEP]; of stop: [FILE] [RUN]
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
        ->check(whole_number_from(1), "", "");
  }

  void add_colour(CLI::App* sub) {
    sub->add_option("--color", colour, "auto, always or never")
        ->type_name("WHEN")
        ->check(one_of({"auto", "always", "never"}), "", "");
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
    CLI::App* sub = command("logs", "Show the log of a step's task; a graph server's is its launch step's");
    sub->add_option("FILE", first, "The workflow file, where there are several")->type_name("");
    sub->add_option("STEP", second, "The step; without it: which steps have a log")->type_name("");
    sub->add_option("--task", line.task, "Number of the task; default: the first that failed, else 0")
        ->type_name("N")
        ->check(whole_number_from(0), "", "");
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
    sub->add_option("RUN", second, "Number of the run; default: the last, as only that can be running")
        ->type_name("");
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
        ->check(whole_number_from(1), "", "");
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

  // [FILE] [STEP]: a single word is the file where no step could have that name.
  Status take_logs() {
    const bool is_step = second.empty() && is_name(first);
    line.step = is_step ? first : second;
    if (!is_step) line.file = first;
    if (line.step.empty() && (line.follow || line.task >= 0))
      return Error{Cause::bad_usage, "STEP is required with --follow and --task; see `gnnflow logs --help`"};
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
  const std::string near = suggestion(arguments[0], names);
  return Error{Cause::bad_usage, fmt::format("unknown command '{}'{}", arguments[0],
                                             near.empty() ? "; there are " + join(names, ", ") : near)};
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
    return wrong_use(parser.app, error, arguments);
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
