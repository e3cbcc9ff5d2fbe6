// Deadlines and how times are written.
#include "common/base/clock.h"

#include <climits>
#include <cstdlib>
#include <ctime>

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

TEST(Deadline, NeverHasNoTimeout) {
  EXPECT_EQ(Deadline::never().poll_timeout(), -1);
  EXPECT_FALSE(Deadline::never().passed());
  EXPECT_EQ(Deadline::after(Milliseconds::max()).poll_timeout(), -1);
}

TEST(Deadline, OfNoTimeHasPassed) {
  EXPECT_TRUE(Deadline::after(Milliseconds(0)).passed());
  EXPECT_TRUE(Deadline::after(Milliseconds(-5)).passed());
  EXPECT_EQ(Deadline::after(Milliseconds(-5)).poll_timeout(), 0);
}

TEST(Deadline, CountsDownAndFitsIntoPoll) {
  Deadline soon = Deadline::after(Milliseconds(60'000));
  EXPECT_FALSE(soon.passed());
  EXPECT_GT(soon.poll_timeout(), 50'000);
  EXPECT_LE(soon.left(), Milliseconds(60'000));
  EXPECT_EQ(Deadline::after(std::chrono::hours(24 * 365)).poll_timeout(), INT_MAX);
}

TEST(Clock, WritesLocalTime) {
  const char* old = std::getenv("TZ");
  std::string saved = old ? old : "";
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  EXPECT_EQ(format_time(1'795'230'554'999), "2026-11-21 03:09:14");
  EXPECT_EQ(format_time(-1), "1969-12-31 23:59:59");
  old ? ::setenv("TZ", saved.c_str(), 1) : ::unsetenv("TZ");
  ::tzset();
}

TEST(Clock, BootIdIsOneLineAndStays) {
  EXPECT_EQ(boot_id(), boot_id());
  EXPECT_EQ(boot_id().find('\n'), std::string::npos);
}

}  // namespace
}  // namespace gnnflow
