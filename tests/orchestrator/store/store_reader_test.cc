// What is seen beside a controller and without one.
#include <gtest/gtest.h>
#include <unistd.h>

#include "orchestrator/store/rows.h"
#include "tests/orchestrator/store/store_rows.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

class StoreReaderTest : public testing::Test {
 protected:
  RunStatus status(std::optional<int64_t> run = {}) {
    return must(must(StoreReader::open(folder)).status(run));
  }
  TempDir dir;
  fs::path folder = dir / "s";
};

TEST_F(StoreReaderTest, SaysThatThereIsNoStateAndMakesNone) {
  Result<StoreReader> none = StoreReader::open(folder);
  ASSERT_FALSE(none);
  EXPECT_EQ(exit_code(none.error().cause), 4);
  EXPECT_NE(none.error().message.find(folder.string()), std::string::npos);
  EXPECT_FALSE(fs::exists(folder));
}

TEST_F(StoreReaderTest, SaysThatThereIsNoRun) {
  RunStore store = must(RunStore::open(folder));
  Result<RunStatus> none = must(StoreReader::open(folder)).status();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().cause, Cause::not_found);
  EXPECT_FALSE(must(StoreReader::open(folder)).status(7));
}

TEST_F(StoreReaderTest, NamesTheRunsThereAreWhenOneIsNot) {
  RunStore store = must(RunStore::open(folder));
  for (int i = 0; i < 3; ++i) must(store.begin_run(run_row(), {}));
  Result<RunStatus> none = must(StoreReader::open(folder)).status(7);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message, folder.string() + ": no run 7; there are 1 to 3");
}

TEST_F(StoreReaderTest, GivesTheResultsThatAPlanNeedsBesideAController) {
  RunStore store = must(RunStore::open(folder));
  const int64_t run = must(store.begin_run(run_row(), {step_row("graph")}));
  const int64_t attempt = must(store.begin_attempt(attempt_row(run, "graph"), task_rows(1)));
  must(store.succeed(attempt, {{"graph", "d1", 100}}, {{"d1", "graph", "controller", "outputs/x", true}}));
  must(store.remember_digest("/a/b", "s1", "d0"));
  StoreReader reader = must(StoreReader::open(folder));
  PastResults& past = reader;
  EXPECT_EQ(must(past.last_succeeded("graph", "key-1"))->id, attempt);
  EXPECT_EQ(must(past.pieces_of(attempt))[0].digest, "d1");
  EXPECT_EQ(must(past.locations_of("d1"))[0].path, "outputs/x");
  EXPECT_EQ(must(past.remembered_digest("/a/b", "s1")), "d0");
  must(past.remember_digest("/a/b", "s2", "d9"));
  EXPECT_FALSE(must(past.remembered_digest("/a/b", "s2"))) << "a reader writes nothing";
}

TEST_F(StoreReaderTest, NamesWhoHoldsTheState) {
  RunStore store = must(RunStore::open(folder));
  std::optional<std::string> holder = must(must(StoreReader::open(folder)).holder());
  ASSERT_TRUE(holder);
  EXPECT_TRUE(holder->starts_with("process " + std::to_string(::getpid()) + " on ")) << *holder;
}

TEST_F(StoreReaderTest, ShowsARunBesideItsController) {
  RunStore store = must(RunStore::open(folder));
  const int64_t run = must(store.begin_run(
      run_row(), {step_row("graph", "generate"), step_row("servers", "launch"), step_row("model", "train")}));
  const int64_t attempt = must(store.begin_attempt(attempt_row(run, "graph"), task_rows(2)));
  must(store.set_attempt(attempt, AttemptState::running));
  must(store.set_progress(attempt, 1, Json(Json::Object{{"done", 3}})));
  RunStatus seen = status();
  EXPECT_EQ(seen.state, StepState::running);
  EXPECT_EQ(seen.run.params.integer_or("epochs", 0), 10);
  ASSERT_EQ(seen.steps.size(), 3u);
  EXPECT_EQ(seen.steps[0].row.step, "graph") << "in the order of the file";
  EXPECT_EQ(seen.steps[0].state, StepState::running);
  ASSERT_EQ(seen.steps[0].tasks.size(), 2u);
  EXPECT_EQ(seen.steps[0].tasks[1].progress.integer_or("done", 0), 3);
  EXPECT_EQ(seen.steps[1].state, StepState::idle);
  EXPECT_EQ(seen.steps[2].state, StepState::waiting);
  EXPECT_TRUE(must(StoreReader::open(folder)).controller_alive());
}

