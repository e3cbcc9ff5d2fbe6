// Workflow files that are right: what the loader makes of them.
#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>

#include "orchestrator/steps/step_kinds.h"
#include "orchestrator/workflow/workflow.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

Result<Workflow> load(std::string_view text, std::vector<std::string> set = {}) {
  TempDir folder;
  return load_workflow(folder.file("flow.yml", text), {std::move(set), kind_schemas()});
}

constexpr std::string_view kLine = R"(gnnflow: 1
name: line
params: { parts: 2, epochs: 10, lr: 0.01, method: metis, verbose: false, fanout: [15, 10] }
hosts:
  node1: { address: local }
  node2: { address: 192.0.2.12, user: gnn, port: 22, data_address: 10.8.0.12 }
defaults: { timeout: 4h, retries: 1, lease: 5s, grace: 2s }
steps:
  - name: graph
    generate: { preset: tiny, seed: 3 }
  - name: parts
    partition:
      graph: ${steps.graph}
      parts: ${params.parts}
      method: ${params.method}
  - name: data
    copy: { partition: "${steps.parts}", place: { node1: [0], node2: [1] } }
  - name: servers
    launch: { partition: "${steps.data}", restarts: 0 }
  - name: model
    train:
      servers: ${steps.servers}
      model: { kind: sage, layers: 2, hidden: 32 }
      sample: { fanout: "${params.fanout}", batch: 64 }
      optimizer: { lr: "${params.lr}" }
      epochs: ${params.epochs}
    retries: 2
    timeout: 90s
  - name: score
    evaluate: { model: "${steps.model}" }
  - name: export
    exec:
      command: [python3, publish.py, "${steps.model.best}", "epochs=${params.epochs}", 30]
      outputs: { card: card.md }
  - name: check
    exec: { command: ["true"] }
  - name: alone
    needs: []
    exec: { command: ["true"] }
)";

Workflow loaded(std::vector<std::string> set = {}) {
  Result<Workflow> workflow = load(kLine, std::move(set));
  EXPECT_TRUE(workflow) << workflow.error().message;
  return workflow ? *workflow : Workflow{};
}

TEST(Load, TakesTheParametersOfAnEarlierRunWhereTheyStillFit) {
  TempDir folder;
  const fs::path file = folder.file("flow.yml", R"(gnnflow: 1
name: flow
params: { epochs: 1, rate: 0.5, tag: a, list: [1, 2], now_a_number: 3 }
steps:
  - name: a
    exec: { command: ["true"] }
)");
  const Json earlier(Json::Object{{"epochs", 7},
                                  {"rate", 1},
                                  {"tag", "b"},
                                  {"list", Json(Json::Array{Json(5)})},
                                  {"now_a_number", "was text"},
                                  {"gone", 1}});
  Result<Workflow> workflow = load_workflow(file, {{"tag=c"}, kind_schemas(), earlier});
  ASSERT_TRUE(workflow) << workflow.error().message;
  EXPECT_EQ(workflow->params, Json(Json::Object{{"epochs", 7},
                                                {"rate", 1.0},
                                                {"tag", "c"},
                                                {"list", Json(Json::Array{Json(5)})},
                                                {"now_a_number", 3}}));
}

TEST(Loader, LoadsTheWholeLine) {
  Workflow workflow = loaded();
  EXPECT_EQ(workflow.name, "line");
  EXPECT_TRUE(workflow.file.is_absolute());
  EXPECT_EQ(workflow.lease, Milliseconds(5000));
  EXPECT_EQ(workflow.grace, Milliseconds(2000));
  ASSERT_EQ(workflow.hosts.size(), 2u);
  EXPECT_EQ(workflow.host("node1")->address, "local");
  EXPECT_EQ(workflow.host("node1")->workspace, "~/.cache/gnnflow");
  EXPECT_EQ(workflow.host("node2")->port, 22);
  EXPECT_EQ(workflow.host("node2")->data_address, "10.8.0.12");
  ASSERT_EQ(workflow.steps.size(), 9u);
  EXPECT_EQ(workflow.step("graph")->kind, "generate");
  EXPECT_EQ(workflow.step("nothing"), nullptr);
}

TEST(Loader, FillsInParametersWithTheirTypes) {
  Workflow workflow = loaded();
  EXPECT_EQ(workflow.step("parts")->options.get("parts"), Json(2));
  EXPECT_EQ(workflow.step("parts")->options.get("method"), Json("metis"));
  const Json& train = workflow.step("model")->options;
  EXPECT_EQ(train.get("epochs"), Json(10));
  EXPECT_EQ(train.get("optimizer").get("lr"), Json(0.01));
  EXPECT_EQ(train.get("sample").get("fanout"), *Json::parse("[15,10]"));
  EXPECT_EQ(workflow.step("export")->options.get("command"),
            *Json::parse(R"(["python3","publish.py","${steps.model.best}","epochs=10","30"])"));
}

