// What gc keeps: by what the newest results, the last run and what has not ended refer to.
#include "orchestrator/cli/gc_plan.h"

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

constexpr int64_t kNow = 1'000'000'000'000;
constexpr int64_t kHour = 3'600'000;

AttemptRow attempt(int64_t id, std::string step, int number, AttemptState state, Json inputs = {}) {
  AttemptRow row;
  row.id = id;
  row.run = number;
  row.step = std::move(step);
  row.number = number;
  row.key = "key" + std::to_string(id);
  row.resume_key = "resume" + std::to_string(id);
  row.state = state;
  row.inputs = std::move(inputs);
  return row;
}

Json read(std::string option, std::string content) {
  return Json(Json::Object{{"inputs", Json::Object{{std::move(option), std::move(content)}}}});
}

// Two results of `graph`, two partitions made of them and placed on node1; the second of each is the newest.
GcRows two_generations() {
  GcRows rows;
  rows.store_id = "s";
  rows.steps = {"graph", "parts", "data"};
  rows.attempts = {attempt(1, "graph", 1, AttemptState::succeeded),
                   attempt(2, "parts", 1, AttemptState::succeeded, read("graph", "g1")),
                   attempt(3, "data", 1, AttemptState::succeeded, read("partition", "p1")),
                   attempt(4, "graph", 2, AttemptState::succeeded),
                   attempt(5, "parts", 2, AttemptState::succeeded, read("graph", "g2")),
                   attempt(6, "data", 2, AttemptState::succeeded, read("partition", "p2"))};
  rows.pieces = {{1, {{"graph", "g1", 10}}},
                 {2, {{"partition", "p1", 10}}},
                 {4, {{"graph", "g2", 10}}},
                 {5, {{"partition", "p2", 10}}}};
  rows.locations = {{"g1", "graph", "controller", "outputs/graph/key1/1/graph", true},
                    {"p1", "partition", "controller", "outputs/parts/key2/1/partition", true},
                    {"p1", "part-0", "node1", "data/p1", true},
                    {"g2", "graph", "controller", "outputs/graph/key4/2/graph", true},
                    {"p2", "partition", "controller", "outputs/parts/key5/2/partition", true},
                    {"p2", "part-0", "node1", "data/p2", true}};
  return rows;
}

std::vector<std::string> artifacts(const std::vector<LocationRow>& rows) {
  std::vector<std::string> found;
  for (const LocationRow& row : rows) found.push_back(row.artifact);
  return found;
}

TEST(GcPlan, KeepsTheNewestResultOfEachStepAndWhereItsPartsWerePlaced) {
  const GcRows rows = two_generations();
  const GcPlan plan(rows, kNow);
  EXPECT_FALSE(plan.keeps("controller", {"outputs/graph/key1/1", 1, kNow}));
  EXPECT_TRUE(plan.keeps("controller", {"outputs/graph/key4/2", 1, 0}));
  EXPECT_FALSE(plan.keeps("node1", {"data/p1", 1, kNow}));
  EXPECT_TRUE(plan.keeps("node1", {"data/p2", 1, 0}));
  EXPECT_FALSE(plan.keeps("controller", {"data/p1.parts", 1, kNow}));
  EXPECT_TRUE(plan.keeps("controller", {"data/p2.parts", 1, 0}));
  EXPECT_EQ(artifacts(plan.rows_to_remove("node1")), (std::vector<std::string>{"p1"}));
  EXPECT_EQ(artifacts(plan.rows_to_remove("controller")), (std::vector<std::string>{"g1", "p1"}));
}

TEST(GcPlan, KeepsAsManyResultsAsItIsTold) {
  GcRows rows = two_generations();
  rows.keep = 2;
  const GcPlan plan(rows, kNow);
  EXPECT_TRUE(plan.keeps("controller", {"outputs/graph/key1/1", 1, 0}));
  EXPECT_TRUE(plan.rows_to_remove("node1").empty());
}

TEST(GcPlan, KeepsWhatTheLastRunRefersToAndWhatThatHadRead) {
  GcRows rows = two_generations();
  rows.last_runs = {3};  // it found the first placement as it was
  const GcPlan plan(rows, kNow);
  EXPECT_TRUE(plan.keeps("node1", {"data/p1", 1, 0}));
  EXPECT_TRUE(plan.keeps("controller", {"outputs/parts/key2/1", 1, 0}));
  EXPECT_FALSE(plan.keeps("controller", {"outputs/graph/key1/1", 1, 0}));
}

TEST(GcPlan, ForgetsStepsThatTheWorkflowHasNoMore) {
  GcRows rows = two_generations();
  rows.steps = {"graph"};
  const GcPlan plan(rows, kNow);
  EXPECT_TRUE(plan.keeps("controller", {"outputs/graph/key4/2", 1, 0}));
  EXPECT_FALSE(plan.keeps("controller", {"outputs/parts/key5/2", 1, 0}));
  EXPECT_FALSE(plan.keeps("node1", {"data/p2", 1, 0}));
  EXPECT_FALSE(plan.keeps("controller", {"logs/s.2.parts.2.0.log", 1, 0}));
}

