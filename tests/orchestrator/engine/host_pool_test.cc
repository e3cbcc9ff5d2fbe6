// Calls to hosts that are out of reach for a while.
#include "orchestrator/engine/host_pool.h"

#include <future>

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"
#include "tests/support/fake_host.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

class HostPoolTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::vector<std::unique_ptr<Host>> hosts;
    hosts.push_back(std::make_unique<FakeHost>("far", folder.path()));
    host = static_cast<FakeHost*>(hosts.front().get());
    DaemonGreeting greeting{1, std::string(32, 'a'), Milliseconds(10'000), Milliseconds(1'000)};
    pool = std::make_unique<HostPool>(std::move(hosts), greeting, happenings, clock, stop);
    pool->listen({}, {}, {});
  }
  void TearDown() override { pool->goodbye({}, Milliseconds(5'000)); }

  // Turns the loop until `done`, each time for 100 ms of the clock.
  void turn_until(const std::function<bool()>& done) {
    for (int turns = 0; !done() && turns < 2'000; ++turns) {
      for (auto& happening : happenings.take(Milliseconds(10))) happening();
      pool->tick();
      clock.advance(Milliseconds(100));
    }
    ASSERT_TRUE(done());
  }
  void reach() {
    bool reached = false;
    pool->reach("far", [&](const Status& status) { reached = bool(status); });
    turn_until([&] { return reached; });
  }
  // A long call keeps the host while somebody wants a daemon there; it ends after `end`.
  Status reach_behind_a_long_call(const std::function<void()>& end) {
    std::promise<void> free;
    std::optional<Status> reached;
    pool->work<Status>(
        "far",
        [gate = free.get_future().share()](Host&) {
          gate.wait();
          return Status();
        },
        [](const Status&) {});
    pool->reach("far", [&](Status status) { reached = std::move(status); });
    end();
    free.set_value();
    turn_until([&] { return reached.has_value(); });
    return reached.value_or(Status());
  }
  // A call that finds no way to the host so many times.
  std::optional<Status> work(int failures) {
    pool->work<Status>(
        "far",
        [this, failures](Host&) -> Status {
          if (++calls <= failures) return Error{Cause::unreachable, "no route to it"};
          return {};
        },
        [this](Status status) { outcome = std::move(status); });
    turn_until([&] { return outcome.has_value(); });
    return outcome;
  }
  TempDir folder;
  FakeClock clock;
  StopSignal stop;
  Happenings happenings;
  FakeHost* host = nullptr;
  std::unique_ptr<HostPool> pool;
  std::atomic<int> calls = 0;
  std::optional<Status> outcome;
};

TEST_F(HostPoolTest, CallsAHostAgainThatWasReachedBefore) {
  reach();
  const auto began = clock.now();
  EXPECT_TRUE(*work(3));
  EXPECT_EQ(calls, 4);
  EXPECT_GE(clock.now() - began, Milliseconds(100 + 200 + 400));
}

TEST_F(HostPoolTest, StartsNoDaemonWhoseIntentCannotBeKept) {
  pool->listen({}, {}, [](const HostRow&) -> Status {
    return Error{Cause::no_resources, "the disk is full"};
  });
  std::optional<Status> reached;
  pool->reach("far", [&](Status status) { reached = std::move(status); });
  turn_until([&] { return reached.has_value(); });
  ASSERT_FALSE(*reached);
  EXPECT_EQ(reached->error().cause, Cause::no_resources);
  EXPECT_EQ(reached->error().message, "daemon of host far: the disk is full");
  EXPECT_EQ(host->daemons_started(), 0);
  EXPECT_FALSE(pool->reaching());
}

// Nothing was begun where nothing was before; a daemon that may live there is looked for at the goodbye.
TEST_F(HostPoolTest, ATryThatTheStopSignalEndedIsNoNewsOfADaemonThatWasUp) {
  host->refuse_daemons(Error{Cause::interrupted, "stopped while connecting"});
  for (const HostState before : {HostState::gone, HostState::intent, HostState::up}) {
    HostRow row;
    row.name = "far";
    row.state = before;
    pool->remember({row});
    bool told = false;
    pool->reach("far", [&](const Status&) { told = true; });
    turn_until([&] { return told; });
    EXPECT_EQ(pool->stored_up().count("far"), before == HostState::up ? 1u : 0u);
  }
}

TEST_F(HostPoolTest, StartsNoDaemonWhoseTurnComesAfterTheStopSignal) {
  const Status reached = reach_behind_a_long_call([&] { stop.raise(Cause::interrupted); });
  ASSERT_FALSE(reached);
  EXPECT_EQ(reached.error().cause, Cause::interrupted);
  EXPECT_EQ(reached.error().message, "daemon of host far: stopped before it was started");
  EXPECT_EQ(host->daemons_started(), 0);
  EXPECT_FALSE(pool->reaching());
  EXPECT_EQ(pool->stored_up().count("far"), 0u);
}

TEST_F(HostPoolTest, StartsNoDaemonWhoseTurnComesAfterTheRunHasFailed) {
  const Status reached = reach_behind_a_long_call([&] { pool->wind_up(); });
  ASSERT_FALSE(reached);
  EXPECT_EQ(reached.error().cause, Cause::stopped);
  EXPECT_EQ(reached.error().message, "daemon of host far: the run ends");
  EXPECT_EQ(host->daemons_started(), 0);
}

TEST_F(HostPoolTest, ReachesAHostToCleanUpAfterTheStopSignal) {
  stop.raise(Cause::interrupted);
  pool->wind_up();
  reach();
  EXPECT_EQ(host->daemons_started(), 1);
}

// What runs there has to be ended.
TEST_F(HostPoolTest, ReachesAHostThatWasUpWhenItsTurnComesAfterTheStopSignal) {
  HostRow row;
  row.name = "far";
  row.root = host->root();
  row.state = HostState::up;
  pool->remember({row});
  EXPECT_TRUE(reach_behind_a_long_call([&] { stop.raise(Cause::interrupted); }));
  EXPECT_EQ(host->daemons_started(), 1);
}

// Its files may be reached before any daemon is wanted there.
TEST_F(HostPoolTest, CallsAHostAgainThatHasAnsweredACallBefore) {
  ASSERT_TRUE(*work(0));
  outcome.reset();
  EXPECT_TRUE(*work(3));
}

TEST_F(HostPoolTest, TellsAtOnceThatAHostWasNeverReached) {
  ASSERT_FALSE(*work(3));
  EXPECT_EQ(outcome->error().message, "no route to it");
  EXPECT_EQ(calls, 1);
}

TEST_F(HostPoolTest, GivesUpWhenWhatRanThereIsLost) {
  reach();
  host->refuse_daemons(Error{Cause::unreachable, "no route to it"});
  host->cut();
  const auto began = clock.now();
  ASSERT_FALSE(*work(1'000'000));
  EXPECT_GE(clock.now() - began, pool->lost_after());
}

TEST_F(HostPoolTest, AHostMayComeBackForALeaseWhateverTheTimeOfDayIsSetTo) {
  EXPECT_FALSE(pool->may_come_back("far"));
  reach();
  clock.set_time_of_day_forward(std::chrono::hours(1));
  EXPECT_TRUE(pool->may_come_back("far"));
  clock.set_time_of_day_forward(-std::chrono::hours(2));
  clock.advance(pool->lost_after());
  EXPECT_FALSE(pool->may_come_back("far"));
}

TEST_F(HostPoolTest, GivesUpWhenTheRunEnds) {
  reach();
  pool->work<Status>(
      "far",
      [this](Host&) -> Status {
        return ++calls, Error{Cause::unreachable, "no route to it"};
      },
      [this](Status status) { outcome = std::move(status); });
  turn_until([&] { return calls >= 2; });
  pool->give_up();
  turn_until([&] { return outcome.has_value(); });
  EXPECT_FALSE(*outcome);
}

TEST_F(HostPoolTest, DoesNotCallAgainWhatFailedForAnotherReason) {
  reach();
  pool->work<Status>(
      "far",
      [this](Host&) -> Status {
        return ++calls, Error{Cause::no_resources, "the disk is full"};
      },
      [this](Status status) { outcome = std::move(status); });
  turn_until([&] { return outcome.has_value(); });
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace gnnflow
