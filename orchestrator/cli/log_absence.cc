// A step was passed over, has not begun, starts no program, or its log was removed.
#include "orchestrator/cli/log_absence.h"

#include <fmt/format.h>

#include "orchestrator/cli/status_view.h"
#include "orchestrator/steps/step_kinds.h"

namespace gnnflow {
namespace {

// Without the engine's words for what the end of the run has left undone.
std::string why_skipped(std::string_view reason) {
  constexpr std::string_view kNotBegun = "not begun: ";
  if (reason.starts_with(kNotBegun)) reason.remove_prefix(kNotBegun.size());
  return std::string(reason);
}

}  // namespace

bool starts_programs(const StepStatus& step) {
  const auto kind = step_kinds().find(step.row.kind);
  return kind == step_kinds().end() || kind->second->nature() != Nature::placement;
}

bool may_have_log(const StepStatus& step, const TaskRow& task) {
  const bool begun = task.started_ms > 0 || (task.state != TaskState::intent && !is_final(task.state));
  return begun && starts_programs(step);
}

std::string why_no_task(const RunStatus& run, const StepStatus& step) {
  if (!starts_programs(step))
    return fmt::format("'{}' has no log: {} steps start no program", step.row.step, step.row.kind);
  const std::string it = fmt::format("'{}' ", step.row.step), in = fmt::format(" in run {}", run.run.id);
  switch (step.state) {
    case StepState::skipped:
      return it + "was skipped" + in + ": " + why_skipped(step.row.reason);
    case StepState::waiting:
      return it + "has not begun" + in + " yet: " + step_detail(step);
    case StepState::idle:
      return it + "was not up" + in + ": nothing needed it";
    case StepState::failed:
    case StepState::cancelled:
      return it + std::string(name_of(step.state)) + in +
             " before a program was started: " + step_detail(step);
    default:
      return it + "started no program" + in;
  }
}

std::string why_no_log(const RunStatus& run, const StepStatus& step, const TaskRow& task) {
  const std::string it = fmt::format("no log of '{}', {} on {}: ", step.row.step, task_name(task), task.host);
  if (!may_have_log(step, task)) return it + "it was not started";
  if (run.state == StepState::running && !is_final(task.state)) return it + "it has written nothing yet";
  return it + "it was removed, as `gnnflow gc` does with what no kept run needs";
}

}  // namespace gnnflow
