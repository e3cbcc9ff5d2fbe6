// What `status --watch` says of a run that goes on.
#include "orchestrator/cli/status_watch.h"

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

StepStatus step(std::string name, StepState state, std::string reason = "") {
  StepStatus status;
  status.row.step = std::move(name);
  status.row.reason = std::move(reason);
  status.state = state;
  return status;
}

RunStatus run_of(std::vector<StepStatus> steps) {
  RunStatus status;
  status.run.id = 1;
  status.state = StepState::running;
  status.steps = std::move(steps);
  return status;
}

TEST(StatusChanges, AreALineForEachStepThatIsInAnotherState) {
  RunStatus before = run_of({step("graph", StepState::running), step("model", StepState::waiting)});
  EXPECT_EQ(status_changes(before, before), "");
  RunStatus now = run_of(
      {step("graph", StepState::succeeded, "never ran"), step("model", StepState::running, "epochs 2 -> 3")});
  EXPECT_EQ(status_changes(before, now), "graph: succeeded: never ran\nmodel: running: epochs 2 -> 3\n");
}

TEST(StatusChanges, SayWhatAStepWaitsFor) {
  RunStatus before = run_of({step("model", StepState::waiting, "never ran")});
  RunStatus now = before;
  now.steps[0].row.waits = "waits for cores that parts uses";
  EXPECT_EQ(status_changes(before, now), "model: waiting: waits for cores that parts uses\n");
}

TEST(StatusChanges, SayWhichTaskCannotBeAsked) {
  RunStatus before = run_of({step("model", StepState::running)});
  TaskRow task;
  task.host = "node1";
  task.role = "rank 0";
  task.state = TaskState::started;
  before.steps[0].tasks = {task};
  RunStatus now = before;
  now.steps[0].tasks[0].state = TaskState::unknown;
  EXPECT_EQ(status_changes(before, now), "model: rank 0 on node1 cannot be asked\n");
  EXPECT_EQ(status_changes(now, before), "model: rank 0 on node1 answers again\n");
}

}  // namespace
}  // namespace gnnflow
