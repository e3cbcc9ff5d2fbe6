// What the store keeps, in which order it may change, and what it refuses.
#include "orchestrator/store/run_store.h"

#include <gtest/gtest.h>

#include "tests/orchestrator/store/store_rows.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

class RunStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    run = must(store->begin_run(run_row(), {step_row("graph", "generate"), step_row("model", "train")}));
  }
  void reopen() {
    store.reset();
    store.emplace(must(RunStore::open(folder)));
  }
  int64_t attempt(std::string step, int number = 1, int tasks = 1) {
    return must(store->begin_attempt(attempt_row(run, step, number),
                                     task_rows(tasks, step + std::to_string(number))));
  }
  TaskRow task(int64_t of, size_t index = 0) { return must(store->tasks_of(of))[index]; }
  // The message of what SQL is refused with; empty when it was not.
  std::string refusal(std::string_view statement) {
    Status status = raw_database(folder).script(statement);
    return status ? "" : status.error().message;
  }

  TempDir dir;
  fs::path folder = dir / ".gnnflow/flow";
  std::optional<RunStore> store = must(RunStore::open(folder));
  int64_t run = 0;
};

TEST_F(RunStoreTest, MakesAPrivateStateOnceAndRaisesTheEpochEachTime) {
  EXPECT_TRUE(store->made());
  EXPECT_EQ(store->epoch(), 1);
  EXPECT_EQ(store->store_id().size(), 32u);
  EXPECT_EQ(fs::status(folder / "gnnflow.db").permissions() & fs::perms::all,
            fs::perms::owner_read | fs::perms::owner_write);
  const std::string id = store->store_id();
  reopen();
  EXPECT_FALSE(store->made());
  EXPECT_EQ(store->epoch(), 2);
  EXPECT_EQ(store->store_id(), id);
}

TEST_F(RunStoreTest, ARunWithNothingToDoIsBegunAndEndedAtOnce) {
  RunRow nothing = run_row();
  nothing.started_ms = nothing.ended_ms = 1000;
  nothing.summary = "nothing to do";
  must(store->begin_run(nothing, {step_row("graph")}));
  RunStatus status = must(must(StoreReader::open(folder)).status());
  EXPECT_EQ(status.run.ended_ms, 1000);
  EXPECT_EQ(status.run.exit_code, 0);
  EXPECT_EQ(status.run.summary, "nothing to do");
}

TEST_F(RunStoreTest, TellsASecondControllerWhoHoldsTheState) {
  Result<RunStore> second = RunStore::open(folder);
  ASSERT_FALSE(second);
  EXPECT_EQ(exit_code(second.error().cause), 5);
  EXPECT_NE(second.error().message.find("holds the state: process " + std::to_string(::getpid()) + " on "),
            std::string::npos)
      << second.error().message;
  EXPECT_NE(second.error().message.find(" since 2"), std::string::npos);
}

TEST_F(RunStoreTest, KeepsAnAttemptWithItsTasks) {
  const int64_t id = attempt("model", 1, 2);
  reopen();
  std::vector<AttemptRow> unfinished = must(store->unfinished_attempts());
  ASSERT_EQ(unfinished.size(), 1u);
  EXPECT_EQ(unfinished[0].id, id);
  EXPECT_EQ(unfinished[0].state, AttemptState::intent);
  EXPECT_EQ(unfinished[0].inputs, attempt_row(run, "model").inputs);
  EXPECT_GT(unfinished[0].started_ms, 0);
  std::vector<TaskRow> tasks = must(store->tasks_of(id));
  ASSERT_EQ(tasks.size(), 2u);
  EXPECT_EQ(tasks[1].token, "model1.1");
  EXPECT_EQ(tasks[1].role, "rank 1");
}

TEST_F(RunStoreTest, NumbersTheAttemptsOfAStep) {
  EXPECT_EQ(must(store->next_attempt_number("model")), 1);
  must(store->set_attempt(attempt("model", 1), AttemptState::failed));
  EXPECT_EQ(must(store->next_attempt_number("model")), 2);
  EXPECT_EQ(must(store->next_attempt_number("graph")), 1);
}

