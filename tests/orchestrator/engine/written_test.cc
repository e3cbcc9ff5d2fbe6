// What a run writes down: hosts before they are used, no more commits than needed, what steps wait for.
#include <gtest/gtest.h>

#include "tests/orchestrator/engine/engine_bench.h"

namespace gnnflow {
namespace {

class Written : public ::testing::Test {
 protected:
  void SetUp() override {
    bench.tick = Milliseconds(25);
    bench.host().on_start(
        [](const Json& order) { return makes("thing", order.get("spec").text_or("step", "")); });
  }
  // Steps in a row; how often the run of them commits.
  int64_t commits_of(int steps) {
    EngineBench other;
    other.tick = Milliseconds(25);
    other.host().on_start(
        [](const Json& order) { return makes("thing", order.get("spec").text_or("step", "")); });
    for (int i = 0; i < steps; ++i) {
      Json::Object options;
      if (i > 0) options["input"] = "${steps.s" + std::to_string(i - 1) + "}";
      other.add("s" + std::to_string(i), "make", options);
    }
    other.store();
    const int64_t before = other.store().commits();
    EXPECT_EQ(other.run(), 0);
    return other.store().commits() - before;
  }
  EngineBench bench;
};

TEST_F(Written, AStepCostsFourCommits) { EXPECT_EQ(commits_of(3) - commits_of(1), 2 * 4); }

TEST_F(Written, ARunThatDoesNothingCostsOneCommit) {
  bench.add("a", "make");
  ASSERT_EQ(bench.run(), 0);
  const int64_t before = bench.store().commits();
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.store().commits() - before, 1);
}

TEST_F(Written, AHostStandsInTheStoreBeforeItsDaemonIsThere) {
  bench.add("a", "make");
  std::optional<HostRow> at_hello, at_start;
  bench.host().on_order([&](const Message& order) -> std::optional<Message> {
    if (order.type() == "hello" && !at_hello) at_hello = bench.stored_host();
    if (order.type() == "start" && !at_start) at_start = bench.stored_host();
    return std::nullopt;
  });
  ASSERT_EQ(bench.run(), 0);
  ASSERT_TRUE(at_hello && at_start);
  EXPECT_EQ(at_hello->state, HostState::intent);
  EXPECT_EQ(at_hello->root, bench.host().root().string());
  EXPECT_EQ(at_start->state, HostState::up);
  EXPECT_GT(at_start->pid, 0);
  EXPECT_EQ(at_start->boot, boot_id());
  EXPECT_EQ(bench.stored_host().state, HostState::gone);
  EXPECT_EQ(bench.stored_host().pid, 0);
}

TEST_F(Written, AHostThatWasPreparedIsToldOnce) {
  bench.host().say_preparation("programs sent: 12 files, 210 MB");
  bench.add("a", "make");
  bench.add("b", "make", {{"input", "${steps.a}"}});
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.observer.lines_with("note host"),
            std::vector<std::string>{"note host controller: programs sent: 12 files, 210 MB"});
}

TEST_F(Written, WhatAHostCouldNotDeleteIsTold) {
  bench.host().on_order([&](const Message& order) -> std::optional<Message> {
    if (order.type() != "hello") return std::nullopt;
    return Message{Json(Json::Object{{"boot", boot_id()}, {"cores", 2}, {"leftovers", "removing x: no"}}),
                   ""};
  });
  bench.add("a", "make");
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.observer.lines_with("note host"),
            std::vector<std::string>{"note host controller: what earlier jobs left could not be deleted: "
                                     "removing x: no"});
}

TEST_F(Written, StatusNamesWhatAStepWaitsFor) {
  bench.add("one", "make", {{"cores", 2}});
  bench.add("two", "make", {{"cores", 1}});
  bench.host().on_start([](const Json& order) {
    return order.get("spec").text_or("step", "") == "one" ? goes_on() : makes("thing", "x");
  });
  bench.per_tick = Milliseconds(100);  // it is written within a second
  std::string waits;
  bench.on_tick = [&] {
    const auto running = bench.host().running();
    const StepStatus two = bench.status_of("two");
    const bool told = two.row.waits.starts_with("waits for cores");
    if (running.empty() || two.state != StepState::waiting || !told) return;
    waits = two.row.waits;
    const fs::path out = bench.host().root() / "tmp" / running.front() / "out/thing";
    ASSERT_TRUE(create_folders(out));
    bench.host().finish(running.front(), 0);
  };
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(waits, "waits for cores that one uses");
  EXPECT_EQ(bench.status_of("two").row.waits, "");
}

TEST_F(Written, AStepThatGoesOnWithAnOlderAttemptWaitsForNothingAnyMore) {
  bench.add("a", "make");
  bench.leave("a", bench.key_of("a"), AttemptState::running, TaskState::started);
  bench.start_job("controller", "old.1.a.1.0");
  const fs::path out = bench.host().root() / "tmp/old.1.a.1.0/out/thing";
  ASSERT_TRUE(create_folders(out));
  bench.observer.on_news = [&](const StepNews& news) {
    if (news.what == "running") bench.host().finish("old.1.a.1.0", 0);
  };
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("a").number, 1);
  EXPECT_EQ(bench.status_of("a").row.waits, "");
}

