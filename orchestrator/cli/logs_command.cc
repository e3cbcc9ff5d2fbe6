// `gnnflow logs`: what a task wrote, read where it lies on its host.
#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "common/base/text.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/hosts.h"
#include "orchestrator/cli/log_absence.h"
#include "orchestrator/cli/log_text.h"
#include "orchestrator/cli/state_place.h"
#include "orchestrator/cli/status_view.h"
#include "orchestrator/cli/stored_hosts.h"
#include "orchestrator/store/store_reader.h"
#include "orchestrator/workflow/problems.h"

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
  return Error{Cause::not_found,
               fmt::format("run {} has no step '{}'{}", status.run.id, name, suggestion_or_all(name, names))};
}

bool went_wrong(const TaskRow& task) {
  return task.state == TaskState::killed || task.state == TaskState::lost ||
         (task.state == TaskState::exited && task.code != 0);
}

// The one asked for; without --task the first that went wrong, else the first. REQUIRES: there are some.
Result<const TaskRow*> find_task(const StepStatus& step, int wanted) {
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

  // Nothing while it may still begin and that is waited for.
  Result<std::optional<TaskRow>> task() {
    TRY(RunStatus status, reader.status(run));
    TRY(const StepStatus* found, find_step(status, line.step));
    StepStatus step = *found;
    if (!starts_programs(step)) return Error{Cause::not_found, why_no_task(status, step)};
    if (step.tasks.empty()) {
      if (line.follow && may_begin(status, step)) return std::optional<TaskRow>();
      TRY(std::optional<AttemptRow> last, reader.last_attempt(line.step));
      if (last && last->run == run) {  // the next one is due, or was when the run ended
        TRY(step.tasks, reader.tasks_of(last->id));
      }
      if (step.tasks.empty()) return Error{Cause::not_found, why_no_task(status, step) + elsewhere(last)};
    }
    TRY(const TaskRow* chosen, find_task(step, line.task));
    return std::optional<TaskRow>(*chosen);
  }

 private:
  static bool may_begin(const RunStatus& status, const StepStatus& step) {
    return status.state == StepState::running && step.state != StepState::skipped &&
           step.state != StepState::cached;
  }

  // Where the newest log of the step is all the same.
  std::string elsewhere(const std::optional<AttemptRow>& last) const {
    if (line.run > 0 || !last || last->run == run) return "";
    return fmt::format("; it last ran in run {}: `gnnflow logs{} {} --run {}`", last->run, place_words(line),
                       line.step, last->run);
  }
};

// With --follow it waits for the step to begin.
Result<TaskRow> wait_for_task(Followed& followed) {
  while (true) {
    TRY(std::optional<TaskRow> task, followed.task());
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

// Which steps have a log, when none is named.
Result<int> list_logs(const RunStatus& status, const CommandLine& line, const Console& console) {
  std::string text;
  size_t names = 0;
  for (const StepStatus& step : status.steps) names = std::max(names, step.row.step.size());
  for (const StepStatus& step : status.steps) {
    std::vector<std::string> tasks;
    for (const TaskRow& task : step.tasks) {
      if (may_have_log(step, task)) tasks.push_back(fmt::format("{} on {}", task_name(task), task.host));
    }
    if (!tasks.empty()) text += fmt::format("  {:<{}}  {}\n", step.row.step, names, join(tasks, ", "));
  }
  if (text.empty()) return Error{Cause::not_found, fmt::format("no step of run {} has a log", status.run.id)};
  console.out(fmt::format("logs of run {}:\n{}", status.run.id, text));
  console.err(fmt::format("one of them: gnnflow logs{} STEP [--task N]\n", place_words(line)));
  return 0;
}

}  // namespace

Result<int> logs_command(const CommandLine& line, const Console& console) {
  TRY(StatePlace place, find_state(line, console));
  TRY(StoreReader reader, StoreReader::open(place.folder));
  TRY(RunStatus status, reader.status(line.run > 0 ? std::optional<int64_t>(line.run) : std::nullopt));
  if (line.step.empty()) return list_logs(status, line, console);
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
    TRY(status, reader.status(status.run.id));
    TRY(const StepStatus* step, find_step(status, line.step));
    return Error{Cause::not_found, why_no_log(status, *step, task)};
  }
  text.finish();
  return 0;
}

}  // namespace gnnflow