TEST(Loader, FillsInDefaultsAsTheSchemaSays) {
  Workflow workflow = loaded();
  EXPECT_EQ(workflow.step("parts")->options.get("balance"), *Json::parse(R"(["nodes","edges","train"])"));
  EXPECT_EQ(workflow.step("model")->options.get("optimizer").get("kind"), Json("adam"));
  EXPECT_FALSE(workflow.step("model")->options.has("early_stop"));
  EXPECT_EQ(workflow.step("graph")->options.get("host"), Json("controller"));
  EXPECT_EQ(workflow.step("graph")->retries, 1);
  EXPECT_EQ(workflow.step("graph")->lost_retries, 2);
  EXPECT_EQ(workflow.step("graph")->timeout, Milliseconds(4 * 3600 * 1000));
  EXPECT_EQ(workflow.step("model")->retries, 2);
  EXPECT_EQ(workflow.step("model")->timeout, Milliseconds(90'000));
}

TEST(Loader, AStepNeedsWhatItRefersToOrElseTheStepBeforeIt) {
  Workflow workflow = loaded();
  using Names = std::vector<std::string>;
  EXPECT_EQ(workflow.step("graph")->needs, Names{});
  EXPECT_EQ(workflow.step("parts")->needs, Names{"graph"});
  EXPECT_EQ(workflow.step("score")->needs, Names{"model"});
  EXPECT_EQ(workflow.step("export")->needs, Names{"model"});
  EXPECT_EQ(workflow.step("check")->needs, Names{"export"});
  EXPECT_EQ(workflow.step("alone")->needs, Names{});
}

TEST(Loader, TellsWhereReferencesStand) {
  Workflow workflow = loaded();
  const StepEntry& exporting = *workflow.step("export");
  ASSERT_EQ(exporting.references.size(), 1u);
  EXPECT_EQ(exporting.references[0].step, "model");
  EXPECT_EQ(exporting.references[0].output, "best");
  EXPECT_EQ(exporting.references[0].option, "command[2]");
}

TEST(Loader, AStepMayReferToALaterOneAndIsPutBehindIt) {
  Result<Workflow> workflow = load(R"(gnnflow: 1
name: later
steps:
  - name: parts
    partition: { graph: "${steps.graph}", parts: 2 }
  - name: last
    needs: [parts]
    exec: { command: ["true"] }
  - name: graph
    needs: []
    generate: { preset: tiny }
)");
  ASSERT_TRUE(workflow) << workflow.error().message;
  std::vector<std::string> order;
  for (const StepEntry& step : workflow->steps) order.push_back(step.name);
  EXPECT_EQ(order, (std::vector<std::string>{"graph", "parts", "last"}));
}

TEST(Loader, SetIsTypedByTheDefault) {
  Workflow workflow = loaded({"epochs=3", "lr=1e-3", "method=random", "verbose=true", "fanout=[5,5]"});
  EXPECT_EQ(workflow.params.get("epochs"), Json(3));
  EXPECT_EQ(workflow.params.get("lr"), Json(0.001));
  EXPECT_EQ(workflow.params.get("verbose"), Json(true));
  EXPECT_EQ(workflow.step("parts")->options.get("method"), Json("random"));
  EXPECT_EQ(workflow.step("model")->options.get("sample").get("fanout"), *Json::parse("[5,5]"));
}

struct BadSet {
  std::string set, message;
};
void PrintTo(const BadSet& bad, std::ostream* out) { *out << bad.set; }
class SetErrors : public testing::TestWithParam<BadSet> {};

TEST_P(SetErrors, AreWrongUse) {
  Result<Workflow> workflow = load(kLine, {GetParam().set});
  ASSERT_FALSE(workflow);
  EXPECT_EQ(workflow.error().cause, Cause::bad_usage);
  EXPECT_EQ(workflow.error().message, GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    All, SetErrors,
    testing::Values(
        BadSet{"epoch=3",
               "--set epoch=3: the workflow has no parameter 'epoch'; did you mean 'epochs'? (it has: "
               "epochs, fanout, lr, "
               "method, parts, verbose)"},
        BadSet{"epochs=ten", "--set epochs=ten: 'epochs' is an integer (its default is 10), not 'ten'"},
        BadSet{"epochs=010", "--set epochs=010: 'epochs' is an integer (its default is 10), not '010'"},
        BadSet{"epochs=1.5", "--set epochs=1.5: 'epochs' is an integer (its default is 10), not '1.5'"},
        BadSet{"lr=fast", "--set lr=fast: 'lr' is a number (its default is 0.01), not 'fast'"},
        BadSet{"verbose=yes",
               "--set verbose=yes: 'verbose' is true or false (its default is false), not 'yes'"},
        BadSet{"fanout=5", "--set fanout=5: 'fanout' is a list (its default is [15,10]), not '5'"},
        BadSet{
            "method=${steps.graph}",
            "--set method=${steps.graph}: 'method' is text (its default is \"metis\"), not '${steps.graph}'"},
        BadSet{"epochs", "--set epochs: write NAME=VALUE"}));

TEST(Loader, ASetValueIsCheckedAsIfItStoodInTheFile) {
  Result<Workflow> workflow = load(kLine, {"epochs=0"});
  ASSERT_FALSE(workflow);
  EXPECT_EQ(workflow.error().cause, Cause::bad_workflow);
  EXPECT_NE(workflow.error().message.find("'epochs' of step 'model' must be at least 1, not 0"),
            std::string::npos);
}

TEST(Loader, TakesTheEnvironmentOnlyWhereDeclared) {
  ::setenv("GNNFLOW_LOADER_TEST", "7", 1);
  Result<Workflow> workflow = load(R"(gnnflow: 1
name: env
env: [GNNFLOW_LOADER_TEST]
params: { parts: "${env.GNNFLOW_LOADER_TEST}" }
steps:
  - name: graph
    import: { source: "/data/${env.GNNFLOW_LOADER_TEST}/x" }
  - name: parts
    partition: { graph: "${steps.graph}", parts: "${params.parts}" }
)");
  ::unsetenv("GNNFLOW_LOADER_TEST");
  ASSERT_TRUE(workflow) << workflow.error().message;
  EXPECT_EQ(workflow->step("graph")->options.get("source"), Json("/data/7/x"));
  EXPECT_EQ(workflow->step("parts")->options.get("parts"), Json(7));
}

TEST(Loader, LoadsTheExampleThatShowsEveryKind) {
  fs::path example = fs::path(GNNFLOW_SOURCE_FOLDER) / "tests/orchestrator/workflow/example.yml";
  Result<Workflow> workflow = load_workflow(example, {{"epochs=3"}, kind_schemas()});
  ASSERT_TRUE(workflow) << workflow.error().message;
  EXPECT_EQ(workflow->name, "products-sage");
  ASSERT_EQ(workflow->steps.size(), 8u);
  const StepEntry& model = *workflow->step("model");
  EXPECT_EQ(model.options.get("epochs"), Json(3));
  EXPECT_EQ(model.options.get("model").get("hidden"), Json(256));
  EXPECT_EQ(model.options.get("early_stop").get("patience"), Json(5));
  EXPECT_EQ(workflow->step("data")->options.get("place"), *Json::parse(R"({"node1":[0],"node2":[1]})"));
  EXPECT_EQ(workflow->step("export")->needs, (std::vector<std::string>{"model", "score"}));
}

TEST(Loader, AMissingFileIsNotFound) {
  Result<Workflow> workflow = load_workflow("/nowhere/flow.yml", {{}, kind_schemas()});
  ASSERT_FALSE(workflow);
  EXPECT_EQ(workflow.error().cause, Cause::not_found);
  EXPECT_EQ(workflow.error().message, "/nowhere/flow.yml: no such workflow file");
}

TEST(Loader, TheNameIsReadWhateverElseIsWrong) {
  TempDir folder;
  Result<std::string> name =
      read_workflow_name(folder.file("flow.yml", "name: kept\nsteps: nonsense\nfoo: 1\n"));
  ASSERT_TRUE(name) << name.error().message;
  EXPECT_EQ(*name, "kept");
}

// Whatever a cut or a changed byte makes of a file, the loader answers: with a workflow or with an error of
// its own.
TEST(Loader, SurvivesCutAndFlippedFiles) {
  TempDir folder;
  std::vector<KindSchema> kinds = kind_schemas();
  std::string whole(kLine);
  auto answer = [&](const std::string& text) {
    std::ofstream(folder / "flow.yml") << text;  // without fsync: there are thousands
    Result<Workflow> workflow = load_workflow(folder / "flow.yml", {{}, kinds});
    if (workflow) return;
    EXPECT_EQ(workflow.error().cause, Cause::bad_workflow) << workflow.error().message;
    EXPECT_NE(workflow.error().message.find("flow.yml"), std::string::npos) << workflow.error().message;
  };
  for (size_t length = 0; length < whole.size(); length += 7) answer(whole.substr(0, length));
  for (size_t at = 0; at < whole.size(); at += 5) {
    for (char c : {'{', ']', '"', ':', '\n', '\t', '$', '\x80', '\x02', '&'}) {
      std::string changed = whole;
      changed[at] = c;
      answer(changed);
    }
  }
}

}  // namespace
}  // namespace gnnflow