TEST_F(RunStoreTest, RefusesASecondUnfinishedAttemptOfAStep) {
  const int64_t first = attempt("model", 1);
  Result<int64_t> second = store->begin_attempt(attempt_row(run, "model", 2), {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().cause, Cause::bug);
  must(store->set_attempt(first, AttemptState::lost, "unreachable", "host node1 is gone"));
  EXPECT_TRUE(store->begin_attempt(attempt_row(run, "model", 2), {}));
}

TEST_F(RunStoreTest, RefusesATokenThatIsTaken) {
  must(store->begin_attempt(attempt_row(run, "model"), task_rows(1, "same")));
  EXPECT_FALSE(store->begin_attempt(attempt_row(run, "graph"), task_rows(1, "same")));
  EXPECT_EQ(must(store->unfinished_attempts()).size(), 1u) << "half an attempt was kept";
}

TEST_F(RunStoreTest, AttemptsGoForwardOnly) {
  const int64_t id = attempt("model");
  must(store->set_attempt(id, AttemptState::running));
  EXPECT_FALSE(store->set_attempt(id, AttemptState::intent));
  must(store->set_attempt(id, AttemptState::publishing));
  EXPECT_FALSE(store->set_attempt(id, AttemptState::running));
  must(store->set_attempt(id, AttemptState::failed, "bad_data", "row 7 is cut"));
  std::optional<AttemptRow> last = must(store->last_attempt("model"));
  EXPECT_EQ(last->cause, "bad_data");
  EXPECT_EQ(last->message, "row 7 is cut");
  EXPECT_GE(last->ended_ms, last->started_ms);
}

TEST_F(RunStoreTest, WhatIsFinalStaysFinal) {
  for (AttemptState end :
       {AttemptState::succeeded, AttemptState::failed, AttemptState::lost, AttemptState::cancelled}) {
    const int64_t id = attempt("model", must(store->next_attempt_number("model")));
    must(store->set_attempt(id, end));
    EXPECT_TRUE(store->set_attempt(id, end)) << "told twice";
    for (AttemptState other :
         {AttemptState::intent, AttemptState::running, AttemptState::publishing, AttemptState::succeeded,
          AttemptState::failed, AttemptState::lost, AttemptState::cancelled}) {
      if (other == end) continue;
      EXPECT_FALSE(store->set_attempt(id, other)) << name_of(end) << " to " << name_of(other);
    }
    EXPECT_FALSE(store->set_metrics(id, Json(1)));
    EXPECT_EQ(must(store->last_attempt("model"))->state, end);
  }
}

TEST_F(RunStoreTest, TasksGoThroughUnknownAndEndOnce) {
  const int64_t id = attempt("model");
  TaskRow row = task(id);
  for (TaskState state : {TaskState::started, TaskState::unknown, TaskState::started, TaskState::unknown}) {
    row.state = state;
    row.last_seen_ms = 5;
    must(store->set_task(row));
  }
  row.state = TaskState::killed;
  row.signal = 9;
  row.tail = "Killed";
  must(store->set_task(row));
  EXPECT_TRUE(store->set_task(row)) << "told twice";
  row.state = TaskState::exited;
  EXPECT_FALSE(store->set_task(row));
  EXPECT_EQ(task(id).state, TaskState::killed);
  EXPECT_EQ(task(id).signal, 9);
  EXPECT_EQ(task(id).tail, "Killed");
  EXPECT_GT(task(id).ended_ms, 0);
}

TEST_F(RunStoreTest, AStartedTaskIsNotAnIntentAgain) {
  TaskRow row = task(attempt("model"));
  row.state = TaskState::started;
  must(store->set_task(row));
  row.state = TaskState::intent;
  EXPECT_FALSE(store->set_task(row));
}

TEST_F(RunStoreTest, SaysWhenARowIsNotThere) {
  Status none = store->set_attempt(77, AttemptState::running);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("no attempt 77"), std::string::npos);
  TaskRow row;
  row.attempt = 77;
  EXPECT_FALSE(store->set_task(row));
  EXPECT_FALSE(store->end_run(77, 0, ""));
}