TEST_F(StoreReaderTest, ShowsInterruptedOnceTheControllerIsGone) {
  {
    RunStore store = must(RunStore::open(folder));
    const int64_t run = must(store.begin_run(run_row(), {step_row("graph"), step_row("model")}));
    must(store.begin_attempt(attempt_row(run, "graph"), task_rows(1)));
  }
  EXPECT_FALSE(must(StoreReader::open(folder)).controller_alive());
  RunStatus seen = status();
  EXPECT_EQ(seen.state, StepState::interrupted);
  EXPECT_EQ(seen.steps[0].state, StepState::interrupted);
  EXPECT_EQ(seen.steps[1].state, StepState::waiting);
}

TEST_F(StoreReaderTest, AnOldRunStaysInterruptedUnderANewController) {
  const auto begin = [&](RunStore& store) { return must(store.begin_run(run_row(), {step_row("graph")})); };
  int64_t first = 0;
  {
    RunStore store = must(RunStore::open(folder));
    first = begin(store);
  }
  RunStore store = must(RunStore::open(folder));
  EXPECT_EQ(status().state, StepState::interrupted) << "the lock is held, but not for this run";
  const int64_t second = begin(store);
  EXPECT_EQ(status(first).state, StepState::interrupted);
  EXPECT_EQ(status(second).state, StepState::running);
  must(store.end_run(second, 0, "done"));
  EXPECT_EQ(status().state, StepState::succeeded);
  EXPECT_EQ(must(must(StoreReader::open(folder)).runs()).size(), 2u);
}

TEST_F(StoreReaderTest, AStepWithARetryDueIsWaitingNotFailed) {
  RunStore store = must(RunStore::open(folder));
  const int64_t run = must(store.begin_run(run_row(), {step_row("graph")}));
  const int64_t attempt = must(store.begin_attempt(attempt_row(run, "graph"), task_rows(1)));
  must(store.set_attempt(attempt, AttemptState::failed));
  EXPECT_EQ(status().steps[0].state, StepState::failed);
  RunStepRow again = step_row("graph");
  again.run = run;
  again.reason = "try 2 of 3";
  must(store.set_step(again));
  EXPECT_EQ(status().steps[0].state, StepState::waiting);
  EXPECT_EQ(status().steps[0].row.reason, "try 2 of 3");
}

TEST_F(StoreReaderTest, GivesEventsInOrderAndFromAPlace) {
  RunStore store = must(RunStore::open(folder));
  const int64_t run = must(store.begin_run(run_row(), {}));
  for (int i = 0; i < 5; ++i) must(store.add_event(run, "graph", std::to_string(i)));
  StoreReader reader = must(StoreReader::open(folder));
  std::vector<EventRow> events = must(reader.events(run, 0));
  ASSERT_EQ(events.size(), 5u);
  std::vector<EventRow> rest = must(reader.events(run, events[2].id));
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest[0].text, "3");
  EXPECT_TRUE(must(reader.events(run + 1, 0)).empty());
}

TEST_F(StoreReaderTest, AsksALivingControllerToStop) {
  RunStore store = must(RunStore::open(folder));
  const int64_t run = must(store.begin_run(run_row(), {}));
  EXPECT_FALSE(must(store.stop_requested(run)));
  must(StoreReader::request_stop(folder, run));
  EXPECT_TRUE(must(store.stop_requested(run)));
  EXPECT_FALSE(must(store.stop_requested(run + 1)));
}

TEST_F(StoreReaderTest, DoesNotAskForTheEndOfWhatDoesNotRun) {
  int64_t run = 0;
  {
    RunStore store = must(RunStore::open(folder));
    run = must(store.begin_run(run_row(), {}));
  }
  Status status = StoreReader::request_stop(folder, run);
  ASSERT_FALSE(status);
  EXPECT_EQ(exit_code(status.error().cause), 4);
  EXPECT_EQ(exit_code(StoreReader::request_stop(folder, 99).error().cause), 4);
}

// A run may have very many: no row that is not wanted is read.
TEST_F(StoreReaderTest, FindsEventsByAnIndex) {
  RunStore store = must(RunStore::open(folder));
  Database database = raw_database(folder);
  std::vector<std::string> plan;
  must(database.each("EXPLAIN QUERY PLAN " + std::string(kEventsQuery), {sql(int64_t{1}), sql(int64_t{0})},
                     [&](const SqlRow& row) {
                       plan.push_back(row.text(3));
                       return Status();
                     }));
  ASSERT_EQ(plan.size(), 1u) << "no sorting either";
  EXPECT_TRUE(plan[0].starts_with("SEARCH event USING")) << plan[0];
}

}  // namespace
}  // namespace gnnflow
