// The lease, on a clock that the test moves.
#include "worker/daemon/lease.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"
#include "worker/daemon/job.h"

namespace gnnflow {
namespace {

TEST(Lease, PassesWhenItIsNotRenewed) {
  FakeClock clock;
  Lease lease(clock, Milliseconds(1000), Distance::far);
  clock.advance(Milliseconds(999));
  EXPECT_FALSE(lease.passed());
  clock.advance(Milliseconds(1));
  EXPECT_TRUE(lease.passed());
}

TEST(Lease, ARenewalCountsFromNow) {
  FakeClock clock;
  Lease lease(clock, Milliseconds(1000), Distance::far);
  clock.advance(Milliseconds(900));
  lease.renew(Milliseconds(5000));
  clock.advance(Milliseconds(4999));
  EXPECT_FALSE(lease.passed());
  clock.advance(Milliseconds(1));
  EXPECT_TRUE(lease.passed());
}

TEST(Lease, OnTheControllersMachineALostConnectionLeavesThirtySeconds) {
  FakeClock clock;
  Lease near(clock, Milliseconds(600'000), Distance::near), far(clock, Milliseconds(600'000), Distance::far);
  near.connection_lost();
  far.connection_lost();
  EXPECT_EQ(near.left(), Milliseconds(30'000));
  EXPECT_EQ(far.left(), Milliseconds(600'000));
  near.renew();
  EXPECT_EQ(near.left(), Milliseconds(600'000));
}

TEST(Lease, ALostConnectionNeverLengthensIt) {
  FakeClock clock;
  Lease near(clock, Milliseconds(5000), Distance::near);
  near.connection_lost();
  EXPECT_EQ(near.left(), Milliseconds(5000));
}

TEST(Lease, LengthsOutOfRangeAreBounded) {
  FakeClock clock;
  Lease lease(clock, Milliseconds(-5), Distance::far);
  EXPECT_EQ(lease.length(), Milliseconds(1));
  lease.renew(Milliseconds(INT64_MAX));
  EXPECT_FALSE(lease.passed());
}

TEST(RestartBudget, AllowsACountWithinAWindow) {
  RestartBudget budget(2, Milliseconds(1000));
  Monotonic at(std::chrono::hours(1));
  EXPECT_TRUE(budget.take(at));
  EXPECT_TRUE(budget.take(at + Milliseconds(500)));
  EXPECT_FALSE(budget.take(at + Milliseconds(900)));
  EXPECT_TRUE(budget.take(at + Milliseconds(1001)));
  EXPECT_EQ(budget.taken(), 3);
  EXPECT_FALSE(RestartBudget(0, Milliseconds(1000)).take(at));
}

}  // namespace
}  // namespace gnnflow
