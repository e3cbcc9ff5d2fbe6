// `gnnflow logs`: what a task wrote, read where it lies on its host.
#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "common/base/text.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/hosts.h"
#include "orchestrator/cli/log_text.h"
#include "orchestrator/cli/state_place.h"
#include "orchestrator/cli/stored_hosts.h"
#include "orchestrator/store/store_reader.h"

namespace gnnflow {
namespace {

constexpr int64_t kAtOnce = 8 << 20;
constexpr Milliseconds kLookNear{300}, kLookFar{2000};

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

// The log of one task, from an offset on.
class LogSource {
 public:
  LogSource(std::unique_ptr<Host> host, bool near, const TaskRow& task)
      : host_(std::move(host)), near_(near), path_(fs::path("logs") / (task.token + ".log")) {}

  bool near() const { return near_; }
  // The next bytes; empty when there are no more now. not_found: no log yet.
  Result<std::string> more() {
    Result<std::string> bytes = host_->read_from(path_, offset_, kAtOnce);
    if (bytes) offset_ += static_cast<int64_t>(bytes->size());
    return bytes;
  }

 private:
  std::unique_ptr<Host> host_;
  bool near_;
  fs::path path_;
  int64_t offset_ = 0;
};

Result<LogSource> open_source(StoreReader& reader, const StatePlace& place, const TaskRow& task) {
  TRY(Workflow workflow, stored_workflow(reader));
  TRY(std::string store_id, reader.store_id());
  const HostEntry* entry = workflow.host(task.host);
  if (!entry && task.host != kController) {
    return Error{Cause::not_found, fmt::format("host '{}', where the log lies, is not known to the state {}",
                                               task.host, place.folder.string())};
  }
  TRY(auto hosts, make_hosts(workflow, place.folder, store_id));
  for (std::unique_ptr<Host>& host : hosts) {
    if (host->name() == task.host)
      return LogSource(std::move(host), !entry || entry->address == "local", task);
  }
  return Error{Cause::bug, "no host for " + task.host};
}

// Its attempt of now: a step that is tried again has another one then.
struct Followed {
  StoreReader& reader;
  const CommandLine& line;
  int64_t run;

  Result<std::optional<TaskRow>> task(bool& going) {
    TRY(RunStatus status, reader.status(run));
    TRY(const StepStatus* step, find_step(status, line.step));
    going = status.state == StepState::running;
    if (step->tasks.empty() && going && line.follow) return std::optional<TaskRow>();
    TRY(const TaskRow* found, find_task(*step, line.task));
    return std::optional<TaskRow>(*found);
  }
};

// With --follow it waits for the step to begin.
Result<TaskRow> wait_for_task(Followed& followed) {
  while (true) {
    bool going = false;
    TRY(std::optional<TaskRow> task, followed.task(going));
    if (task) return std::move(*task);
    std::this_thread::sleep_for(kLookNear);
  }
}

Result<bool> has_ended(Followed& followed, const TaskRow& task) {
  TRY(RunStatus status, followed.reader.status(followed.run));
  if (status.state != StepState::running) return true;
  for (const StepStatus& step : status.steps) {
    for (const TaskRow& now : step.tasks) {
      if (now.token == task.token) return is_final(now.state);
    }
  }
  return true;  // another attempt has taken its place
}

Status show(LogSource& source, LogText& text, Followed& followed, const TaskRow& task) {
  bool last = !followed.line.follow;
  while (true) {
    Result<std::string> bytes = source.more();
    const bool absent = !bytes && bytes.error().cause == Cause::not_found;
    if (!bytes && !(absent && !last)) return absent ? Status() : Status(std::move(bytes).error());
    if (bytes) text.put(*bytes);
    if (bytes && !bytes->empty()) continue;
    if (last) return {};
    // What it wrote before its end is read after its end was seen.
    TRY(last, has_ended(followed, task));
    if (!last) std::this_thread::sleep_for(source.near() ? kLookNear : kLookFar);
  }
}

}  // namespace

Result<int> logs_command(const CommandLine& line, const Console& console) {
  TRY(StatePlace place, find_state(line, console));
  TRY(StoreReader reader, StoreReader::open(place.folder));
  TRY(RunStatus status, reader.status(line.run > 0 ? std::optional<int64_t>(line.run) : std::nullopt));
  Followed followed{reader, line, status.run.id};
  TRY(TaskRow task, wait_for_task(followed));
  TRY(LogSource source, open_source(reader, place, task));
  if (line.task < 0) {
    TRY(std::vector<TaskRow> tasks, reader.tasks_of(task.attempt));
    if (tasks.size() > 1) {
      console.err(fmt::format("task {} of {}{} on {}; the others: --task N\n", task.index, tasks.size(),
                              task.role.empty() ? "" : ", " + task.role, task.host));
    }
  }
  LogText text(console.out);
  TRY(show(source, text, followed, task));
  if (!text.any()) {
    return Error{Cause::not_found,
                 fmt::format("no log of step '{}', task {} on {}: it may not have been started", line.step,
                             task.index, task.host)};
  }
  text.finish();
  return 0;
}

}  // namespace gnnflow
