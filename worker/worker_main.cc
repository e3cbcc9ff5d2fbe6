// gnnflow-worker: the program beside the data. One function per subcommand, each a row of the table in main.
#include <functional>
#include <memory>
#include <type_traits>

#include <CLI/CLI.hpp>

#include "common/base/log.h"
#include "common/base/lost_exceptions.h"
#include "common/base/text.h"
#include "common/usage/wrong_use.h"
#include "worker/daemon/daemon.h"
#include "worker/daemon/relay.h"
#include "worker/daemon/shim.h"
#include "worker/graph_server/serve_job.h"
#include "worker/tools/printing.h"
#include "worker/tools/tools.h"

namespace gnnflow {
namespace {

// Everything that a subcommand is told; each uses what it needs.
struct Arguments {
  fs::path input, output, task;
  Json options = Json::Object{};
  int part = -1;
  SampleRequest sample;
  bool json = false;

  Output answer() const { return json ? Output::json : Output::text; }
};

// `work` runs when the command line named this subcommand; what it returns is the exit code.
using Work = std::function<int(const Arguments&)>;

struct Subcommand {
  CLI::App* command = nullptr;
  std::shared_ptr<Arguments> arguments = std::make_shared<Arguments>();

  Subcommand(CLI::App& app, const std::string& name, const std::string& help, int& exit_code, Work work)
      : command(app.add_subcommand(name, help)) {
    command->callback(
        [work = std::move(work), arguments = arguments, &exit_code] { exit_code = work(*arguments); });
  }
  void with_json() { command->add_flag("--json", arguments->json, "Answer with one JSON object"); }
  // For the daemon, not for people: `--help` does not list it.
  void with_task() {
    command->add_option("--task", arguments->task, "Run as a job of a daemon: its task.json")->group("");
  }
  // An option of the step of this name, passed on only when given.
  template <typename T>
  void with_option(const std::string& key, const std::string& help) {
    std::string flag = "--" + key;
    std::replace(flag.begin(), flag.end(), '_', '-');
    CLI::Option* option = command->add_option_function<T>(
        flag, [arguments = arguments, key](const T& value) { arguments->options[key] = Json(value); }, help);
    if constexpr (std::is_same_v<T, int64_t>) option->check(whole_number(), "", "");
    if constexpr (std::is_same_v<T, double>) option->check(any_number(), "", "");
  }
};

// One that programs of ours start, not people: `--help` does not list it.
CLI::App* add_inner(CLI::App& app, const std::string& name, const std::string& help) {
  CLI::App* command = app.add_subcommand(name, help);
  command->group("");
  return command;
}

void need(const fs::path& path, const std::string& name) {
  if (path.empty()) throw CLI::RequiredError(name);
}

void add_generate(CLI::App& app, int& exit_code) {
  Subcommand sub(app, "generate", "Make a graph out of a seed", exit_code, [](const Arguments& told) {
    if (!told.task.empty()) return run_graph_job("generate", told.task);
    need(told.output, "OUT");
    return run_generate(told.options, told.output, told.answer());
  });
  sub.command->add_option("OUT", sub.arguments->output, "The graph directory to make");
  sub.with_option<std::string>("preset", "tiny (default) or products-small; the options below change it");
  sub.with_option<int64_t>("seed", "Another seed is another graph (0)");
  sub.with_option<int64_t>("nodes", "How many (tiny: 2000, products-small: 245000)");
  sub.with_option<int64_t>("features", "Columns of a node's features (16, 100)");
  sub.with_option<int64_t>("classes", "How many classes the labels tell apart (3, 47)");
  sub.with_option<double>("average_degree",
                          "Mean of the nodes' degrees, which follow a power law (12, 54.3)");
  sub.with_option<double>("homophily",
                          "Share of partners that are drawn from a node's own class (0.8, 0.75)");
  sub.with_option<double>("noise", "Deviation of a feature from its class's mean, whose own is 1 (5, 5)");
  sub.with_option<double>("label_noise", "Share of nodes whose label is drawn anew (0, 0.1)");
  sub.with_option<double>("train_share", "Share of nodes to train with (0.4, 0.08)");
  sub.with_option<double>("val_share", "Share of nodes to validate with; the rest is tested (0.1, 0.02)");
  sub.with_task();
  sub.with_json();
}

void add_import(CLI::App& app, int& exit_code) {
  Subcommand sub(app, "import", "Make a graph directory from plain .npy files", exit_code,
                 [](const Arguments& told) {
                   if (!told.task.empty()) return run_graph_job("import", told.task);
                   need(told.input, "SOURCE");
                   need(told.output, "OUT");
                   return run_import(told.options, told.input, told.output, told.answer());
                 });
  sub.command->add_option("SOURCE", sub.arguments->input, "The folder with edge_index.npy, label.npy ...");
  sub.command->add_option("OUT", sub.arguments->output, "The graph directory to make");
  const auto arguments = sub.arguments;
  sub.command->add_flag_function(
      "--undirected,!--directed",
      [arguments](int64_t count) { arguments->options["undirected"] = count > 0; },
      "Add each edge's reverse, drop duplicates (default)");
  sub.command->add_flag_function(
      "--row-normalize", [arguments](int64_t count) { arguments->options["row_normalize"] = count > 0; },
      "Divide each feature row by the sum of its magnitudes");
  sub.with_option<std::string>("self_loops", "keep (default), drop or add");
  sub.with_task();
  sub.with_json();
}

void add_partition(CLI::App& app, int& exit_code) {
  Subcommand sub(app, "partition", "Cut a graph into parts", exit_code, [](const Arguments& told) {
    if (!told.task.empty()) return run_graph_job("partition", told.task);
    need(told.input, "GRAPH");
    need(told.output, "OUT");
    return run_partition(told.options, told.input, told.output, told.answer());
  });
  sub.command->add_option("GRAPH", sub.arguments->input, "The graph directory");
  sub.command->add_option("OUT", sub.arguments->output, "The partition directory to make");
  sub.with_option<int64_t>("parts", "How many (2)");
  sub.with_option<std::string>("method", "metis (default) or random");
  const auto arguments = sub.arguments;
  sub.command->add_option_function<std::string>(
      "--balance",
      [arguments](const std::string& list) {
        const auto words = list.empty() ? std::vector<std::string>() : split(list, ',');
        arguments->options["balance"] = Json::Array(words.begin(), words.end());
      },
      "What to keep even, of nodes,edges,train,val,test (nodes,edges,train)");
  sub.with_option<double>("imbalance", "Most of a part over its even share (1.05)");
  sub.with_option<std::string>("objective", "What METIS makes small: cut, the only one (cut)");
  sub.with_option<int64_t>("seed", "Another seed is another partition (0)");
  sub.with_option<std::string>("memory", "What METIS may take, e.g. 8GiB (what is left)");
  sub.with_task();
  sub.with_json();
}

void add_info(CLI::App& app, int& exit_code) {
  Subcommand sub(app, "info", "Say what a graph or partition holds", exit_code,
                 [](const Arguments& told) { return run_info(told.input, told.answer()); });
  sub.command->add_option("DIR", sub.arguments->input, "A graph or partition directory")->required();
  sub.with_json();
}

void add_verify(CLI::App& app, int& exit_code) {
  Subcommand sub(app, "verify", "Read a graph or partition whole and check it", exit_code,
                 [](const Arguments& told) { return run_verify(told.input, told.answer()); });
  sub.command->add_option("DIR", sub.arguments->input, "A graph or partition directory")->required();
  sub.with_json();
}

void add_list(CLI::App& app, int& exit_code) {
  Subcommand sub(app, "list", "Name the files of a directory, or those that a part needs", exit_code,
                 [](const Arguments& told) {
                   const auto part = told.part < 0 ? std::nullopt : std::optional<int>(told.part);
                   return run_list(told.input, part, told.answer());
                 });
  sub.command->add_option("DIR", sub.arguments->input, "A graph or partition directory")->required();
  sub.command->add_option("--part", sub.arguments->part, "Only what a host with this part needs")
      ->check(whole_number_from(0), "", "");
  sub.with_json();
}

void add_sample(CLI::App& app, int& exit_code) {
  Subcommand sub(app, "sample", "Show the blocks of one batch in original ids", exit_code,
                 [](const Arguments& told) { return run_sample(told.sample, told.answer()); });
  SampleRequest& request = sub.arguments->sample;
  sub.command->add_option("DIR", request.folder, "A graph or partition directory")->required();
  const auto number = [&](const char* flag, auto& value, const char* help) {
    return sub.command->add_option(flag, value, help)->check(whole_number(), "", "");
  };
  number("--seeds", request.seeds, "Original ids, as 1,2,3")->delimiter(',')->required();
  number("--fanout", request.fanout, "Layer nearest the input first, as 15,10,5; -1: all")
      ->delimiter(',')
      ->required();
  number("--epoch", request.epoch, "Of the training that the batch would be of (0)");
  number("--step", request.step, "Its global step (0)");
  number("--seed", request.seed, "Its seed (0)");
  sub.with_json();
}

void add_daemon(CLI::App& app, int& exit_code) {
  struct Told {
    DaemonOptions options;
    int64_t lease_ms = 600'000, grace_ms = 10'000;
    bool near = false;
  };
  auto told = std::make_shared<Told>();
  CLI::App* command = add_inner(app, "daemon", "Start and watch the jobs of one host entry");
  command->add_option("--root", told->options.root, "The host entry's folder")->required();
  command->add_option("--store", told->options.store, "The store that it serves")->required();
  command->add_option("--host", told->options.host, "The host entry's name")->required();
  command->add_option("--lease", told->lease_ms, "How long it lives without a controller, in ms")
      ->check(CLI::PositiveNumber);
  command->add_option("--grace", told->grace_ms, "From asking to killing, in ms")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--near", told->near, "The controller runs on this machine");
  command->add_flag("--background", told->options.background, "Leave the terminal; return when it is up");
  command->callback([told, &exit_code] {
    told->options.lease = Milliseconds(told->lease_ms);
    told->options.grace = Milliseconds(told->grace_ms);
    told->options.distance = told->near ? Distance::near : Distance::far;
    exit_code = daemon_main(told->options);
  });
}

void add_job(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ShimOptions>();
  CLI::App* command = add_inner(app, "job", "What a daemon starts for each job");
  command->add_option("--token", options->token)->required();
  command->add_option("--program", options->program)->required();
  command->add_option("--kind", options->kind)->required();
  command->add_option("--task", options->task)->required();
  command->add_option("--parent", options->parent, "The daemon's process")->required();
  command->callback([options, &exit_code] { exit_code = shim_main(*options); });
}

void add_relay(CLI::App& app, int& exit_code) {
  auto root = std::make_shared<fs::path>();
  CLI::App* command = add_inner(app, "relay", "Join stdin and stdout to a daemon's socket");
  command->add_option("--root", *root, "The host entry's folder")->required();
  command->callback([root, &exit_code] { exit_code = relay_main(*root); });
}

void add_serve(CLI::App& app, int& exit_code) {
  Subcommand sub(app, "serve", "Answer for one part of a partition, as a job of a daemon", exit_code,
                 [](const Arguments& told) {
                   const auto channel = JobChannel::open();
                   end_on_lost_exceptions([&](const Error& error) { report_failure(*channel, error); });
                   stop_on_signals(channel->stop());
                   const auto task = Task::read(told.task);
                   return task ? serve_job(*task, *channel) : report_failure(*channel, task.error());
                 });
  sub.command->add_option("--task", sub.arguments->task, "Its task.json")->required();
  sub.command->group("");
}

int run(int count, char** words) {
  // `gnnflow graph ...` hands over with its own name, which help and errors then say.
  const std::string called = words[0];
  CLI::App app("The worker of gnnflow: daemons, graph servers, and work on graph directories",
               called == "gnnflow" || called == "gnnflow graph" ? called : "gnnflow-worker");
  app.require_subcommand(1);
  int exit_code = 0;
  for (const auto add : {add_generate, add_import, add_partition, add_info, add_verify, add_list, add_sample,
                         add_daemon, add_job, add_relay, add_serve})
    add(app, exit_code);
  try {
    app.parse(count, words);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return print_failure(wrong_use(app, error, {words + 1, words + count}));
  }
  return exit_code;
}

}  // namespace
}  // namespace gnnflow

int main(int count, char** words) {
  gnnflow::open_log("gnnflow-worker", gnnflow::LogLevel::info);
  gnnflow::install_mapping_fault_handler();
  gnnflow::end_on_lost_exceptions();
  return gnnflow::run(count, words);
}