TEST_F(RunStoreTest, TheDatabaseItselfRefusesWhatOurCodeWouldNotDo) {
  const int64_t id = attempt("model");
  must(store->succeed(id, {{"model", "d7", 10}}, {}));
  must(store->add_event(run, "model", "made"));
  must(store->end_run(run, 0, "done"));
  const std::string where = " WHERE id=" + std::to_string(id);
  EXPECT_NE(refusal("UPDATE attempt SET state='failed'" + where).find("this attempt is final"),
            std::string::npos);
  EXPECT_NE(refusal("UPDATE attempt SET message='x'" + where).find("this attempt is final"),
            std::string::npos);
  EXPECT_NE(refusal("DELETE FROM attempt" + where).find("attempts are kept"), std::string::npos);
  EXPECT_NE(refusal("DELETE FROM task").find("tasks are kept"), std::string::npos);
  EXPECT_NE(refusal("UPDATE run SET exit_code=1").find("this run has ended"), std::string::npos);
  EXPECT_NE(refusal("DELETE FROM run").find("runs are kept"), std::string::npos);
  EXPECT_NE(refusal("UPDATE event SET text='other'").find("events are only added"), std::string::npos);
  EXPECT_NE(refusal("DELETE FROM event").find("events are only added"), std::string::npos);
  EXPECT_NE(refusal("UPDATE piece SET digest='d8'").find("pieces do not change"), std::string::npos);
  EXPECT_NE(refusal("UPDATE task SET token='x'").find("does not change"), std::string::npos);
  EXPECT_NE(refusal("INSERT INTO step VALUES('x', 7.5, 3)"), "");
  EXPECT_NE(refusal("INSERT INTO attempt(run,step,kind,key,resume_key,number,state,reason,inputs,started_ms)"
                    " VALUES(1,'model','exec','k','r',9,'done','','{}',1)"),
            "")
      << "an unknown state";
  EXPECT_NE(refusal("INSERT INTO attempt(run,step,kind,key,resume_key,number,state,reason,inputs,started_ms)"
                    " VALUES(99,'model','exec','k','r',9,'intent','','{}',1)"),
            "")
      << "of a run that is not there";
  EXPECT_NE(refusal("INSERT INTO attempt(run,step,kind,key,resume_key,number,state,reason,inputs,started_ms)"
                    " VALUES(1,'model','exec','k','r',9,'failed','','{}',1)"),
            "")
      << "an end without its time";
}

TEST_F(RunStoreTest, SuccessComesWithPiecesAndLocations) {
  const int64_t id = attempt("graph");
  const std::vector<LocationRow> locations = {{"d1", "graph", "controller", "outputs/graph/k/1/graph", true},
                                              {"d1", "graph", "node1", "data/d1", false}};
  must(store->succeed(id, {{"graph", "d1", 100}, {"extra", "d2", 5}}, locations));
  reopen();
  std::vector<PieceRow> pieces = must(store->pieces_of(id));
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[0].name, "graph");
  EXPECT_EQ(pieces[1].bytes, 5);
  std::vector<LocationRow> found = must(store->locations_of("d1"));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].path, "outputs/graph/k/1/graph");
  EXPECT_TRUE(found[0].verified);
  EXPECT_FALSE(found[1].verified);
  EXPECT_EQ(must(store->last_succeeded("graph", "key-1"))->id, id);
  EXPECT_FALSE(must(store->last_succeeded("graph", "key-2")));
  EXPECT_FALSE(must(store->last_succeeded("model", "key-1")));
  EXPECT_EQ(must(store->succeeded_with_resume_key("graph", "resume-1")).size(), 1u);
}

