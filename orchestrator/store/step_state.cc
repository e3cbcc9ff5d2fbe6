// One pure function per row of the table in the header.
#include "orchestrator/store/step_state.h"

namespace gnnflow {
namespace {

constexpr std::string_view kService = "launch";

bool was_stopped(int exit_code) {
  return exit_code == gnnflow::exit_code(Cause::stopped) ||
         exit_code == gnnflow::exit_code(Cause::interrupted) ||
         exit_code == gnnflow::exit_code(Cause::terminated) ||
         exit_code == gnnflow::exit_code(Cause::hung_up);
}

StepState state_of_service(const AttemptRow* attempt, const RunLife& run) {
  if (!attempt) return StepState::idle;
  switch (attempt->state) {
    case AttemptState::succeeded:
    case AttemptState::cancelled:
      return StepState::idle;
    case AttemptState::failed:
    case AttemptState::lost:
      return StepState::failed;
    case AttemptState::intent:
      return run.live ? StepState::running : StepState::interrupted;
    case AttemptState::running:
    case AttemptState::publishing:
      return run.live ? StepState::up : StepState::interrupted;
  }
  return StepState::idle;
}

}  // namespace

StepState state_of_step(const RunStepRow& row, const AttemptRow* attempt, const RunLife& run) {
  if (row.decision == Decision::skipped) return StepState::skipped;
  if (row.kind == kService) return state_of_service(attempt, run);
  if (row.decision == Decision::cached) return StepState::cached;
  if (!attempt) return run.ended ? StepState::skipped : StepState::waiting;
  switch (attempt->state) {
    case AttemptState::succeeded:
      return StepState::succeeded;
    case AttemptState::cancelled:
      return StepState::cancelled;
    case AttemptState::failed:
    case AttemptState::lost:
      return StepState::failed;
    case AttemptState::intent:
    case AttemptState::running:
    case AttemptState::publishing:
      break;
  }
  return run.live && !run.ended ? StepState::running : StepState::interrupted;
}

StepState state_of_run(const RunLife& run) {
  if (!run.ended) return run.live ? StepState::running : StepState::interrupted;
  if (run.exit_code == 0) return StepState::succeeded;
  return was_stopped(run.exit_code) ? StepState::cancelled : StepState::failed;
}

void compute_states(RunStatus& status, bool controller_lives) {
  const RunLife life{status.run.ended_ms != 0, status.run.exit_code,
                     controller_lives && status.run.ended_ms == 0};
  status.state = state_of_run(life);
  for (StepStatus& step : status.steps) {
    step.state = state_of_step(step.row, step.attempt ? &*step.attempt : nullptr, life);
  }
}

}  // namespace gnnflow