TEST_F(Written, AStepThatIsTriedAgainWaitsAndHasNotFailed) {
  bench.add("weak", "make").retries = 1;
  int starts = 0;
  bench.host().on_start(
      [&](const Json&) { return ++starts == 1 ? fails(Cause::failed, "no luck") : makes("thing", "x"); });
  std::vector<StepState> seen;
  bench.observer.on_news = [&](const StepNews& news) {
    if (news.what == "retrying") seen.push_back(bench.status_of("weak").state);
    if (news.what == "running" && starts == 1) seen.push_back(bench.status_of("weak").state);
  };
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(seen, (std::vector<StepState>{StepState::waiting, StepState::running}));
}

// What could not begin because its host is out of reach says so in `status`.
TEST_F(Written, WhatCouldNotBeginShowsWhy) {
  bench.add("a", "make");
  bench.host().refuse_daemons(Error{Cause::unreachable, "no route to it"});
  ASSERT_EQ(bench.run(), 6);
  const StepStatus step = bench.status_of("a");
  EXPECT_EQ(step.state, StepState::failed);
  ASSERT_TRUE(step.attempt);
  EXPECT_EQ(step.attempt->message, "daemon of host controller: no route to it");
}

TEST_F(Written, WhatCouldNotBeginBesideAnOlderAttemptShowsWhyToo) {
  bench.add("a", "make");
  bench.add_host("far");
  bench.leave("a", "another key", AttemptState::running, TaskState::started, "far");
  bench.start_job("far", "old.1.a.1.0");
  bench.host("far").refuse_daemons(Error{Cause::unreachable, "no route to far"});
  bench.host().refuse_daemons(Error{Cause::unreachable, "no route to it"});
  bench.per_tick = Milliseconds(1'000);
  ASSERT_EQ(bench.run(), 6);
  const StepStatus step = bench.status_of("a");
  EXPECT_EQ(step.row.reason, "daemon of host controller: no route to it");
}

TEST_F(Written, APlanNeitherTakesTheStateNorRaisesItsEpoch) {
  bench.add("a", "make");
  bench.host().on_start([](const Json&) { return goes_on(); });
  const int64_t epoch = bench.store().epoch();
  std::vector<std::string> plan;
  bench.on_tick = [&] {
    if (bench.host().running().empty()) return;
    plan = bench.plan();
    bench.stop.raise(Cause::interrupted);
  };
  ASSERT_EQ(bench.run(), 130);
  EXPECT_EQ(plan, std::vector<std::string>{"a run: attempt 1 had not ended"});
  EXPECT_EQ(bench.store().epoch(), epoch);
}

// Epoch 4 of 10 has left a checkpoint when the run is interrupted.
class Interrupted : public Written {
 protected:
  void train_on(const std::string& at) {
    bench.add("graph", "make");
    bench.add("model", "train", {{"input", "${steps.graph}"}, {"epochs", 10}, {"host", at}});
    bench.host().on_start([](const Json& order) { return job(order); });
    bench.host(at).on_start([](const Json& order) { return job(order); });
    bench.on_tick = [&] {
      if (bench.last("model").metrics.integer_or("checkpoint", 0) == 4) bench.stop.raise(Cause::interrupted);
    };
    ASSERT_EQ(bench.run(), 130);
  }
  static FakeJob job(const Json& order) {
    if (order.get("spec").text_or("kind", "") == "make") return makes("thing", "graph");
    FakeJob job = goes_on();
    job.reports.push_back(message_of("checkpoint", {{"epoch", 4}}));
    return job;
  }
  fs::path checkpoint() {
    return bench.host().root() / "checkpoints/model" / bench.last("model").resume_key / "4";
  }
};

TEST_F(Interrupted, APlanSaysWhereTheTrainingGoesOn) {
  train_on("controller");
  ASSERT_TRUE(create_folders(checkpoint()));
  ASSERT_TRUE(write_file_atomically(checkpoint() / "checkpoint.json", R"({"files":{}})"));
  EXPECT_EQ(bench.plan().back(), "model resume: attempt 1 was cancelled; goes on from epoch 4");
}

TEST_F(Interrupted, APlanCountsOnNoCheckpointThatIsGoneFromThisMachine) {
  train_on("controller");
  EXPECT_EQ(bench.plan().back(), "model run: attempt 1 was cancelled");
}

TEST_F(Interrupted, APlanBelievesTheStoreAboutOtherMachines) {
  bench.add_far_host("far", "10.0.0.3");
  train_on("far");
  EXPECT_EQ(bench.plan().back(), "model resume: attempt 1 was cancelled; goes on from epoch 4");
}

}  // namespace
}  // namespace gnnflow