// Both attempts made the same bytes: the row names the later place, the newest result is the earlier one's.
TEST(GcPlan, KeepsTheFolderThatTheRowNames) {
  GcRows rows;
  rows.store_id = "s";
  rows.steps = {"graph"};
  rows.attempts = {attempt(1, "old", 1, AttemptState::succeeded),
                   attempt(2, "graph", 1, AttemptState::succeeded)};
  rows.pieces = {{1, {{"graph", "g", 10}}}, {2, {{"graph", "g", 10}}}};
  rows.locations = {{"g", "graph", "controller", "outputs/old/key1/1/graph", true}};
  const GcPlan plan(rows, kNow);
  EXPECT_TRUE(plan.keeps("controller", {"outputs/old/key1/1", 1, 0}));
  EXPECT_FALSE(plan.keeps("node1", {"outputs/old/key1/1", 1, 0}));
  EXPECT_FALSE(plan.keeps("controller", {"outputs/old/key1/11", 1, 0}));
}

TEST(GcPlan, KeepsCheckpointsAndLogsOfTheLastAttemptHoweverItEnded) {
  GcRows rows;
  rows.store_id = "s";
  rows.steps = {"model"};
  rows.attempts = {attempt(1, "model", 1, AttemptState::succeeded),
                   attempt(2, "model", 2, AttemptState::failed),
                   attempt(3, "model", 3, AttemptState::failed)};
  const GcPlan plan(rows, kNow);
  EXPECT_TRUE(plan.keeps("node1", {"checkpoints/model/resume3", 1, 0}));
  EXPECT_FALSE(plan.keeps("node1", {"checkpoints/model/resume2", 1, 0}));
  EXPECT_TRUE(plan.keeps("node1", {"logs/s.3.model.3.0.log", 1, 0}));
  EXPECT_TRUE(plan.keeps("node1", {"logs/s.1.model.1.0.log", 1, 0}));
  EXPECT_FALSE(plan.keeps("node1", {"logs/s.2.model.2.0.log", 1, 0}));
  EXPECT_FALSE(plan.keeps("node1", {"logs/s.3.model.33.0.log", 1, 0}));
}

TEST(GcPlan, LeavesWhatHasNotEndedAlone) {
  GcRows rows = two_generations();
  rows.attempts.push_back(attempt(7, "model", 1, AttemptState::running, read("partition", "p1")));
  const GcPlan plan(rows, kNow);
  EXPECT_TRUE(plan.is_unfinished("s.1.model.1.0"));
  EXPECT_FALSE(plan.is_unfinished("s.1.graph.1.0"));
  EXPECT_TRUE(plan.keeps("node1", {"tmp/s.1.model.1.0", 1, 0}));
  EXPECT_FALSE(plan.keeps("node1", {"tmp/s.1.graph.1.0", 1, 0}));
  EXPECT_TRUE(plan.keeps("node1", {"data/p1", 1, 0}));  // it reads it
}

TEST(GcPlan, KeepsYoungPartsOfFilesAndFilesOfTheUsersThatAreStillRead) {
  GcRows rows;
  rows.store_id = "s";
  rows.steps = {"card"};
  rows.attempts = {attempt(1, "card", 1, AttemptState::succeeded,
                           Json(Json::Object{{"files", Json::Object{{"a.py", "d1"}}}}))};
  const GcPlan plan(rows, kNow);
  EXPECT_TRUE(plan.keeps("node1", {"incoming/x.part", 1, kNow - kHour}));
  EXPECT_FALSE(plan.keeps("node1", {"incoming/x.part", 1, kNow - 25 * kHour}));
  EXPECT_TRUE(plan.keeps("node1", {"data/d1.local", 1, 0}));
  EXPECT_FALSE(plan.keeps("node1", {"data/d2.local", 1, 0}));
}

TEST(GcPlan, KeepsWhatItDoesNotKnow) {
  const GcRows rows;
  const GcPlan plan(rows, kNow);
  EXPECT_TRUE(plan.keeps("node1", {"journal", 1, 0}));
  EXPECT_TRUE(plan.keeps("node1", {"a note of the user's", 1, 0}));
}

TEST(GcPlan, NamesThingsForPeople) {
  EXPECT_EQ(describe({"outputs/graph/0123/4", 0, 0}), "graph, attempt 4");
  EXPECT_EQ(describe({"checkpoints/model/0123", 0, 0}), "checkpoints of model");
  EXPECT_EQ(describe({"data/0123456789abcdef.whole", 0, 0}), "copy of a result, 01234567");
  EXPECT_EQ(describe({"data/0123456789abcdef", 0, 0}), "placed parts, 01234567");
  EXPECT_EQ(describe({"bundles/0123456789abcdef", 0, 0}), "programs 01234567");
  EXPECT_EQ(describe({"logs/a.log", 0, 0}), "logs/a.log");
}

}  // namespace
}  // namespace gnnflow
