// Coming back: what an earlier controller left unfinished is joined by token, adopted, or ended.
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/orchestrator/engine/engine_bench.h"

namespace gnnflow {
namespace {

constexpr const char* kToken = "old.1.work.1.0";

class Recovery : public ::testing::Test {
 protected:
  void SetUp() override {
    bench.add("work", "make", {{"value", 1}});
    bench.host().on_start([this](const Json& order) {
      return order.get("spec").text_or("step", "").empty() ? goes_on() : next;
    });
  }
  int64_t starts(const std::string& token) {
    const auto orders = bench.host().orders_of(token);
    return std::count(orders.begin(), orders.end(), "start");
  }
  void make_output(const std::string& token) {
    const fs::path out = bench.host().root() / "tmp" / token / "out/thing";
    ASSERT_TRUE(create_folders(out));
    ASSERT_TRUE(write_file_atomically(out / "content", "made"));
  }
  EngineBench bench;
  FakeJob next = makes("thing", "made");  // what jobs of this run do
};

TEST_F(Recovery, AJobThatStillRunsIsJoined) {
  bench.leave("work", bench.key_of("work"), AttemptState::running, TaskState::started);
  bench.start_job("controller", kToken);
  bench.on_tick = [&] {
    if (starts(kToken) < 2 || bench.host().running().empty()) return;
    make_output(kToken);
    bench.host().finish(kToken, 0);
  };
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("work").number, 1);
  EXPECT_EQ(bench.last("work").state, AttemptState::succeeded);
  EXPECT_EQ(bench.host().started(), std::vector<std::string>{kToken});
}

TEST_F(Recovery, WhatAJoinedAttemptHasReportedBeforeIsKept) {
  const AttemptRow old = bench.leave("work", bench.key_of("work"), AttemptState::running, TaskState::started);
  ASSERT_TRUE(bench.store().set_metrics(old.id, Json(Json::Object{{"checkpoint", 3}, {"epoch", 3}})));
  bench.start_job("controller", kToken);
  bench.on_tick = [&] {
    if (starts(kToken) < 2 || bench.host().running().empty()) return;
    make_output(kToken);
    bench.host().report(kToken, message_of("metrics", {{"epoch", 4}}));
    bench.host().finish(kToken, 0);
  };
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("work").metrics.dump(), R"({"checkpoint":3,"epoch":4})");
}

TEST_F(Recovery, AStartThatNeverArrivedIsSentAgainWithTheSameToken) {
  bench.leave("work", bench.key_of("work"), AttemptState::intent, TaskState::intent);
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("work").number, 1);
  EXPECT_EQ(bench.host().started(), std::vector<std::string>{kToken});
}

TEST_F(Recovery, AJobThatEndedMeanwhileIsPublished) {
  bench.leave("work", bench.key_of("work"), AttemptState::running, TaskState::started);
  bench.start_job("controller", kToken);
  make_output(kToken);
  bench.host().finish(kToken, 0);
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("work").number, 1);
  EXPECT_EQ(bench.last("work").state, AttemptState::succeeded);
}

TEST_F(Recovery, AJobThatFailedMeanwhileIsTriedAnewWithoutCost) {
  bench.leave("work", bench.key_of("work"), AttemptState::running, TaskState::started);
  bench.start_job("controller", kToken);
  bench.host().finish(kToken, 143);
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("work").number, 2);
}

TEST_F(Recovery, AJobLostWithItsDaemonIsTriedAnewWithoutCost) {
  bench.leave("work", bench.key_of("work"), AttemptState::running, TaskState::started);
  bench.start_job("controller", kToken);
  bench.host().kill_daemon();
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("work").number, 2);
}

TEST_F(Recovery, WhatIsPublishedButNotCommittedIsAdopted) {
  bench.leave("work", bench.key_of("work"), AttemptState::publishing, TaskState::exited);
  const fs::path to = bench.host().root() / "outputs/work" / bench.key_of("work") / "1/thing";
  ASSERT_TRUE(create_folders(to));
  ASSERT_TRUE(write_file_atomically(to / "content", "made"));
  ASSERT_TRUE(write_file_atomically(to.string() + ".manifest.json",
                                    R"({"files":[{"bytes":4,"digest":"00","path":"content"}]})"));
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("work").number, 1);
  EXPECT_EQ(bench.last("work").state, AttemptState::succeeded);
  EXPECT_TRUE(bench.host().started().empty());
}

TEST_F(Recovery, AnAttemptWhoseKeyChangedIsCancelled) {
  const AttemptRow old = bench.leave("work", "another key", AttemptState::running, TaskState::started);
  bench.start_job("controller", kToken);
  EXPECT_EQ(bench.run(), 0);
  const auto orders = bench.host().orders_of(kToken);
  EXPECT_EQ(std::count(orders.begin(), orders.end(), "cancel"), 1);
  EXPECT_EQ(std::count(orders.begin(), orders.end(), "discard"), 1);
  EXPECT_EQ(bench.last("work").number, 2);
  EXPECT_EQ(bench.store().tasks_of(old.id).value().front().state, TaskState::killed);
}

TEST_F(Recovery, WhatAnAttemptWhoseKeyChangedHasPublishedIsRemoved) {
  bench.leave("work", "another key", AttemptState::publishing, TaskState::exited);
  const fs::path to = bench.host().root() / "outputs" / "work" / "another key" / "1";
  ASSERT_TRUE(create_folders(to / "thing"));
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("work").number, 2);
  EXPECT_FALSE(fs::exists(to));
}

TEST_F(Recovery, AnAttemptOfAStepThatIsGoneIsCancelled) {
  bench.add("other", "make");
  bench.leave("other", bench.key_of("other"), AttemptState::running, TaskState::started);
  bench.start_job("controller", "old.1.other.1.0");
  bench.workflow.steps.pop_back();
  EXPECT_EQ(bench.run(), 0);
  EXPECT_TRUE(bench.host().running().empty());
  EXPECT_EQ(bench.store().last_attempt("other").value()->state, AttemptState::cancelled);
}

TEST_F(Recovery, AnAttemptOnAHostThatIsGoneFromTheWorkflowIsCancelled) {
  bench.leave("work", "another key", AttemptState::running, TaskState::started, "far");
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("work").number, 2);
}

TEST_F(Recovery, AJobThatTheStoreDoesNotKnowIsEnded) {
  bench.start_job("controller", "old.1.stranger.1.0");
  EXPECT_EQ(bench.run(), 0);
  const auto orders = bench.host().orders_of("old.1.stranger.1.0");
  EXPECT_EQ(std::count(orders.begin(), orders.end(), "discard"), 1);
}

TEST_F(Recovery, AServiceThatNobodyWantsAnyMoreIsDrained) {
  bench.add("servers", "launch", {{"input", "${steps.work}"}});
  ASSERT_EQ(bench.run(), 0);
  bench.leave("servers", "some key", AttemptState::running, TaskState::started);
  bench.start_job("controller", "old.1.servers.1.0");
  EXPECT_EQ(bench.run(), 0);
  EXPECT_TRUE(bench.host().running().empty());
  EXPECT_EQ(bench.last("servers").state, AttemptState::cancelled);
}

}  // namespace
}  // namespace gnnflow
