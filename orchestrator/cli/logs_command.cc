// `gnnflow logs`: what a task wrote, read where it lies on its host.
#include <algorithm>

#include <fmt/format.h>

#include "common/base/text.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/hosts.h"
#include "orchestrator/cli/state_place.h"
#include "orchestrator/steps/step_kinds.h"
#include "orchestrator/store/run_store.h"

namespace gnnflow {
namespace {

constexpr int64_t kMostBytes = int64_t{1} << 30;  // logs are capped far below

Result<const StepStatus*> find_step(const RunStatus& status, const std::string& name) {
  std::vector<std::string> names;
  for (const StepStatus& step : status.steps) {
    if (step.row.step == name) return &step;
    names.push_back(step.row.step);
  }
  std::optional<std::string> near = nearest(name, names);
  return Error{Cause::not_found, fmt::format("run {} has no step '{}'{}", status.run.id, name,
                                             near ? fmt::format("; did you mean '{}'?", *near)
                                                  : fmt::format("; it has: {}", join(names, ", ")))};
}

bool went_wrong(const TaskRow& task) {
  return task.state == TaskState::killed || task.state == TaskState::lost ||
         (task.state == TaskState::exited && task.code != 0);
}

// The one asked for; without --task the first that went wrong, else the first.
Result<const TaskRow*> find_task(const StepStatus& step, int wanted) {
  if (step.tasks.empty()) {
    return Error{Cause::not_found,
                 fmt::format("step '{}' has no tasks: {} steps start no program, or none was started yet",
                             step.row.step, step.row.kind)};
  }
  for (const TaskRow& task : step.tasks) {
    if (wanted >= 0 ? task.index == wanted : went_wrong(task)) return &task;
  }
  if (wanted < 0) return &step.tasks.front();
  return Error{Cause::not_found, fmt::format("step '{}' has no task {}; it has 0 to {}", step.row.step,
                                             wanted, step.tasks.back().index)};
}

Result<Host*> find_host(const std::vector<std::unique_ptr<Host>>& hosts, const std::string& name) {
  for (const std::unique_ptr<Host>& host : hosts) {
    if (host->name() == name) return host.get();
  }
  return Error{Cause::not_found,
               fmt::format("host '{}', where the log lies, is no longer in the workflow file", name)};
}

// What ran on the controller lies in the state's folder: its log is shown also when the file has errors now.
Result<Workflow> workflow_for(const StatePlace& place, const TaskRow& task) {
  if (task.host == kController) return Workflow();
  if (place.file.empty()) {
    return Error{Cause::bad_usage,
                 fmt::format("the log lies on host '{}', which the workflow file describes: give it too, "
                             "`gnnflow logs FILE STEP --state DIR`",
                             task.host)};
  }
  return load_workflow(place.file, {{}, kind_schemas()});
}

}  // namespace

Result<int> logs_command(const CommandLine& line, const Console& console) {
  TRY(StatePlace place, find_state(line, console));
  TRY(StoreReader reader, StoreReader::open(place.folder));
  TRY(RunStatus status, reader.status(line.run > 0 ? std::optional<int64_t>(line.run) : std::nullopt));
  TRY(const StepStatus* step, find_step(status, line.step));
  TRY(const TaskRow* task, find_task(*step, line.task));
  TRY(Workflow workflow, workflow_for(place, *task));
  TRY(std::string store_id, reader.store_id());
  TRY(auto hosts, make_hosts(workflow, place.folder, store_id));
  TRY(Host * host, find_host(hosts, task->host));
  if (step->tasks.size() > 1 && line.task < 0) {
    console.err(fmt::format("task {} of {}{} on {}; the others: --task N\n", task->index, step->tasks.size(),
                            task->role.empty() ? "" : ", " + task->role, task->host));
  }
  Result<std::string> log = host->read(fs::path("logs") / (task->token + ".log"), kMostBytes);
  if (!log && log.error().cause == Cause::not_found) {
    return Error{Cause::not_found,
                 fmt::format("no log of step '{}', task {} on {}: it may not have been started",
                             step->row.step, task->index, task->host)};
  }
  TRY(std::string text, std::move(log));
  console.out(text);
  if (!text.empty() && text.back() != '\n') console.out("\n");
  return 0;
}

}  // namespace gnnflow
