// Laying out a run's state.
#include "orchestrator/cli/status_view.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/text.h"
#include "common/wire/progress.h"
#include "orchestrator/view/terminal.h"

namespace gnnflow {
namespace {

constexpr int kRunning = 10, kInterrupted = 11;
constexpr std::string_view kCopy = "copy";  // its tasks are no programs: their tail is why they ended

std::string_view colour_of(StepState state) {
  switch (state) {
    case StepState::succeeded:
    case StepState::up:
      return "32";
    case StepState::failed:
      return "31";
    case StepState::interrupted:
    case StepState::cancelled:
    case StepState::skipped:
      return "33";
    case StepState::running:
      return "36";
    case StepState::waiting:
    case StepState::cached:
    case StepState::idle:
      break;
  }
  return "2";
}

std::string padded(std::string_view text, size_t width) {
  return std::string(text) + std::string(width > text.size() ? width - text.size() : 0, ' ');
}

std::string state_word(StepState state, size_t width, bool colour) {
  std::string word = padded(name_of(state), width);
  return colour ? fmt::format("\x1b[{}m{}\x1b[0m", colour_of(state), word) : word;
}

// "1m 02s", or how long it has been going; empty when it has not begun.
std::string length_of(int64_t started_ms, int64_t ended_ms, bool going, int64_t now_ms) {
  if (started_ms == 0 || (ended_ms == 0 && !going)) return "";
  return format_duration(Milliseconds(std::max<int64_t>(0, (ended_ms ? ended_ms : now_ms) - started_ms)));
}

std::string progress_text(const Json& json) {
  Progress progress = Progress::from_json(json);
  std::string text = progress.phase;
  if (progress.total > 0) {
    text += fmt::format("{}{} of {} {}", text.empty() ? "" : ", ", format_count(progress.done),
                        format_count(progress.total), progress.unit);
  }
  if (progress.rate > 0 && progress.total > progress.done) {
    const double left = static_cast<double>(progress.total - progress.done) / progress.rate;
    const bool bytes = progress.unit == "bytes";
    text += fmt::format(
        ", {}/s, {} left",
        bytes ? format_bytes(progress.rate) : fmt::format("{:.0f} {}", progress.rate, progress.unit),
        format_duration(Milliseconds(static_cast<int64_t>(std::min(left, 1e7)) * 1000)));
  }
  if (!progress.note.empty()) text += fmt::format("{}{}", text.empty() ? "" : ", ", progress.note);
  return text;
}

// What the step's end leaves as it was has never been started; without a signal nothing was killed.
std::string_view task_word(const TaskRow& task, bool ended) {
  if (task.state == TaskState::intent) return ended ? "not started" : "starting";
  if (task.state == TaskState::killed && task.signal == 0) return "cancelled";
  return name_of(task.state);
}

std::string task_detail(const TaskRow& task, std::string_view kind, int64_t now_ms) {
  if (kind == kCopy && !task.tail.empty()) return task.tail;
  switch (task.state) {
    case TaskState::unknown:
      return fmt::format("last seen {} ago",
                         task.last_seen_ms
                             ? format_duration(Milliseconds(std::max<int64_t>(0, now_ms - task.last_seen_ms)))
                             : "an unknown time");
    case TaskState::exited:
      return task.code == 0 ? "" : fmt::format("exit code {}", task.code);
    case TaskState::killed:
      return task.signal == 0 ? "" : fmt::format("signal {}", task.signal);
    case TaskState::started:
      return progress_text(task.progress);
    case TaskState::intent:
    case TaskState::lost:
      break;
  }
  return "";
}

// Only where they say something: of steps that are going on, or did not end well.
bool shows_tasks(StepState state) {
  return state == StepState::running || state == StepState::up || state == StepState::failed ||
         state == StepState::interrupted;
}

std::string task_lines(const StepStatus& step, int64_t now_ms) {
  std::string text;
  const bool ended = step.attempt && is_final(step.attempt->state);
  for (const TaskRow& task : step.tasks) {
    std::string detail = task_detail(task, step.row.kind, now_ms);
    text += fmt::format("    {} on {}: {}{}{}\n", task_name(task), task.host, task_word(task, ended),
                        detail.empty() ? "" : ", ", printable(detail));
  }
  return text;
}

// A failed step's last lines, once: of the first task that has some.
std::string tail_lines(const StepStatus& step) {
  if (step.state != StepState::failed || step.row.kind == kCopy) return "";
  for (const TaskRow& task : step.tasks) {
    if (task.tail.empty()) continue;
    std::string text;
    for (const std::string& line : split(trimmed(task.tail), '\n')) text += "    | " + printable(line) + "\n";
    return text;
  }
  return "";
}

Json task_json(const TaskRow& task) {
  return Json(Json::Object{{"index", task.index},
                           {"role", task.role},
                           {"host", task.host},
                           {"state", name_of(task.state)},
                           {"code", task.code},
                           {"signal", task.signal},
                           {"started_ms", task.started_ms},
                           {"ended_ms", task.ended_ms},
                           {"last_seen_ms", task.last_seen_ms},
                           {"progress", task.progress},
                           {"tail", task.tail}});
}

Json step_json(const StepStatus& step) {
  Json json(Json::Object{{"step", step.row.step},
                         {"kind", step.row.kind},
                         {"state", name_of(step.state)},
                         {"reason", step.row.reason},
                         {"waits", step.row.waits}});
  if (step.attempt) {
    const AttemptRow& attempt = *step.attempt;
    json["attempt"] = Json::Object{{"number", attempt.number},         {"run", attempt.run},
                                   {"state", name_of(attempt.state)},  {"cause", attempt.cause},
                                   {"message", attempt.message},       {"metrics", attempt.metrics},
                                   {"started_ms", attempt.started_ms}, {"ended_ms", attempt.ended_ms}};
  }
  json["tasks"] = Json::Array{};
  for (const TaskRow& task : step.tasks) json["tasks"].push_back(task_json(task));
  return json;
}

}  // namespace

std::string task_name(const TaskRow& task) {
  return task.role.empty() ? fmt::format("task {}", task.index) : task.role;
}

std::string step_detail(const StepStatus& step) {
  if (step.attempt && (step.state == StepState::failed || step.state == StepState::cancelled) &&
      !step.attempt->message.empty()) {
    return step.attempt->message;
  }
  if (step.state == StepState::waiting && !step.row.waits.empty()) return step.row.waits;
  return step.row.reason;
}

std::string run_end_text(const RunStatus& status) {
  if (status.state == StepState::interrupted)
    return "the controller is gone; `gnnflow run` goes on from here\n";
  return status.run.summary.empty() ? "" : status.run.summary + "\n";
}

std::string status_text(const RunStatus& status, const StatusScene& scene) {
  const RunRow& run = status.run;
  bool going = status.state == StepState::running;
  std::string length = length_of(run.started_ms, run.ended_ms, going, scene.now_ms);
  std::string text =
      fmt::format("run {} of {}: {}, begun {}{}\n", run.id, scene.workflow,
                  state_word(status.state, 0, scene.colour), format_time(run.started_ms),
                  length.empty() ? "" : fmt::format(", {} {}", going ? "for" : "took", length));
  size_t names = 4, kinds = 4;
  for (const StepStatus& step : status.steps) {
    names = std::max(names, step.row.step.size());
    kinds = std::max(kinds, step.row.kind.size());
  }
  for (const StepStatus& step : status.steps) {
    bool step_going = step.state == StepState::running || step.state == StepState::up;
    std::string took =
        step.attempt && step.state != StepState::cached
            ? length_of(step.attempt->started_ms, step.attempt->ended_ms, step_going, scene.now_ms)
            : "";
    std::string line =
        fmt::format("  {}  {}  {}  {}  {}", padded(step.row.step, names), padded(step.row.kind, kinds),
                    state_word(step.state, 11, scene.colour), padded(took, 7), printable(step_detail(step)));
    while (line.ends_with(' ')) line.pop_back();
    text += line + "\n";
    if (shows_tasks(step.state)) text += task_lines(step, scene.now_ms) + tail_lines(step);
  }
  return text + run_end_text(status);
}

Json status_json(const RunStatus& status, const StatusScene& scene) {
  const RunRow& run = status.run;
  Json json(Json::Object{{"schema", 1}, {"workflow", scene.workflow}});
  json["run"] = Json::Object{{"id", run.id},
                             {"command", run.command},
                             {"state", name_of(status.state)},
                             {"params", run.params},
                             {"started_ms", run.started_ms},
                             {"ended_ms", run.ended_ms},
                             {"exit_code", run.exit_code},
                             {"summary", run.summary}};
  json["steps"] = Json::Array{};
  for (const StepStatus& step : status.steps) json["steps"].push_back(step_json(step));
  return json;
}

int status_exit_code(const RunStatus& status) {
  if (status.state == StepState::running) return kRunning;
  if (status.state == StepState::interrupted) return kInterrupted;
  return status.run.exit_code;
}

}  // namespace gnnflow
