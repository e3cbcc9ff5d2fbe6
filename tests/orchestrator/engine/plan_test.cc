// The plan: which steps are ready, done, wanted.
#include "orchestrator/engine/plan.h"

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

using Steps = std::vector<int>;

// graph -> parts -> servers (a service), model and score use it; `other` needs nothing.
Plan line() {
  return Plan(
      {{"graph", {}}, {"parts", {0}}, {"servers", {1}}, {"model", {2}, 2}, {"score", {3}, 2}, {"other", {}}});
}

TEST(Plan, GivesEachStepOnceWhenItsNeedsAreDone) {
  Plan plan = line();
  EXPECT_EQ(plan.take_ready(), (Steps{0, 5}));
  EXPECT_EQ(plan.take_ready(), Steps{});
  plan.set_done(0);
  EXPECT_EQ(plan.take_ready(), Steps{1});
  plan.set_done(5);
  EXPECT_EQ(plan.take_ready(), Steps{});
}

TEST(Plan, IsDoneWhenAllStepsAre) {
  Plan plan = line();
  for (int step = 0; step < plan.size(); ++step) {
    EXPECT_FALSE(plan.all_done());
    plan.set_done(step);
  }
  EXPECT_TRUE(plan.all_done());
}

TEST(Plan, WantsAServiceUntilItsLastUserIsDone) {
  Plan plan = line();
  EXPECT_TRUE(plan.wanted(2));
  plan.set_done(3);
  EXPECT_TRUE(plan.wanted(2));
  plan.set_done(4);
  EXPECT_FALSE(plan.wanted(2));
}

}  // namespace
}  // namespace gnnflow