TEST_F(RunStoreTest, AFailedSuccessLeavesNothing) {
  const int64_t id = attempt("graph");
  must(store->set_attempt(id, AttemptState::failed));
  EXPECT_FALSE(
      store->succeed(id, {{"graph", "d1", 100}}, {{"d1", "graph", "controller", "outputs/x", true}}));
  EXPECT_TRUE(must(store->pieces_of(id)).empty());
  EXPECT_TRUE(must(store->locations_of("d1")).empty());
}

TEST_F(RunStoreTest, LocationsTurnVerifiedAndGo) {
  LocationRow row{"d1", "part-0", "node1", "data/d1/part-0", false};
  must(store->set_location(row));
  row.verified = true;
  must(store->set_location(row));
  ASSERT_EQ(must(store->locations_of("d1")).size(), 1u);
  EXPECT_TRUE(must(store->locations_of("d1"))[0].verified);
  must(store->remove_location(row));
  EXPECT_TRUE(must(store->locations_of("d1")).empty());
}

TEST_F(RunStoreTest, ProgressIsBatchedAndGoesWithTheNextCommit) {
  const int64_t id = attempt("model", 1, 2);
  must(store->set_progress(id, 0, Json("first")));
  EXPECT_EQ(task(id, 0).progress, Json("first")) << "the first is written at once";
  must(store->set_progress(id, 0, Json("second")));
  must(store->set_progress(id, 1, Json("other")));
  EXPECT_EQ(task(id, 0).progress, Json("first")) << "the next within a second waits";
  must(store->add_event(run, "", "anything"));
  EXPECT_EQ(task(id, 0).progress, Json("second"));
  EXPECT_EQ(task(id, 1).progress, Json("other"));
}

TEST_F(RunStoreTest, ProgressThatWaitsIsWrittenAtTheEnd) {
  const int64_t id = attempt("model");
  must(store->set_progress(id, 0, Json(1)));
  must(store->set_progress(id, 0, Json(2)));
  reopen();
  EXPECT_EQ(task(id).progress, Json(2));
}

TEST_F(RunStoreTest, ProgressNeverUndoesAnEnd) {
  const int64_t id = attempt("model");
  TaskRow row = task(id);
  must(store->set_progress(id, 0, Json(1)));
  must(store->set_progress(id, 0, Json(2)));
  row.state = TaskState::exited;
  must(store->set_task(row));
  EXPECT_EQ(task(id).progress, Json(2)) << "a row without progress keeps it";
  must(store->set_progress(id, 0, Json(3)));
  must(store->add_event(run, "", "anything"));
  EXPECT_EQ(task(id).state, TaskState::exited);
  EXPECT_EQ(task(id).progress, Json(2));
}

TEST_F(RunStoreTest, RemembersDigestsByStamp) {
  EXPECT_FALSE(must(store->remembered_digest("/a/b", "s1")));
  must(store->remember_digest("/a/b", "s1", "d1"));
  EXPECT_EQ(must(store->remembered_digest("/a/b", "s1")), "d1");
  EXPECT_FALSE(must(store->remembered_digest("/a/b", "s2")));
  must(store->remember_digest("/a/b", "s2", "d2"));
  reopen();
  EXPECT_FALSE(must(store->remembered_digest("/a/b", "s1")));
  EXPECT_EQ(must(store->remembered_digest("/a/b", "s2")), "d2");
}

TEST_F(RunStoreTest, KnowsItsHosts) {
  HostRow host;
  host.name = "node1";
  host.root = "/w/x/node1";
  must(store->set_host(host));
  host.state = HostState::up;
  host.boot = "b1";
  host.pid = 12;
  must(store->set_host(host));
  std::vector<HostRow> hosts = must(store->hosts());
  ASSERT_EQ(hosts.size(), 1u);
  EXPECT_EQ(hosts[0].state, HostState::up);
  EXPECT_EQ(hosts[0].boot, "b1");
}

