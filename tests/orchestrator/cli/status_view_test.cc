// How a run's state is shown, as text and as JSON.
#include "orchestrator/cli/status_view.h"

#include <gtest/gtest.h>

#include "common/wire/progress.h"

namespace gnnflow {
namespace {

constexpr int64_t kNow = 1'000'000'000;

StepStatus step(std::string name, std::string kind, StepState state, std::string reason) {
  StepStatus status;
  status.row.step = std::move(name);
  status.row.kind = std::move(kind);
  status.row.reason = std::move(reason);
  status.state = state;
  return status;
}

AttemptRow attempt(AttemptState state, int64_t started_ms, int64_t ended_ms) {
  AttemptRow row;
  row.id = 5;
  row.run = 3;
  row.state = state;
  row.started_ms = started_ms;
  row.ended_ms = ended_ms;
  return row;
}

TaskRow task(int index, std::string role, std::string host, TaskState state) {
  TaskRow row;
  row.index = index;
  row.role = std::move(role);
  row.host = std::move(host);
  row.state = state;
  return row;
}

RunStatus interrupted_run() {
  RunStatus status;
  status.run.id = 3;
  status.run.started_ms = kNow - 62'000;
  status.state = StepState::interrupted;
  status.steps.push_back(step("graph", "generate", StepState::cached, "nothing changed"));
  status.steps.push_back(step("parts", "partition", StepState::succeeded, "no result yet"));
  status.steps.back().attempt = attempt(AttemptState::succeeded, kNow - 60'000, kNow - 58'500);
  StepStatus model = step("model", "train", StepState::interrupted, "epochs 2 -> 4");
  model.attempt = attempt(AttemptState::running, kNow - 50'000, 0);
  model.tasks.push_back(task(0, "rank 0", "node1", TaskState::started));
  model.tasks.back().progress = Progress{"epoch 3", 5, 10, "batches", "loss 1.2"}.to_json();
  model.tasks.push_back(task(1, "rank 1", "node2", TaskState::unknown));
  model.tasks.back().last_seen_ms = kNow - 185'000;
  status.steps.push_back(model);
  status.steps.push_back(step("score", "evaluate", StepState::waiting, ""));
  return status;
}

std::string without_first_line(const std::string& text) { return text.substr(text.find('\n') + 1); }

TEST(StatusText, ShowsHowFastBytesGoAndHowLongTheyWill) {
  RunStatus status = interrupted_run();
  Progress progress{"sending", 1 << 20, 11 << 20, "bytes", "2.0 GiB were there", 2 << 20};
  status.steps[2].tasks[0].progress = progress.to_json();
  EXPECT_NE(
      status_text(status, {"tiny", kNow, false})
          .find(
              "started, sending, 1,048,576 of 11,534,336 bytes, 2.0 MiB/s, 5.0s left, 2.0 GiB were there\n"),
      std::string::npos)
      << status_text(status, {"tiny", kNow, false});
}

TEST(StatusText, ShowsRunStepsAndTheTasksThatMatter) {
  std::string text = status_text(interrupted_run(), {"tiny", kNow, false});
  EXPECT_EQ(text.substr(0, 34), "run 3 of tiny: interrupted, begun ");
  EXPECT_EQ(without_first_line(text),
            "  graph  generate   cached                nothing changed\n"
            "  parts  partition  succeeded    1.5s     no result yet\n"
            "  model  train      interrupted           epochs 2 -> 4\n"
            "    rank 0 on node1: started, epoch 3, 5 of 10 batches, loss 1.2\n"
            "    rank 1 on node2: unknown, last seen 3m 05s ago\n"
            "  score  evaluate   waiting\n"
            "the controller is gone; `gnnflow run` goes on from here\n");
  EXPECT_EQ(status_exit_code(interrupted_run()), 11);
}

TEST(StatusText, ShowsWhatAStepWaitsForInsteadOfWhyItIsWanted) {
  RunStatus status = interrupted_run();
  status.steps[3].row.reason = "no result yet";
  status.steps[3].row.waits = "waits for cores that model uses";
  EXPECT_NE(status_text(status, {"tiny", kNow, false})
                .find("  score  evaluate   waiting               waits for cores that model uses\n"),
            std::string::npos);
  EXPECT_EQ(status_json(status, {"tiny", kNow, false}).get("steps").array()[3].get("waits"),
            Json("waits for cores that model uses"));
}

TEST(StatusText, ShowsWhyAStepFailedAndItsLastLines) {
  RunStatus status;
  status.run = {.id = 1,
                .command = "run",
                .workflow = "",
                .params = {},
                .started_ms = 1000,
                .ended_ms = 3000,
                .exit_code = 1,
                .summary = "failed: bad"};
  status.state = StepState::failed;
  StepStatus bad = step("bad", "exec", StepState::failed, "no result yet");
  bad.attempt = attempt(AttemptState::failed, 1000, 2500);
  bad.attempt->message = "exit code 3";
  bad.tasks.push_back(task(0, "", "controller", TaskState::exited));
  bad.tasks.back().code = 3;
  bad.tasks.back().tail = "first\nthe\x1b\xC2\x9B reason\n";
  status.steps.push_back(bad);
  std::string text = status_text(status, {"fails", kNow, false});
  EXPECT_NE(text.find(", took 2.0s\n"), std::string::npos) << text;
  EXPECT_EQ(without_first_line(text),
            "  bad   exec  failed       1.5s     exit code 3\n"
            "    task 0 on controller: exited, exit code 3\n"
            "    | first\n"
            "    | the?? reason\n"
            "failed: bad\n");
  EXPECT_EQ(status_exit_code(status), 1);
}

// No program runs for a host that a copy sends to: what is known of its end is why.
TEST(StatusText, ShowsWhyACopySentNothingToAHost) {
  RunStatus status = interrupted_run();
  StepStatus copy = step("data", "copy", StepState::failed, "part 0 is not on node1");
  copy.attempt = attempt(AttemptState::lost, 1000, 2500);
  copy.attempt->message = "to node1: no route to it";
  copy.tasks.push_back(task(0, "", "node1", TaskState::intent));
  copy.tasks.back().tail = "no route to it";
  copy.tasks.push_back(task(1, "", "node2", TaskState::killed));
  copy.tasks.back().code = 6;
  status.steps = {copy};
  EXPECT_NE(status_text(status, {"tiny", kNow, false})
                .find("to node1: no route to it\n"
                      "    task 0 on node1: not started, no route to it\n"
                      "    task 1 on node2: cancelled\n"
                      "the controller"),
            std::string::npos)
      << status_text(status, {"tiny", kNow, false});
}

TEST(StatusText, ATaskOfARunningStepThatWasNotAnsweredForIsStarting) {
  RunStatus status = interrupted_run();
  status.steps[2].tasks[0].state = TaskState::intent;
  EXPECT_NE(status_text(status, {"tiny", kNow, false}).find("    rank 0 on node1: starting\n"),
            std::string::npos);
}

TEST(StatusText, ARunningRunExitsWith10) {
  RunStatus status = interrupted_run();
  status.state = StepState::running;
  EXPECT_EQ(status_exit_code(status), 10);
  EXPECT_NE(status_text(status, {"tiny", kNow, false}).find(", for 1m 02s\n"), std::string::npos);
}

TEST(StatusJson, HasTheSameWithItsSchemaVersion) {
  Json json = status_json(interrupted_run(), {"tiny", kNow, false});
  EXPECT_EQ(json.get("schema"), Json(1));
  EXPECT_EQ(json.get("run").get("state"), Json("interrupted"));
  ASSERT_EQ(json.get("steps").array().size(), 4u);
  const Json& model = json.get("steps").array()[2];
  EXPECT_EQ(model.get("step"), Json("model"));
  EXPECT_EQ(model.get("state"), Json("interrupted"));
  EXPECT_EQ(model.get("tasks").array()[1].get("state"), Json("unknown"));
  EXPECT_TRUE(Json::parse(json.dump()));
}

}  // namespace
}  // namespace gnnflow
