// Why there is no log: told from the run alone.
#include "orchestrator/cli/log_absence.h"

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

RunStatus run_that(StepState state) {
  RunStatus run;
  run.run.id = 3;
  run.state = state;
  return run;
}

std::string no_task(StepState state, const std::string& kind, const std::string& reason) {
  StepStatus step;
  step.row.step = "it";
  step.row.kind = kind;
  step.row.reason = reason;
  step.state = state;
  if (state == StepState::failed) {
    step.attempt.emplace();
    step.attempt->message = "no host";
  }
  return why_no_task(run_that(StepState::failed), step);
}

TEST(LogAbsence, OfAStepWithoutTasksSaysWhatBecameOfIt) {
  EXPECT_EQ(no_task(StepState::skipped, "train", "not begun: 'data' failed"),
            "'it' was skipped in run 3: 'data' failed");
  EXPECT_EQ(no_task(StepState::skipped, "train", "not retried"), "'it' was skipped in run 3: not retried");
  EXPECT_EQ(no_task(StepState::waiting, "train", "waits for data"),
            "'it' has not begun in run 3 yet: waits for data");
  EXPECT_EQ(no_task(StepState::idle, "launch", ""), "'it' was not up in run 3: nothing needed it");
  EXPECT_EQ(no_task(StepState::succeeded, "copy", ""), "'it' has no log: copy steps start no program");
  EXPECT_EQ(no_task(StepState::failed, "train", ""),
            "'it' failed in run 3 before a program was started: no host");
  EXPECT_EQ(no_task(StepState::interrupted, "train", ""), "'it' started no program in run 3");
}

std::string no_log(StepState run, const std::string& kind, TaskState state, int64_t started_ms) {
  StepStatus step;
  step.row.step = "it";
  step.row.kind = kind;
  TaskRow task;
  task.host = "node1";
  task.role = "rank 1";
  task.state = state;
  task.started_ms = started_ms;
  return why_no_log(run_that(run), step, task);
}

TEST(LogAbsence, OfATaskTellsWhatWasNeverWrittenFromWhatWasRemoved) {
  const std::string it = "no log of 'it', rank 1 on node1: ";
  EXPECT_EQ(no_log(StepState::failed, "train", TaskState::killed, 0), it + "it was not started");
  EXPECT_EQ(no_log(StepState::running, "train", TaskState::intent, 0), it + "it was not started");
  EXPECT_EQ(no_log(StepState::running, "train", TaskState::started, 5), it + "it has written nothing yet");
  EXPECT_EQ(no_log(StepState::succeeded, "train", TaskState::exited, 5),
            it + "it was removed, as `gnnflow gc` does with what no kept run needs");
  EXPECT_EQ(no_log(StepState::interrupted, "train", TaskState::started, 0),
            it + "it was removed, as `gnnflow gc` does with what no kept run needs");
}

}  // namespace
}  // namespace gnnflow
