// gnnflow-trainer: trains and evaluates, as a rank of a job or over a whole partition by hand.
#include <cstdio>
#include <functional>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "common/base/child_process.h"
#include "common/base/log.h"
#include "common/base/lost_exceptions.h"
#include "common/base/text.h"
#include "common/usage/wrong_use.h"
#include "common/wire/job_channel.h"
#include "worker/trainer/environment.h"
#include "worker/trainer/job.h"

namespace gnnflow {
namespace {

// What the command line says; each subcommand uses what it needs.
struct Arguments {
  fs::path task, partition, output, model;
  Json options = Json::Object{};
  int threads = usable_cores();
  bool json = false;
};

int tell(JobChannel& channel, const Arguments& told, const Result<Json>& result) {
  if (!result) return report_failure(channel, result.error());
  Json small = *result;
  small.object().erase("history");  // it went up epoch by epoch
  channel.result(std::move(small));
  if (told.json) std::printf("%s\n", result->dump().c_str());
  return 0;
}

int run_task(JobChannel& channel, const Arguments& told, Result<Json> (*run)(const Task&, JobChannel&)) {
  auto task = Task::read(told.task);
  if (!task) return report_failure(channel, task.error());
  return tell(channel, told, run(*task, channel));
}

void need(const fs::path& path, const char* name) {
  if (path.empty()) throw CLI::RequiredError(name);
}

// Writes `value` at a path of keys like "model.hidden", only when the option is given.
template <typename T>
void with_option(CLI::App* command, const std::shared_ptr<Arguments>& told, const std::string& flag,
                 const std::string& path, const std::string& help) {
  command->add_option_function<T>(
      flag,
      [told, path](const T& value) {
        Json* at = &told->options;
        for (const auto& key : split(path, '.')) at = &(*at)[key];
        *at = Json(value);
      },
      help);
}

void with_common(CLI::App* command, const std::shared_ptr<Arguments>& told) {
  command->add_option("--task", told->task, "Run as a job of a daemon: its task.json");
  command->add_option("--partition", told->partition, "A partition directory: all its parts in this process");
  command->add_option("--out", told->output, "The folder to write");
  command->add_option("--threads", told->threads, "Cores to use")->check(CLI::PositiveNumber);
  command->add_flag("--json", told->json, "Print the metrics as one JSON line");
}

void add_train(CLI::App& app, JobChannel& channel, int& exit_code) {
  auto told = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("train", "Train a model");
  with_common(command, told);
  with_option<std::string>(command, told, "--model", "model.kind", "sage or mlp");
  with_option<int64_t>(command, told, "--layers", "model.layers", "Layers (2)");
  with_option<int64_t>(command, told, "--hidden", "model.hidden", "Columns between layers (256)");
  with_option<double>(command, told, "--dropout", "model.dropout", "Share of hidden values dropped (0)");
  command
      ->add_option_function<std::vector<int>>(
          "--fanout",
          [told](const std::vector<int>& numbers) {
            Json::Array list;
            for (const int one : numbers) list.push_back(one);
            told->options["sample"]["fanout"] = list;
          },
          "Neighbours per layer, nearest the input first, e.g. 15,10,5; -1: all")
      ->delimiter(',');
  with_option<int64_t>(command, told, "--batch", "sample.batch", "Seeds of a step (1024)");
  with_option<std::string>(command, told, "--optimizer", "optimizer.kind", "adam, adamw or sgd");
  with_option<double>(command, told, "--lr", "optimizer.lr", "Learning rate (0.01)");
  with_option<double>(command, told, "--weight-decay", "optimizer.weight_decay", "(0)");
  with_option<std::string>(command, told, "--precision", "precision", "f32");
  with_option<int64_t>(command, told, "--epochs", "epochs", "(10)");
  with_option<int64_t>(command, told, "--seed", "seed", "(1)");
  with_option<int64_t>(command, told, "--patience", "early_stop.patience",
                       "Stop after so many epochs without a better score");
  command->callback([told, &channel, &exit_code] {
    if (!told->task.empty()) {
      exit_code = run_task(channel, *told, run_train_task);
      return;
    }
    need(told->partition, "--partition");
    need(told->output, "--out");
    if (!told->options.has("model")) throw CLI::RequiredError("--model");
    exit_code =
        tell(channel, *told,
             run_standalone_train({told->partition, told->output, told->options, told->threads}, channel));
  });
}

void add_evaluate(CLI::App& app, JobChannel& channel, int& exit_code) {
  auto told = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("evaluate", "Score a trained model over all nodes");
  with_common(command, told);
  command->add_option("--model", told->model, "The folder that `train` wrote, or one checkpoint");
  with_option<std::string>(command, told, "--split", "split", "train, val or test (default)");
  with_option<std::string>(command, told, "--how", "how", "full (default) or sampled");
  command->callback([told, &channel, &exit_code] {
    if (!told->task.empty()) {
      exit_code = run_task(channel, *told, run_evaluate_task);
      return;
    }
    need(told->partition, "--partition");
    need(told->model, "--model");
    need(told->output, "--out");
    exit_code =
        tell(channel, *told,
             run_standalone_evaluate(
                 {told->partition, told->model, told->output, told->options, told->threads}, channel));
  });
}

int run(JobChannel& channel, int count, char** words) {
  CLI::App app("Trains and evaluates graph neural networks", "gnnflow-trainer");
  app.require_subcommand(1);
  app.set_version_flag("--version", [] { return "gnnflow-trainer, " + libraries_text(); });
  int exit_code = 0;
  add_train(app, channel, exit_code);
  add_evaluate(app, channel, exit_code);
  try {
    app.parse(count, words);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return report_failure(channel, wrong_use(app, error, {words + 1, words + count}));
  }
  return exit_code;
}

}  // namespace
}  // namespace gnnflow

int main(int count, char** words) {
  const auto channel = gnnflow::JobChannel::open();
  gnnflow::open_log("gnnflow-trainer", gnnflow::LogLevel::info);
  gnnflow::install_mapping_fault_handler();
  gnnflow::end_on_lost_exceptions([&](const gnnflow::Error& error) { report_failure(*channel, error); });
  gnnflow::keep_freed_memory();
  gnnflow::stop_on_signals(channel->stop());
  return gnnflow::run(*channel, count, words);
}
