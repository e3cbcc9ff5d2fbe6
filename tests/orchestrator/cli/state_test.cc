// Commands over a state folder: found or not, read while nothing runs; exit codes and messages.
#include <gtest/gtest.h>

#include "orchestrator/cli/stored_hosts.h"
#include "orchestrator/store/run_store.h"
#include "tests/orchestrator/cli/recorded_console.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

constexpr std::string_view kFlow = R"(gnnflow: 1
name: flow
hosts: { node1: { address: local, workspace: work } }
steps:
  - name: first
    exec: { command: ["true"], host: node1 }
)";

// Of the workflow kFlow, beside which its state lies.
StoreOwner owner_of(const fs::path& file) {
  return {"flow", file, Milliseconds(30'000), Milliseconds(2'000)};
}
HostEntries its_hosts() {
  HostEntry node1;
  node1.name = "node1";
  node1.workspace = "work";
  return {{"node1", entry_to_json(node1)}};
}

// A store as a controller leaves it that was killed while `first` ran.
std::string leave_interrupted_run(const fs::path& state, const std::string& host = "node1",
                                  const StoreOwner& owner = {}) {
  Result<RunStore> store = RunStore::open(state, owner, its_hosts());
  EXPECT_TRUE(store) << store.error().message;
  RunRow run;
  run.command = "run";
  run.started_ms = 1000;
  Result<int64_t> id = store->begin_run(run, {{0, "first", "exec", Decision::attempt, 0, "no result yet"}});
  EXPECT_TRUE(id) << id.error().message;
  AttemptRow attempt;
  attempt.run = *id;
  attempt.step = "first";
  attempt.kind = "exec";
  attempt.key = "key";
  attempt.started_ms = 1000;
  TaskRow task;
  task.token = "token-0";
  task.host = host;
  task.state = TaskState::started;
  Result<int64_t> made = store->begin_attempt(attempt, {task});
  EXPECT_TRUE(made) << made.error().message;
  EXPECT_TRUE(store->set_attempt(*made, AttemptState::running));
  task.attempt = *made;
  EXPECT_TRUE(store->set_task(task));
  EXPECT_TRUE(store->set_step({*id, "first", "exec", Decision::attempt, *made, "no result yet"}));
  return store->store_id();
}