TEST_F(RunStoreTest, HowAHostIsReachedIsTheWorkflowsToSay) {
  const Json entry(Json::Object{{"address", "10.0.0.7"}});
  store.reset();
  store.emplace(must(RunStore::open(folder, {"flow", folder / "flow.yml"}, {{"node1", entry}})));
  HostRow known = must(store->hosts())[0];
  EXPECT_EQ(known.name, "node1");
  EXPECT_EQ(known.state, HostState::gone);
  EXPECT_EQ(known.root, "");
  HostRow up;
  up.name = "node1";
  up.state = HostState::up;
  up.root = "/w/x/node1";
  must(store->set_host(up));
  EXPECT_EQ(must(store->hosts())[0].entry, entry) << "whoever starts a daemon need not know it";
  EXPECT_EQ(must(store->hosts())[0].root, "/w/x/node1");
}

TEST_F(RunStoreTest, WritesTogetherAreOneCommitOrNone) {
  const int64_t id = attempt("model");
  const int64_t before = store->commits();
  const auto both = [&]() -> Status {
    TaskRow row = task(id);
    row.state = TaskState::started;
    TRY(store->set_task(row));
    TRY(store->together([&] { return store->add_event(run, "model", "inside of another"); }));
    return store->set_attempt(id, AttemptState::running);
  };
  must(store->together(both));
  EXPECT_EQ(store->commits() - before, 1);
  EXPECT_EQ(task(id).state, TaskState::started);
  EXPECT_EQ(must(store->last_attempt("model"))->state, AttemptState::running);

  const auto half = [&]() -> Status {
    TRY(store->add_event(run, "model", "never seen"));
    return store->set_attempt(77, AttemptState::running);
  };
  EXPECT_FALSE(store->together(half));
  EXPECT_EQ(must(must(StoreReader::open(folder)).events(run, 0)).size(), 1u);
  EXPECT_EQ(store->commits() - before, 1);
  EXPECT_TRUE(store->add_event(run, "model", "as if nothing had been")) << "the store is stuck";
}

TEST_F(RunStoreTest, AnErrorInsideTogetherIsNotForgotten) {
  const auto careless = [&]() -> Status {
    (void)store->set_attempt(77, AttemptState::running);
    EXPECT_FALSE(store->add_event(run, "", "what follows is not written"));
    return {};
  };
  Status status = store->together(careless);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("no attempt 77"), std::string::npos) << status.error().message;
  EXPECT_TRUE(must(must(StoreReader::open(folder)).events(run, 0)).empty());
}

TEST_F(RunStoreTest, NewsAndDigestsInsideTogetherDoNotWaitForTheirOwnTransaction) {
  const int64_t id = attempt("model");
  must(store->set_progress(id, 0, Json(1)));
  const auto all = [&]() -> Status {
    TRY(store->add_event(run, "model", "holds the database"));
    TRY(store->set_progress(id, 0, Json(2)));
    TRY(store->set_waits(run, "model", "waits for its turn"));
    TRY(store->remember_digest("/a/b", "s1", "d1"));
    TRY(store->stop_requested(run));
    return {};
  };
  must(store->together(all));
  EXPECT_EQ(must(store->remembered_digest("/a/b", "s1")), "d1");
  reopen();
  EXPECT_EQ(task(id).progress, Json(2));
}

TEST_F(RunStoreTest, WhatAStepWaitsForIsToldUntilItsAttemptBegins) {
  const auto waits = [&] { return must(must(StoreReader::open(folder)).status()).steps[1].row.waits; };
  must(store->set_waits(run, "model", "waits for 4 cores of node1"));
  EXPECT_EQ(waits(), "waits for 4 cores of node1") << "the first is written at once";
  must(store->set_waits(run, "model", "waits for 2 cores of node1"));
  must(store->add_event(run, "", "anything"));
  EXPECT_EQ(waits(), "waits for 2 cores of node1");
  must(store->set_waits(run, "model", "never shown"));
  attempt("model");
  EXPECT_EQ(waits(), "");
}

