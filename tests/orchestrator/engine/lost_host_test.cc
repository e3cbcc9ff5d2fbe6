// Hosts that say nothing: cut off, frozen, gone. Only what is provably gone, or silent past its lease, is
// lost.
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/orchestrator/engine/engine_bench.h"

namespace gnnflow {
namespace {

constexpr const char* kOld = "old.1.work.1.0";

class SilentHost : public ::testing::Test {
 protected:
  void SetUp() override {
    bench.add("work", "make", {{"value", 1}});
    bench.host().on_start([](const Json&) { return goes_on(); });
    bench.workflow.lease = Milliseconds(10'000);
    bench.workflow.grace = Milliseconds(1'000);
    bench.per_tick = Milliseconds(500);
    bench.tick = Milliseconds(25);
    began = bench.clock.unix_milliseconds();
  }
  int64_t past() const { return bench.clock.unix_milliseconds() - began; }
  void cut_off() {
    bench.host().refuse_daemons(Error{Cause::unreachable, "no route to it"});
    bench.host().cut();
    began = bench.clock.unix_milliseconds();
  }
  void make_output(const std::string& token) {
    const fs::path out = bench.host().root() / "tmp" / token / "out/thing";
    ASSERT_TRUE(create_folders(out));
    ASSERT_TRUE(write_file_atomically(out / "content", "made"));
    bench.host().finish(token, 0);
  }
  int64_t count(const std::string& token, const std::string& order) {
    const auto orders = bench.host().orders_of(token);
    return std::count(orders.begin(), orders.end(), order);
  }
  EngineBench bench;
  int64_t began = 0;
};

TEST_F(SilentHost, OfAnEarlierControllerIsNotLostBeforeItsLeaseIsOver) {
  bench.leave("work", bench.key_of("work"), AttemptState::running, TaskState::started);
  bench.start_job("controller", kOld);
  bench.host().refuse_daemons(Error{Cause::unreachable, "it holds its lock and is silent"});
  EXPECT_EQ(bench.run(), exit_code(Cause::unreachable));
  EXPECT_GE(past(), 12'100);
  EXPECT_EQ(bench.last("work").number, 2);  // there was no other host for it
  EXPECT_EQ(bench.store().attempts().value().front().state, AttemptState::lost);
}

TEST_F(SilentHost, OfAnEarlierControllerIsJoinedWhenItIsBack) {
  bench.leave("work", bench.key_of("work"), AttemptState::running, TaskState::started);
  bench.start_job("controller", kOld);
  bench.host().refuse_daemons(Error{Cause::unreachable, "no route to it"});
  bench.on_tick = [&] {
    if (past() > 5'000) bench.host().refuse_daemons(std::nullopt);
    if (count(kOld, "start") == 2 && !bench.host().running().empty()) make_output(kOld);
  };
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("work").number, 1);
}

TEST_F(SilentHost, IsLostAtOnceWhenItsLockIsFree) {
  bench.workflow.lease = Milliseconds(600'000);
  bench.leave("work", bench.key_of("work"), AttemptState::running, TaskState::started);
  bench.start_job("controller", kOld);
  bench.host().kill_daemon();
  bench.host().refuse_daemons(Error{Cause::unreachable, "its daemon did not start"});
  EXPECT_EQ(bench.run(), exit_code(Cause::unreachable));
  EXPECT_LT(past(), 300'000);
  EXPECT_EQ(bench.store().attempts().value().front().state, AttemptState::lost);
}

TEST_F(SilentHost, ThatIsBackWithinItsLeaseHasFailedNothing) {
  bench.workflow.lease = Milliseconds(600'000);
  bench.per_tick = Milliseconds(1'000);
  bool cut = false, seen_unknown = false;
  bench.on_tick = [&] {
    const auto running = bench.host().running();
    if (running.empty()) return;
    if (!std::exchange(cut, true)) return cut_off();
    if (past() < 20'000) {
      const StepStatus step = bench.status_of("work");
      if (step.tasks.empty() || step.tasks[0].state != TaskState::unknown) return;
      seen_unknown = true;
      EXPECT_GT(step.tasks[0].last_seen_ms, 0);
      EXPECT_EQ(step.state, StepState::running);
      return;
    }
    bench.host().refuse_daemons(std::nullopt);
    if (count(running.front(), "start") == 2) make_output(running.front());
  };
  EXPECT_EQ(bench.run(), 0);
  EXPECT_TRUE(seen_unknown);
  EXPECT_EQ(bench.last("work").number, 1);
  EXPECT_EQ(bench.host().started().size(), 1u);
}

// Somebody sets the clock of this machine while the host is away.
TEST_F(SilentHost, IsJudgedByTheClockThatLeasesGoBy) {
  bool cut = false;
  int turns = 0;
  bench.on_tick = [&] {
    const auto running = bench.host().running();
    if (running.empty()) return;
    if (!std::exchange(cut, true)) {
      cut_off();
      return bench.clock.set_time_of_day_forward(std::chrono::hours(1));
    }
    if (++turns < 10) return;
    bench.host().refuse_daemons(std::nullopt);
    if (count(running.front(), "start") == 2) make_output(running.front());
  };
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("work").number, 1);
}

TEST_F(SilentHost, DoesNotFailTheStepThatIsNext) {
  bench.add("next", "make", {{"input", "${steps.work}"}});
  bench.host().on_start([](const Json&) { return makes("thing", "made"); });
  bool cut = false;
  bench.on_tick = [&] {
    if (bench.last("work").state != AttemptState::succeeded) return;
    if (!std::exchange(cut, true)) return cut_off();
    if (bench.host().refusals() >= 3) bench.host().refuse_daemons(std::nullopt);
  };
  EXPECT_EQ(bench.run(), 0);
  EXPECT_GE(bench.host().refusals(), 3);
  EXPECT_EQ(bench.last("next").number, 1);
}

TEST_F(SilentHost, ThatGivesNoSignOfLifeIsReachedAgain) {
  bool frozen = false;
  bench.on_tick = [&] {
    const auto running = bench.host().running();
    if (running.empty()) return;
    if (!std::exchange(frozen, true)) return bench.host().answer_beats(false);
    if (count(running.front(), "start") < 2) return;
    bench.host().answer_beats(true);
    make_output(running.front());
  };
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("work").number, 1);
  const auto notes = bench.observer.lines_with("note host controller");
  ASSERT_GE(notes.size(), 2u);
  EXPECT_EQ(notes[0], "note host controller: its daemon is gone or cut off; asking again");
  EXPECT_EQ(notes[1], "note host controller: its daemon answers");
}

// The host answers, its daemon has gone and no other one starts: there is nothing to wait for.
TEST_F(SilentHost, ThatOnlyLacksADaemonIsNotWaitedFor) {
  bench.workflow.lease = Milliseconds(600'000);
  bench.add("next", "make", {{"input", "${steps.work}"}});
  bench.host().on_start([](const Json&) { return makes("thing", "made"); });
  bool killed = false;
  bench.on_tick = [&] {
    if (bench.last("work").state != AttemptState::succeeded || std::exchange(killed, true)) return;
    bench.host().kill_daemon();
    bench.host().refuse_daemons(Error{Cause::unreachable, "its daemon did not start"});
    began = bench.clock.unix_milliseconds();
  };
  EXPECT_EQ(bench.run(), exit_code(Cause::unreachable));
  EXPECT_LT(past(), 300'000);
}

TEST_F(SilentHost, ThatAnswersStaysConnected) {
  bench.per_tick = Milliseconds(2'000);
  bench.tick = Milliseconds(1'000);  // answers end the wait
  bench.on_tick = [&] {
    const auto running = bench.host().running();
    if (!running.empty() && past() > 40'000) make_output(running.front());
  };
  EXPECT_EQ(bench.run(), 0);
  EXPECT_TRUE(bench.observer.lines_with("note host controller").empty());
}

// A daemon that does not know a task may still have left processes of it behind.
TEST_F(SilentHost, WhatIsUnknownButNotGoneIsEndedBeforeItIsLost) {
  bench.leave("work", "another key", AttemptState::running, TaskState::started);
  int discards = 0;
  bench.host().on_order([&](const Message& order) -> std::optional<Message> {
    if (order.head.text_or("token", "") != kOld) return std::nullopt;
    if (order.type() == "discard") ++discards;
    if (order.type() != "ask") return std::nullopt;
    return message_of("reply", {{"known", false}, {"gone", discards > 0}});
  });
  bench.host().on_start([](const Json&) { return makes("thing", "made"); });
  EXPECT_EQ(bench.run(), 0);
  const auto orders = bench.host().orders_of(kOld);
  const auto first = std::find(orders.begin(), orders.end(), "discard");
  ASSERT_NE(first, orders.end());
  EXPECT_NE(std::find(first, orders.end(), "ask"), orders.end());
  EXPECT_EQ(bench.store().attempts().value().front().state, AttemptState::cancelled);
}

TEST_F(SilentHost, WhatItsDaemonCannotAnswerForIsEndedBeforeItIsLost) {
  bench.leave("work", "another key", AttemptState::running, TaskState::started);
  bench.host().on_order([&](const Message& order) -> std::optional<Message> {
    if (order.type() != "ask" || order.head.text_or("token", "") != kOld) return std::nullopt;
    return message_of("reply", {{"ok", false}, {"cause", "failed"}, {"message", "too many open files"}});
  });
  bench.host().on_start([](const Json&) { return makes("thing", "made"); });
  EXPECT_EQ(bench.run(), 0);
  const auto orders = bench.host().orders_of(kOld);
  const auto first = std::find(orders.begin(), orders.end(), "discard");
  ASSERT_NE(first, orders.end());
  EXPECT_NE(std::find(first, orders.end(), "ask"), orders.end());
  const AttemptRow old = bench.store().attempts().value().front();
  EXPECT_EQ(old.state, AttemptState::cancelled);
  EXPECT_EQ(bench.store().tasks_of(old.id).value().front().state, TaskState::lost);
}

TEST_F(SilentHost, AJobThatDoesNotEndIsKilledAndNotCalledLost) {
  bench.per_tick = Milliseconds(1'000);
  bench.host().keep_jobs(true);
  bench.on_tick = [&] {
    if (!bench.host().running().empty()) bench.stop.raise(Cause::interrupted);
  };
  EXPECT_EQ(bench.run(), 130);
  const AttemptRow last = bench.last("work");
  EXPECT_EQ(last.state, AttemptState::cancelled);
  EXPECT_EQ(bench.store().tasks_of(last.id).value().front().state, TaskState::killed);
  EXPECT_TRUE(bench.host().running().empty());
}

TEST_F(SilentHost, IsLeftUnfinishedWhenTheRunEnds) {
  bench.workflow.lease = Milliseconds(600'000);
  bench.per_tick = Milliseconds(1'000);
  bool cut = false;
  bench.on_tick = [&] {
    if (bench.host().running().empty() || std::exchange(cut, true)) return;
    cut_off();
    bench.stop.raise(Cause::interrupted);
  };
  EXPECT_EQ(bench.run(), 130);
  EXPECT_LT(past(), 300'000);
  EXPECT_EQ(bench.last("work").state, AttemptState::running);
  EXPECT_EQ(bench.store().tasks_of(bench.last("work").id).value().front().state, TaskState::unknown);
  const auto notes = bench.observer.lines_with("note host controller cannot be asked");
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes.front(),
            "note host controller cannot be asked: what may still run there ends with its lease of 10m 00s; "
            "the next run looks");
}

}  // namespace
}  // namespace gnnflow
