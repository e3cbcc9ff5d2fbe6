// What each kind of step asks of the engine, from a workflow file to the specs of its tasks.
#include "orchestrator/steps/step_kinds.h"

#include <gtest/gtest.h>

#include "orchestrator/workflow/workflow.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

constexpr const char* kFlow = R"(
gnnflow: 1
name: flow
hosts:
  node1: { address: local }
  node2: { address: local }
steps:
  - name: graph
    import: { source: data/set, undirected: true }
  - name: made
    generate: { preset: tiny, seed: 3, host: node1 }
  - name: parts
    partition: { graph: "${steps.graph}", parts: 3, seed: 7 }
  - name: data
    copy: { partition: "${steps.parts}" }
  - name: servers
    launch: { partition: "${steps.data}", servers_per_part: 2, restarts: 1 }
  - name: model
    train:
      servers: ${steps.servers}
      model: { kind: sage, layers: 2, hidden: 8 }
      sample: { fanout: [3, 2], batch: 16 }
      epochs: 4
      threads: 2
  - name: score
    evaluate: { model: "${steps.model}" }
  - name: card
    exec:
      command: [python3, scripts/card.py, "${steps.score.metrics}"]
      inputs: [scripts/card.py]
      outputs: { card: out/card.md }
      environment: { LANG: C }
      host: node2
)";

class StepKindsTest : public ::testing::Test {
 protected:
  StepKindsTest() {
    const fs::path file = folder.file("flow.yml", kFlow);
    auto loaded = load_workflow(file, {{}, kind_schemas()});
    if (!loaded) bug(loaded.error().message);
    workflow = *loaded;
    const Holders holders{{0, {"node1"}}, {1, {"node2"}}, {2, {"node1"}}};
    made["graph"] = {"g", {{"graph", "g", 1}}, {}, {}};
    made["parts"] = {"p", {{"partition", "p", 1}}, {}, {}};
    made["data"] = {"p", {}, holders, {}};
    made["servers"] = {"p", {}, holders, {}};
    made["model"] = {"m", {{"model", "m", 1}}, {}, {}};
    made["score"] = {"s", {{"score", "s", 1}}, {}, {}};
  }
  const Step& kind(const std::string& step) { return *step_kinds().at(workflow.step(step)->kind); }
  Scene scene(const std::string& step) { return {&workflow, workflow.step(step), &made}; }
  std::vector<TaskPlan> tasks(const std::string& step) { return kind(step).tasks(scene(step)).value(); }

  TempDir folder;
  Workflow workflow;
  std::map<std::string, Made, std::less<>> made;
};

TEST_F(StepKindsTest, EverySchemaHasItsKind) {
  for (const KindSchema& schema : kind_schemas())
    EXPECT_EQ(step_kinds().count(schema.kind), 1u) << schema.kind;
}

TEST_F(StepKindsTest, GenerateRunsOnItsHostAndMakesAGraph) {
  const auto task = tasks("made").at(0);
  EXPECT_EQ(task.host, "node1");
  EXPECT_EQ(task.program, "worker");
  EXPECT_EQ(task.cores, kAllCores);
  EXPECT_EQ(task.pieces, std::vector<std::string>{"graph"});
  EXPECT_EQ(task.spec.text_or("kind", ""), "generate");
  EXPECT_EQ(task.spec.get("options").integer_or("seed", 0), 3);
}

TEST_F(StepKindsTest, ImportReadsASourceBesideTheWorkflowThatCountsByContent) {
  const auto task = tasks("graph").at(0);
  ASSERT_EQ(task.local_inputs.size(), 1u);
  EXPECT_EQ(task.local_inputs[0].name, "source");
  EXPECT_EQ(task.local_inputs[0].from, folder / "data/set");
  const auto content = kind("graph").content(workflow, *workflow.step("graph"));
  ASSERT_EQ(content.size(), 1u);
  EXPECT_EQ(content[0].path, folder / "data/set");
}

TEST_F(StepKindsTest, PartitionReadsTheGraphAsAPath) {
  const auto task = tasks("parts").at(0);
  ASSERT_EQ(task.inputs.size(), 1u);
  EXPECT_EQ(task.inputs[0].name + " " + task.inputs[0].step + " " + task.inputs[0].piece,
            "graph graph graph");
  EXPECT_FALSE(task.spec.get("options").has("graph"));
  EXPECT_EQ(task.pieces, std::vector<std::string>{"partition"});
}

