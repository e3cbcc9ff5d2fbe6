// Keys: what is in them, what is not, and the sentence that says what changed.
#include "orchestrator/engine/fingerprint.h"

#include <gtest/gtest.h>

#include "orchestrator/steps/step_kinds.h"

namespace gnnflow {
namespace {

class FingerprintTest : public ::testing::Test {
 protected:
  FingerprintTest() {
    graph.name = "graph";
    graph.kind = "generate";
    graph.options = Json(Json::Object{{"preset", "tiny"}, {"seed", 1}, {"host", "controller"}});
    parts.name = "parts";
    parts.kind = "partition";
    parts.options = Json(
        Json::Object{{"graph", "${steps.graph}"}, {"parts", 2}, {"method", "metis"}, {"host", "controller"}});
    parts.references = {{"graph", "", "graph"}};
    run.name = "run";
    run.kind = "exec";
    run.options = Json(Json::Object{{"command", Json(Json::Array{"cp", "${steps.graph}", "${steps.parts}"})},
                                    {"host", "controller"}});
    run.references = {{"graph", "", "command[1]"}, {"parts", "", "command[2]"}};
    made["graph"] = {"g1", {{"graph", "g1", 10}}, {}, {}};
    made["parts"] = {"p1", {{"partition", "p1", 10}}, {}, {}};
  }
  Fingerprint print(const StepEntry& step, const FileDigests& files = {}) {
    workflow.steps = {graph, parts, run};
    const Scene scene{&workflow, workflow.step(step.name), &made};
    auto result = fingerprint(kinds, scene, files);
    if (!result) ADD_FAILURE() << result.error().message;
    return result ? *result : Fingerprint{};
  }
  std::string change(const StepEntry& step, const Fingerprint& before, const Fingerprint& now,
                     const std::string& because = "") {
    return difference(before.parts, now.parts, step, [&](const std::string&) { return because; });
  }
  // Only keys are computed here: no kind is asked for its tasks.
  const StepKinds& kinds = step_kinds();
  StepEntry graph, parts, run;
  Workflow workflow;
  std::map<std::string, Made, std::less<>> made;
};

TEST_F(FingerprintTest, IsTheSameForTheSame) {
  EXPECT_EQ(print(parts).key, print(parts).key);
  EXPECT_EQ(change(parts, print(parts), print(parts)), "");
}

TEST_F(FingerprintTest, DoesNotSeeWhereItRuns) {
  const auto before = print(graph);
  graph.options["host"] = "node1";
  EXPECT_EQ(print(graph).key, before.key);
}

TEST_F(FingerprintTest, DoesNotSeeWhatAnInputIsCalled) {
  const auto before = print(parts);
  graph.name = "renamed";
  parts.references[0].step = "renamed";
  parts.options["graph"] = "${steps.renamed}";
  run.references[0].step = "renamed";
  made["renamed"] = made["graph"];
  EXPECT_EQ(print(parts).key, before.key);
}

TEST_F(FingerprintTest, SeesOptionsAndSaysWhichChanged) {
  const auto before = print(graph);
  graph.options["seed"] = 2;
  EXPECT_NE(print(graph).key, before.key);
  EXPECT_EQ(change(graph, before, print(graph)), "seed 1 -> 2");
  graph.options["nodes"] = 500;
  EXPECT_EQ(change(graph, before, print(graph)), "nodes none -> 500, seed 1 -> 2");
}

TEST_F(FingerprintTest, SeesTheContentOfInputsAndSaysWhy) {
  const auto before = print(parts);
  made["graph"].pieces[0].digest = "g2";
  EXPECT_EQ(change(parts, before, print(parts)), "input graph changed");
  EXPECT_EQ(change(parts, before, print(parts), "seed 1 -> 2"), "input graph changed, because seed 1 -> 2");
}

TEST_F(FingerprintTest, TellsInputsInOneListApart) {
  const auto before = print(run);
  made["parts"].pieces[0].digest = "p2";
  EXPECT_EQ(change(run, before, print(run)), "input parts changed");
}

TEST_F(FingerprintTest, SeesFiles) {
  const auto before = print(run, {{"a.py", "1"}});
  EXPECT_EQ(change(run, before, print(run, {{"a.py", "2"}})), "file a.py changed");
  EXPECT_EQ(change(run, print(run), before), "file a.py is new");
}

TEST_F(FingerprintTest, KeepsNoValueOfTheEnvironment) {
  run.options["environment"] = Json(Json::Object{{"TOKEN", "open sesame"}, {"MODE", "${steps.graph}"}});
  const auto before = print(run);
  EXPECT_EQ(before.parts.dump().find("sesame"), std::string::npos);
  run.options["environment"]["TOKEN"] = "swordfish";
  EXPECT_NE(print(run).key, before.key);
  EXPECT_EQ(change(run, before, print(run)), "environment.TOKEN changed");
  run.options["environment"].object().erase("TOKEN");
  run.options["environment"]["OTHER"] = "x";
  EXPECT_EQ(change(run, before, print(run)), "environment.OTHER is new, environment.TOKEN is gone");
}

TEST_F(FingerprintTest, ShowsNoMoreThanThreeChanges) {
  const auto before = print(graph);
  for (const char* key : {"nodes", "classes", "features", "average_degree"}) graph.options[key] = 5;
  EXPECT_EQ(change(graph, before, print(graph)),
            "average_degree none -> 5, classes none -> 5, features none -> 5, and 1 more");
}

TEST_F(FingerprintTest, OfAnUnknownOutputIsRefused) {
  run.references[0].output = "nothing";
  workflow.steps = {graph, parts, run};
  auto result = fingerprint(kinds, {&workflow, workflow.step("run"), &made}, {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().cause, Cause::bad_workflow);
  EXPECT_EQ(result.error().message, "step 'graph' (generate) has no output 'nothing'");
}

}  // namespace
}  // namespace gnnflow
