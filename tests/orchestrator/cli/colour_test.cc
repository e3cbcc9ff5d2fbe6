// When output is coloured.
#include "orchestrator/cli/colour.h"

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

TEST(Colour, FollowsTheTerminalUnlessToldOtherwise) {
  ::unsetenv("NO_COLOR");
  EXPECT_TRUE(wants_colour(ColourMode::automatic, true));
  EXPECT_FALSE(wants_colour(ColourMode::automatic, false));
  EXPECT_TRUE(wants_colour(ColourMode::always, false));
  EXPECT_FALSE(wants_colour(ColourMode::never, true));
  ::setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(wants_colour(ColourMode::automatic, true));
  EXPECT_TRUE(wants_colour(ColourMode::always, true));
  ::unsetenv("NO_COLOR");
}

}  // namespace
}  // namespace gnnflow