TEST_F(RunStoreTest, KeepsMetrics) {
  const int64_t id = attempt("model");
  must(store->set_metrics(id, Json(Json::Object{{"val", 0.71}})));
  EXPECT_EQ(must(store->last_attempt("model"))->metrics.number_or("val", 0), 0.71);
}

// Whose state it is.
class OwnerTest : public testing::Test {
 protected:
  StoreOwner owner(std::string name, const fs::path& file) {
    return {std::move(name), file, Milliseconds(60'000), Milliseconds(2'000)};
  }
  Error refusal(const StoreOwner& wanted) {
    Result<RunStore> store = RunStore::open(folder, wanted);
    if (!store) return store.error();
    ADD_FAILURE() << "it was opened";
    return {};
  }
  TempDir dir;
  fs::path folder = dir / "s";
  fs::path file = dir.file("flow.yml", "");
};

TEST_F(OwnerTest, IsWrittenDownAndMayComeAgain) {
  must(RunStore::open(folder, owner("flow", file)));
  EXPECT_EQ(must(RunStore::open(folder, owner("flow", file))).epoch(), 2);
  EXPECT_EQ(must(RunStore::open(folder)).epoch(), 3) << "one that does not say who it is";
  StoreOwner known = must(must(StoreReader::open(folder)).owner());
  EXPECT_EQ(known.workflow, "flow");
  EXPECT_EQ(known.file, file);
  EXPECT_EQ(known.grace, Milliseconds(2'000));
}

TEST_F(OwnerTest, RefusesAnotherWorkflowWith2AndNamesBoth) {
  must(RunStore::open(folder, owner("flow", file)));
  const Error error = refusal(owner("other", dir.file("other.yml", "")));
  EXPECT_EQ(exit_code(error.cause), 2);
  EXPECT_EQ(error.message, folder.string() + ": the state of workflow 'flow', " + file.string() +
                               "; give 'other', " + (dir / "other.yml").string() +
                               ", a folder of its own with --state DIR");
  EXPECT_EQ(must(RunStore::open(folder)).epoch(), 2) << "who was refused left a trace";
}

TEST_F(OwnerTest, RefusesAnotherFileOfTheSameNameWhileTheFirstIsThere) {
  must(RunStore::open(folder, owner("flow", file)));
  const fs::path copy = dir.file("copy.yml", "");
  const Error error = refusal(owner("flow", copy));
  EXPECT_EQ(error.cause, Cause::bad_usage);
  EXPECT_EQ(error.message, folder.string() + ": the state of workflow 'flow', " + file.string() + "; " +
                               copy.string() +
                               " has the same name: give it another `name:`, or a state of its own with "
                               "--state DIR");
  fs::remove(file);
  must(RunStore::open(folder, owner("flow", copy)));
  EXPECT_EQ(must(must(StoreReader::open(folder)).owner()).file, copy) << "moved";
}

TEST_F(OwnerTest, AnotherPathToTheSameFileIsTheSameFile) {
  must(RunStore::open(folder, owner("flow", file)));
  fs::create_symlink(file, dir / "link.yml");
  EXPECT_TRUE(RunStore::open(folder, owner("flow", dir / "link.yml")));
}

TEST(RunStore, RefusesADamagedStateWith9AndNamesIt) {
  TempDir dir;
  must(RunStore::open(dir / "s"));
  fs::resize_file(dir / "s/gnnflow.db", 5000);
  Result<RunStore> store = RunStore::open(dir / "s");
  ASSERT_FALSE(store);
  EXPECT_EQ(exit_code(store.error().cause), 9);
  EXPECT_NE(store.error().message.find((dir / "s/gnnflow.db").string() + ": damaged"), std::string::npos)
      << store.error().message;
}

TEST(RunStore, SaysThatItsFolderIsAFile) {
  TempDir dir;
  dir.file("s", "x");
  Result<RunStore> store = RunStore::open(dir / "s");
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().message.find((dir / "s").string()), std::string::npos);
}

}  // namespace
}  // namespace gnnflow