TEST_F(StepKindsTest, CopyPlacesPartsInTurn) {
  EXPECT_EQ(kind("data").nature(), Nature::placement);
  EXPECT_EQ(kind("data").holders(scene("data")).value(), made["data"].holders);
}

TEST_F(StepKindsTest, LaunchHasServersOnTheHostsOfTheirParts) {
  EXPECT_EQ(kind("servers").nature(), Nature::service);
  const auto servers = tasks("servers");
  ASSERT_EQ(servers.size(), 6u);
  EXPECT_EQ(servers[2].host, "node2");
  EXPECT_EQ(servers[2].role, "server 2");
  EXPECT_EQ(servers[2].cores, 0);
  EXPECT_EQ(servers[2].spec.dump(),
            R"({"kind":"serve","options":{},"part":1,"restart_window_ms":600000,"restarts":1,"threads":2})");
  EXPECT_EQ(servers[2].inputs[0].step, "data");
  EXPECT_TRUE(servers[2].on_network);
}

TEST_F(StepKindsTest, TrainHasARankForEachHostAndRankZeroPublishes) {
  const auto ranks = tasks("model");
  ASSERT_EQ(ranks.size(), 2u);
  EXPECT_EQ(ranks[0].role, "rank 0");
  EXPECT_EQ(ranks[0].pieces, std::vector<std::string>{"model"});
  EXPECT_TRUE(ranks[1].pieces.empty());
  EXPECT_EQ(ranks[0].cores, 2);
  EXPECT_EQ(ranks[0].program, "trainer");
  EXPECT_EQ(ranks[0].spec.get("parts_here").dump(), "[0,2]");
  EXPECT_EQ(ranks[1].spec.get("seeds").dump(), R"([{"part":1,"slice":0,"slices":1}])");
  EXPECT_EQ(ranks[1].spec.integer_or("rank", -1), 1);
  EXPECT_EQ(ranks[1].spec.integer_or("ranks", -1), 2);
  EXPECT_TRUE(ranks[1].on_network);
  EXPECT_EQ(kind("model").service(workflow, *workflow.step("model")), "servers");
  EXPECT_TRUE(kind("model").has_ranks() && kind("model").comes_home());
}

TEST_F(StepKindsTest, TrainsKeyKnowsRanksAndParts) {
  const Json extra = kind("model").key_extra(scene("model")).value();
  EXPECT_EQ(extra.get("layout").array().size(), 2u);
  EXPECT_EQ(extra.text_or("partition", ""), "p");
  EXPECT_EQ(kind("model").not_in_resume_key(), (std::vector<std::string>{"epochs", "early_stop"}));
}

TEST_F(StepKindsTest, EvaluateRunsWhereTheTrainingRanAndReadsItsModel) {
  const auto ranks = tasks("score");
  ASSERT_EQ(ranks.size(), 2u);
  EXPECT_EQ(ranks[1].host, "node2");
  EXPECT_EQ(ranks[1].inputs[1].name + " " + ranks[1].inputs[1].step, "model model");
  EXPECT_EQ(ranks[0].cores, kAllCores);
  EXPECT_EQ(kind("score").service(workflow, *workflow.step("score")), "servers");
  Made result;
  result.result = Json(Json::Object{{"accuracy", 0.81239}, {"split", "test"}});
  EXPECT_EQ(kind("score").headline(result, "/x"), "test accuracy 0.8124 (/x/metrics.json)");
}

TEST_F(StepKindsTest, ExecStagesItsInputsAndNamesItsOutputs) {
  const auto task = tasks("card").at(0);
  EXPECT_EQ(task.host, "node2");
  EXPECT_EQ(task.program, "exec");
  EXPECT_EQ(task.cores, 1);
  EXPECT_EQ(task.pieces, std::vector<std::string>{"card"});
  EXPECT_EQ(task.spec.get("command").array()[2].string(), "${steps.score.metrics}");
  EXPECT_EQ(task.spec.get("environment").text_or("LANG", ""), "C");
  ASSERT_EQ(task.local_inputs.size(), 1u);
  EXPECT_EQ(task.local_inputs[0].to, "scripts/card.py");
  const auto output = kind("card").output(*workflow.step("card"), "card");
  ASSERT_TRUE(output);
  EXPECT_EQ(output->piece + "/" + output->path, "card/card.md");
  EXPECT_FALSE(kind("card").output(*workflow.step("card"), "other"));
}