TEST(Status, WithoutAStateSaysWhatToGive) {
  TempDir folder;
  Ran ran = run_here(folder.path(), {"status"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.err, "gnnflow: no workflow in " + folder.path().string() +
                         " has run yet; name one: `gnnflow status FILE`, or its state: `--state DIR`\n");
}

TEST(Status, OfAFileThatIsNotThereIsNotFound) {
  TempDir folder;
  Ran ran = run_here(folder.path(), {"status", "no.yml"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.err, "gnnflow: " + (folder / "no.yml").string() + ": no such workflow file\n");
}

TEST(Status, FindsTheOnlyWorkflowWithAStateAndSaysInterrupted) {
  TempDir folder;
  folder.file("flow.yml", kFlow);
  folder.file("other.yml", "gnnflow: 1\nname: other\n");
  leave_interrupted_run(folder / ".gnnflow/flow");
  Ran ran = run_here(folder.path(), {"status", "--exit-code"});
  EXPECT_EQ(ran.code, 11) << ran.err;
  EXPECT_NE(ran.out.find("run 1 of flow: interrupted"), std::string::npos) << ran.out;
  EXPECT_EQ(run_here(folder.path(), {"status", "--state", ".gnnflow/flow", "--exit-code"}).code, 11);
  Ran json = run_here(folder.path(), {"status", "flow.yml", "--json"});
  Result<Json> parsed = Json::parse(json.out);
  ASSERT_TRUE(parsed) << json.out;
  EXPECT_EQ(parsed->get("steps").array()[0].get("state"), Json("interrupted"));
}

TEST(Status, OfTwoWorkflowsWithAStateAsksForAName) {
  TempDir folder;
  folder.file("flow.yml", kFlow);
  folder.file("again.yml", "gnnflow: 1\nname: again\n");
  leave_interrupted_run(folder / ".gnnflow/flow");
  leave_interrupted_run(folder / ".gnnflow/again");
  Ran ran = run_here(folder.path(), {"logs", "first"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(
      ran.err,
      "gnnflow: several workflows here have run (again.yml, flow.yml); name one: `gnnflow logs FILE STEP`\n");
}

TEST(Status, StillWorksWhenTheFileHasBecomeWrong) {
  TempDir folder;
  leave_interrupted_run(folder / ".gnnflow/flow");
  folder.file("flow.yml", "gnnflow: 1\nname: flow\nstepss: 3\n");
  EXPECT_EQ(run_here(folder.path(), {"status", "flow.yml", "--exit-code"}).code, 11);
}

TEST(Status, NamesTheWorkflowAlsoWhenItsStateLiesElsewhere) {
  TempDir folder;
  folder.file("flow.yml", kFlow);
  leave_interrupted_run(folder / "elsewhere");
  Ran ran = run_here(folder.path(), {"status", "flow.yml", "--state", "elsewhere"});
  EXPECT_EQ(ran.out.find("run 1 of flow: "), 0u) << ran.out;
  ran = run_here(folder.path(), {"status", "--state", "elsewhere/"});
  EXPECT_EQ(ran.out.find("run 1 of elsewhere: "), 0u) << ran.out;
  leave_interrupted_run(folder / "third", "node1", owner_of(folder / "flow.yml"));
  ran = run_here(folder.path(), {"status", "--state", "third"});
  EXPECT_EQ(ran.out.find("run 1 of flow: "), 0u) << ran.out;
}

TEST(Status, OfARunThatIsNotThereIsNotFound) {
  TempDir folder;
  folder.file("flow.yml", kFlow);
  leave_interrupted_run(folder / ".gnnflow/flow");
  Ran ran = run_here(folder.path(), {"status", "--run", "99"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_NE(ran.err.find("99"), std::string::npos) << ran.err;
}

TEST(Logs, AreReadBelowTheHostsRootWithoutTheWorkflowFile) {
  TempDir folder;
  std::string store = leave_interrupted_run(folder / "s", "node1", owner_of(folder / "flow.yml"));
  folder.file("work/" + store + "/node1/logs/token-0.log", "one\ntwo");
  Ran ran = run_here(folder.path(), {"logs", "first", "--state", "s"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "one\ntwo\n");
}

TEST(Logs, OfTheControllerNeedNoWorkflowFileWithoutErrors) {
  TempDir folder;
  folder.file("flow.yml", "gnnflow: 1\nname: flow\nstepss: 3\n");
  std::string store = leave_interrupted_run(folder / ".gnnflow/flow", "controller");
  folder.file(".gnnflow/flow/" + store + "/controller/logs/token-0.log", "said\n");
  EXPECT_EQ(run_here(folder.path(), {"logs", "flow.yml", "first"}).out, "said\n");
  EXPECT_EQ(run_here(folder.path(), {"logs", "first", "--state", ".gnnflow/flow"}).out, "said\n");
}

TEST(Logs, FollowedOfARunThatHasEndedEnd) {
  TempDir folder;
  std::string store = leave_interrupted_run(folder / "s", "controller");
  folder.file("s/" + store + "/controller/logs/token-0.log", "said\n");
  Ran ran = run_here(folder.path(), {"logs", "first", "-f", "--state", "s"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "said\n");
}

TEST(Logs, UnknownStepsTasksHostsAndMissingLogsAreNotFound) {
  TempDir folder;
  folder.file("flow.yml", kFlow);
  leave_interrupted_run(folder / ".gnnflow/flow", "node1", owner_of(folder / "flow.yml"));
  Ran ran = run_here(folder.path(), {"logs", "fisrt"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.err, "gnnflow: run 1 has no step 'fisrt'; did you mean 'first'?\n");
  ran = run_here(folder.path(), {"logs", "first", "--task", "3"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.err, "gnnflow: step 'first' has no task 3; it has 0 to 0\n");
  ran = run_here(folder.path(), {"logs", "first"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.err,
            "gnnflow: no log of 'first', task 0 on node1: it was removed, as `gnnflow gc` does with what "
            "no kept run needs\n");
  leave_interrupted_run(folder / "other", "node9");
  ran = run_here(folder.path(), {"logs", "first", "--state", "other"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.err, "gnnflow: host 'node9', where the log lies, is not known to the state " +
                         (folder / "other").string() + "\n");
}

// A second run, in which `first` was passed over.
void leave_failed_run(const fs::path& state, Decision decision, const std::string& reason) {
  Result<RunStore> store = RunStore::open(state);
  ASSERT_TRUE(store) << store.error().message;
  RunRow run;
  run.command = "run";
  run.started_ms = 2000;
  Result<int64_t> id = store->begin_run(run, {{0, "first", "exec", decision, 0, reason}});
  ASSERT_TRUE(id) << id.error().message;
  EXPECT_TRUE(store->end_run(*id, 1, "failed: other"));
}

TEST(Logs, OfAStepThatWasSkippedSayWhyAndWhereItLastRan) {
  TempDir folder;
  folder.file("flow.yml", kFlow);
  leave_interrupted_run(folder / ".gnnflow/flow", "node1", owner_of(folder / "flow.yml"));
  leave_failed_run(folder / ".gnnflow/flow", Decision::attempt, "not begun: 'other' failed");
  Ran ran = run_here(folder.path(), {"logs", "flow.yml", "first"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.err,
            "gnnflow: 'first' was skipped in run 2: 'other' failed; it last ran in run 1: `gnnflow logs "
            "flow.yml first --run 1`\n");
  ran = run_here(folder.path(), {"logs", "first", "--run", "2"});
  EXPECT_EQ(ran.err, "gnnflow: 'first' was skipped in run 2: 'other' failed\n");
}

TEST(Logs, WithoutAStepSayWhichThereAre) {
  TempDir folder;
  folder.file("flow.yml", kFlow);
  leave_interrupted_run(folder / ".gnnflow/flow", "node1", owner_of(folder / "flow.yml"));
  Ran ran = run_here(folder.path(), {"logs", "flow.yml"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "logs of run 1:\n  first  task 0 on node1\n");
  EXPECT_EQ(ran.err, "one of them: gnnflow logs flow.yml STEP [--task N]\n");
  leave_failed_run(folder / ".gnnflow/flow", Decision::skipped, "not retried");
  ran = run_here(folder.path(), {"logs"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.err, "gnnflow: no step of run 2 has a log\n");
}

TEST(Retry, OfARunThatSucceededSaysSoAndIsNoRun) {
  TempDir folder;
  const fs::path state = folder / ".gnnflow/flow";
  {
    Result<RunStore> store = RunStore::open(state, owner_of(folder.file("flow.yml", kFlow)), its_hosts());
    ASSERT_TRUE(store) << store.error().message;
    RunRow run;
    run.command = "run";
    Result<int64_t> id =
        store->begin_run(run, {{0, "first", "exec", Decision::cached, 0, "nothing changed"}});
    ASSERT_TRUE(id) << id.error().message;
    EXPECT_TRUE(store->end_run(*id, 0, "done"));
  }
  const std::string words = "nothing to retry: run 1 succeeded; `gnnflow run` does what has changed since\n";
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"retry"}, {"retry", "1", "first"}}) {
    Ran ran = run_here(folder.path(), arguments);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out, words);
  }
  folder.file("other.yml", "gnnflow: 1\nname: other\nsteps:\n  - name: first\n    exec: { command: [ls] }\n");
  EXPECT_EQ(run_here(folder.path(), {"retry", "other.yml", "--state", state.string()}).code, 2);
  Ran json = run_here(folder.path(), {"retry", "--json"});
  EXPECT_NE(json.out.find("nothing to retry: run 1 succeeded"), std::string::npos) << json.out;
  Result<StoreReader> reader = StoreReader::open(state);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->runs()->size(), 1u);
}

TEST(Retry, OfWhatIsNotThereIsNotFoundAndNamesWhatIsNear) {
  TempDir folder;
  folder.file("flow.yml", kFlow);
  Ran ran = run_here(folder.path(), {"retry", "flow.yml"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_NE(ran.err.find("no state; nothing was run here yet"), std::string::npos) << ran.err;
  leave_interrupted_run(folder / ".gnnflow/flow", "node1", owner_of(folder / "flow.yml"));
  ran = run_here(folder.path(), {"retry", "9"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_NE(ran.err.find("no run 9; there are 1 to 1"), std::string::npos) << ran.err;
  ran = run_here(folder.path(), {"retry", "fisrt"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.err, "gnnflow: flow has no step 'fisrt'; did you mean 'first'?\n");
  ran = run_here(folder.path(), {"retry", "--set", "x=1"});
  EXPECT_EQ(ran.code, 2) << ran.err;
}

TEST(Retry, NeedsTheWorkflowFileThatTheStateNames) {
  TempDir folder;
  leave_interrupted_run(folder / "s", "node1", owner_of(folder / "flow.yml"));
  Ran ran = run_here(folder.path(), {"retry", "--state", "s"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_NE(ran.err.find((folder / "flow.yml").string()), std::string::npos) << ran.err;
  leave_interrupted_run(folder / "old");
  ran = run_here(folder.path(), {"retry", "--state", "old"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("does not say of which workflow file it is; give FILE too"), std::string::npos)
      << ran.err;
}

TEST(Retry, BesideALivingControllerEndsWith5) {
  TempDir folder;
  folder.file("flow.yml", kFlow);
  leave_interrupted_run(folder / ".gnnflow/flow");
  Result<RunStore> held = RunStore::open(folder / ".gnnflow/flow");
  ASSERT_TRUE(held) << held.error().message;
  Ran ran = run_here(folder.path(), {"retry"});
  EXPECT_EQ(ran.code, 5) << ran.err;
  EXPECT_NE(ran.err.find("holds the state: process "), std::string::npos) << ran.err;
}

TEST(State, OfAnotherWorkflowIsRefusedWith2) {
  TempDir folder;
  leave_interrupted_run(folder / "s", "node1", owner_of(folder.file("flow.yml", kFlow)));
  fs::path other =
      folder.file("other.yml", "gnnflow: 1\nname: other\nsteps:\n  - name: a\n    exec: { command: [ls] }\n");
  for (const char* command : {"run", "plan"}) {
    Ran ran = run_here(folder.path(), {command, other.string(), "--state", "s"});
    EXPECT_EQ(ran.code, 2);
    EXPECT_EQ(ran.err.find("gnnflow: " + (folder / "s").string() + ": the state of workflow 'flow', "), 0u)
        << ran.err;
  }
}

TEST(Run, OfAWrongFileEndsWith3AndTellsThePlace) {
  TempDir folder;
  fs::path file =
      folder.file("flow.yml", "gnnflow: 1\nname: flow\nsteps:\n  - name: a\n    exce: { command: [ls] }\n");
  for (const char* command : {"run", "plan"}) {
    Ran ran = run_here(folder.path(), {command, file.string()});
    EXPECT_EQ(ran.code, 3);
    EXPECT_EQ(ran.err.find(file.string() + ":5:5: unknown key 'exce' in step 'a'; did you mean 'exec'?"), 0u)
        << ran.err;
  }
  EXPECT_FALSE(fs::exists(folder / ".gnnflow"));
}

TEST(State, OfTheSameNameInAnotherFileIsRefusedWithTheRemedy) {
  TempDir folder;
  const fs::path first = folder.file("flow.yml", kFlow), second = folder.file("again.yml", kFlow);
  leave_interrupted_run(folder / ".gnnflow/flow", "node1", owner_of(first));
  for (const char* command : {"run", "plan"}) {
    Ran ran = run_here(folder.path(), {command, second.string()});
    EXPECT_EQ(ran.code, 2);
    EXPECT_EQ(ran.err, "gnnflow: " + (folder / ".gnnflow/flow").string() +
                           ": the state of workflow 'flow', " + first.string() + "; " + second.string() +
                           " has the same name: give it another `name:`, or a state of its own with --state "
                           "DIR\n");
  }
}

TEST(Run, OfAPlaceThatLeavesAPartOutTellsWhereItStands) {
  TempDir folder;
  const fs::path file = folder.file("flow.yml", R"(gnnflow: 1
name: flow
steps:
  - name: graph
    generate: { preset: tiny }
  - name: parts
    partition: { graph: "${steps.graph}", parts: 3 }
  - name: data
    copy: { partition: "${steps.parts}", place: { controller: [0, 1] } }
)");
  Ran planned = run_here(folder.path(), {"plan", file.string()});
  EXPECT_EQ(planned.code, 3);
  const std::string words = file.string() + ":8:5: step 'data': 'place' gives part 2 to no host\n";
  EXPECT_EQ(planned.err, words);
  Ran ran = run_here(folder.path(), {"run", file.string()});
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find(words), std::string::npos) << ran.err;
}

TEST(Run, AnUnknownParameterEndsWith2) {
  TempDir folder;
  fs::path file = folder.file("flow.yml", kFlow);
  EXPECT_EQ(run_here(folder.path(), {"run", file.string(), "--set", "x=1"}).code, 2);
}

TEST(Run, WhileAnotherControllerHoldsTheStateEndsWith5) {
  TempDir folder;
  fs::path file = folder.file("flow.yml", kFlow);
  Result<RunStore> held = RunStore::open(folder / ".gnnflow/flow");
  ASSERT_TRUE(held) << held.error().message;
  Ran ran = run_here(folder.path(), {"run", file.string()});
  EXPECT_EQ(ran.code, 5) << ran.err;
}

TEST(Plan, OfAWorkflowThatNeverRanMakesNoState) {
  TempDir folder;
  fs::path file = folder.file("flow.yml", kFlow);
  Ran ran = run_here(folder.path(), {"plan", file.string()});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out.find("plan of flow: 1 of 1 steps\n  first  exec  run"), 0u) << ran.out;
  EXPECT_FALSE(fs::exists(folder / ".gnnflow"));
  Result<Json> json = Json::parse(run_here(folder.path(), {"plan", file.string(), "--json"}).out);
  ASSERT_TRUE(json);
  EXPECT_EQ(json->get("steps").array()[0].get("decision"), Json("run"));
}

TEST(Plan, IsMadeBesideALivingController) {
  TempDir folder;
  fs::path file = folder.file("flow.yml", kFlow);
  Result<RunStore> held = RunStore::open(folder / ".gnnflow/flow");
  ASSERT_TRUE(held) << held.error().message;
  Ran ran = run_here(folder.path(), {"plan", file.string()});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out.find("plan of flow: 1 of 1 steps\n"), 0u) << ran.out;
}

}  // namespace
}  // namespace gnnflow
