// Claims of cores.
#include "orchestrator/engine/cores.h"

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

TEST(Cores, FitAsLongAsTheMachineHasSome) {
  Cores cores;
  cores.add_machine("m", 4);
  cores.claim("one", {{"m", 3}});
  EXPECT_TRUE(cores.fits({{"m", 1}}));
  EXPECT_FALSE(cores.fits({{"m", 2}}));
  EXPECT_EQ(cores.blocker({{"m", 2}}), "one");
  cores.release("one");
  EXPECT_TRUE(cores.fits({{"m", 4}}));
  EXPECT_EQ(cores.blocker({{"m", 4}}), "");
}

TEST(Cores, OfAnotherMachineAreOthers) {
  Cores cores;
  cores.add_machine("m", 2);
  cores.add_machine("n", 2);
  cores.claim("one", {{"m", 2}});
  EXPECT_TRUE(cores.fits({{"n", 2}}));
  EXPECT_FALSE(cores.fits({{"m", 1}, {"n", 1}}));
}

TEST(Cores, MeetWhereBothWantSomeOfOneMachine) {
  EXPECT_TRUE(Cores::meet({{"m", 1}, {"n", 1}}, {{"n", 2}}));
  EXPECT_FALSE(Cores::meet({{"m", 1}}, {{"n", 1}}));
  EXPECT_FALSE(Cores::meet({{"m", 1}}, {{"m", 0}}));
  EXPECT_FALSE(Cores::meet({{"m", 0}}, {{"m", 1}}));
}

TEST(Cores, BeyondTheMachineAreAllOfIt) {
  Cores cores;
  cores.add_machine("m", 2);
  EXPECT_TRUE(cores.fits({{"m", 64}}));
  cores.claim("greedy", {{"m", 64}});
  EXPECT_FALSE(cores.fits({{"m", 1}}));
  EXPECT_TRUE(cores.fits({{"m", 0}}));
}

TEST(Cores, CountTheLargestThatAnEntryOfTheMachineReported) {
  Cores cores;
  cores.add_machine("m", 2);
  cores.add_machine("m", 8);
  cores.add_machine("m", 4);
  EXPECT_EQ(cores.of("m"), 8);
}

}  // namespace
}  // namespace gnnflow