class PerRank : public StepKindsTest {
 protected:
  PerRank() {
    StepEntry* card = const_cast<StepEntry*>(workflow.step("card"));
    card->options["per"] = "rank";
    card->options["host"] = "controller";
    card->needs = {"data", "model", "score"};
  }
  StepEntry& card() { return const_cast<StepEntry&>(*workflow.step("card")); }
};

TEST_F(PerRank, ExecHasAProcessForEachRankWithItsPlaceAmongThem) {
  card().needs = {"data"};
  card().options["ranks_per_host"] = 2;
  const auto ranks = tasks("card");
  ASSERT_EQ(ranks.size(), 4u);
  const TaskPlan& third = ranks[2];
  EXPECT_EQ(third.host, "node2");
  EXPECT_EQ(third.role, "rank 2");
  EXPECT_TRUE(third.on_network);
  EXPECT_EQ(third.cores, 1);
  EXPECT_EQ(third.local_inputs.size(), 1u);
  EXPECT_EQ(third.pieces, std::vector<std::string>{"card-2"});
  EXPECT_EQ(third.spec.get("outputs").dump(), R"({"card-2":"out/card.md"})");
  EXPECT_EQ(
      third.spec.get("environment").dump(),
      R"({"GNNFLOW_LOCAL_RANK":"0","GNNFLOW_PARTS":"1","GNNFLOW_RANK":"2","GNNFLOW_RANKS":"4","LANG":"C",)"
      R"("LOCAL_RANK":"0","LOCAL_WORLD_SIZE":"2","RANK":"2","WORLD_SIZE":"4"})");
  EXPECT_EQ(ranks[1].spec.get("environment").text_or("LOCAL_RANK", ""), "1");
  EXPECT_EQ(ranks[1].spec.get("environment").text_or("GNNFLOW_PARTS", ""), "0,2");
}

TEST_F(PerRank, ExecHasTheRanksOfATrainingBeforeThoseOfAPlacement) {
  const_cast<StepEntry*>(workflow.step("model"))->options["ranks_per_host"] = 3;
  EXPECT_EQ(tasks("card").size(), 6u);
  card().needs = {"servers"};
  EXPECT_EQ(tasks("card").size(), 2u);
}

TEST_F(PerRank, ExecWithoutAStepToFollowIsRefused) {
  card().needs = {"graph"};
  const Status status = kind("card").check(workflow, card());
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().cause, Cause::bad_workflow);
  EXPECT_EQ(
      status.error().message,
      "'per: rank' has the ranks of a train, evaluate, copy or launch step: refer to one, or name it in "
      "'needs'");
  card().needs = {"graph", "data"};
  EXPECT_TRUE(kind("card").check(workflow, card()));
}

TEST_F(PerRank, ExecsKeyKnowsTheRanksButNotTheirHosts) {
  const auto before = kind("card").key_extra(scene("card")).value();
  made["servers"].holders = {{0, {"node2"}}, {1, {"node1"}}, {2, {"node2"}}};
  workflow.hosts = {workflow.hosts[1], workflow.hosts[0]};
  EXPECT_EQ(kind("card").key_extra(scene("card")).value(), before);
  card().options["ranks_per_host"] = 2;
  EXPECT_NE(kind("card").key_extra(scene("card")).value(), before);
}

TEST_F(PerRank, ExecsOutputsAreNumbered) {
  const auto output = kind("card").output(card(), "card-11");
  ASSERT_TRUE(output);
  EXPECT_EQ(output->piece + "/" + output->path, "card-11/card.md");
  for (const char* name : {"card", "card-", "card-1x", "other-1", ""})
    EXPECT_FALSE(kind("card").output(card(), name)) << name;
}

}  // namespace
}  // namespace gnnflow
