// How runs are ended before their time: signals, requests, and what a dead controller has left.
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/orchestrator/engine/engine_bench.h"

namespace gnnflow {
namespace {

using Lines = std::vector<std::string>;

class Stop : public ::testing::Test {
 protected:
  void SetUp() override {
    bench.add("work", "make", {{"value", 1}});
    bench.host().on_start([](const Json&) { return goes_on(); });
    bench.tick = Milliseconds(25);
  }
  int64_t discards() {
    const auto orders = bench.host().orders();
    return std::count_if(orders.begin(), orders.end(),
                         [](const Message& order) { return order.type() == "discard"; });
  }
  // A job of an earlier controller, still running.
  AttemptRow leave_running() {
    const AttemptRow row = bench.leave("work", "some key", AttemptState::running, TaskState::started);
    bench.start_job("controller", "old.1.work.1.0");
    return row;
  }
  EngineBench bench;
};

TEST_F(Stop, ASecondSignalDoesNotWaitForTheTimeOfGrace) {
  bench.workflow.grace = Milliseconds(3'600'000);
  bench.host().keep_jobs(true);
  bench.on_tick = [&] {
    if (bench.host().running().empty()) return;
    if (bench.signals < 3) ++bench.signals;
    bench.stop.raise(Cause::interrupted);
  };
  EXPECT_EQ(bench.run(), 130);
  EXPECT_EQ(bench.last("work").state, AttemptState::cancelled);
  EXPECT_TRUE(bench.host().running().empty());
  EXPECT_EQ(bench.observer.lines_with("note "),
            (Lines{"note stopped by a signal; ending what runs",
                   "note a second signal: killing what still runs; further ones change nothing"}));
}

TEST_F(Stop, WhatASignalEndsOnTheWayToAHostIsNoFailure) {
  bench.host().refuse_daemons(Error{Cause::interrupted, "stopped while connecting"});
  bench.stop.raise(Cause::interrupted);
  EXPECT_EQ(bench.run(), 130);
  EXPECT_EQ(bench.observer.lines_with("failure"), Lines());
  EXPECT_TRUE(bench.store().attempts().value().empty());
}

TEST_F(Stop, OneSignalLetsJobsEndThemselves) {
  bench.signals = 1;
  bench.on_tick = [&] {
    if (!bench.host().running().empty()) bench.stop.raise(Cause::interrupted);
  };
  EXPECT_EQ(bench.run(), 130);
  EXPECT_EQ(bench.store().tasks_of(bench.last("work").id).value().front().signal, 15);
}

TEST_F(Stop, ASignalWhileAFailureEndsTheRunDoesNotChangeItsCause) {
  bench.add("bad", "make");
  bench.host().keep_jobs(true);
  bench.per_tick = Milliseconds(500);
  bench.host().on_start([&](const Json& order) {
    const bool bad = order.get("spec").text_or("step", "") == "bad";
    return bad ? fails(Cause::bad_data, "cut short") : goes_on();
  });
  bench.observer.on_news = [&](const StepNews& news) {
    if (news.what != "failed") return;
    bench.signals = 1;
    bench.stop.raise(Cause::interrupted);
  };
  EXPECT_EQ(bench.run(), 12);
  EXPECT_EQ(bench.observer.lines_with("note ending"),
            Lines{"note ending already; once more kills what still runs"});
}

TEST_F(Stop, AFailureThatIsStillBeingClearedAwayWhenTheSignalComesIsTheCause) {
  bench.host().on_start([&](const Json&) { return fails(Cause::bad_data, "cut short"); });
  bench.on_tick = [&] {
    if (bench.last("work").state == AttemptState::failed) bench.stop.raise(Cause::interrupted);
  };
  EXPECT_EQ(bench.run(), 12);
  EXPECT_EQ(bench.observer.lines_with("failure").size(), 1u);
}

TEST_F(Stop, LeftoversAreEndedAndTheirDaemonsToo) {
  const AttemptRow left = leave_running();
  EXPECT_EQ(stop_leftovers(bench.setup()), 0);
  EXPECT_TRUE(bench.host().running().empty());
  EXPECT_FALSE(*bench.host().daemon_alive());
  EXPECT_EQ(bench.last("work").state, AttemptState::cancelled);
  EXPECT_EQ(bench.last("work").message, "stopped by `gnnflow stop`");
  EXPECT_EQ(bench.stored_host().state, HostState::gone);
  const RunStatus run = bench.status();
  EXPECT_EQ(run.run.id, left.run);
  EXPECT_EQ(run.run.exit_code, exit_code(Cause::stopped));
}

// The command knows the hosts from the store, not the steps.
TEST_F(Stop, LeftoversAreEndedWithoutTheWorkflowsSteps) {
  bench.add("place", "copy");
  bench.leave("place", "k", AttemptState::running, TaskState::started);
  leave_running();
  bench.workflow.steps.clear();
  EXPECT_EQ(stop_leftovers(bench.setup()), 0);
  EXPECT_EQ(bench.last("work").state, AttemptState::cancelled);
  EXPECT_EQ(bench.last("place").state, AttemptState::cancelled);
}

TEST_F(Stop, LeftoversOfAHostThatCannotBeAskedStayUnfinished) {
  leave_running();
  bench.host().refuse_daemons(Error{Cause::unreachable, "no route to it"});
  bench.per_tick = Milliseconds(1'000);
  EXPECT_EQ(stop_leftovers(bench.setup()), exit_code(Cause::unreachable));
  EXPECT_EQ(bench.last("work").state, AttemptState::running);
  EXPECT_EQ(bench.observer.lines_with("note host controller cannot be asked").size(), 1u);
}

TEST_F(Stop, WithoutLeftoversThereIsNothingToDo) {
  EXPECT_EQ(stop_leftovers(bench.setup()), 0);
  EXPECT_EQ(bench.host().daemons_started(), 0);
}

}  // namespace
}  // namespace gnnflow
