// The stop flag, its descriptor, and the signals that raise it.
#include "common/base/stop_signal.h"

#include <array>
#include <csignal>
#include <new>

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

namespace gnnflow {
namespace {

bool readable(int descriptor) {
  pollfd watch{.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&watch, 1, 0) == 1;
}

TEST(StopSignal, StaysRaisedWithItsFirstCause) {
  StopSignal stop;
  EXPECT_FALSE(stop.raised());
  EXPECT_FALSE(readable(stop.descriptor()));
  stop.raise(Cause::unreachable);
  stop.raise(Cause::stopped);
  EXPECT_TRUE(stop.raised());
  EXPECT_EQ(stop.cause(), Cause::unreachable);
  EXPECT_TRUE(readable(stop.descriptor()));
  EXPECT_TRUE(readable(stop.descriptor()));
}

TEST(StopSignal, HearsSignalsAndCountsThem) {
  static StopSignal stop;  // the handlers keep pointing at it
  stop_on_signals(stop);
  int before = signals_received();
  ::raise(SIGTERM);
  ::raise(SIGINT);
  EXPECT_EQ(signals_received() - before, 2);
  EXPECT_EQ(stop.cause(), Cause::terminated);
  EXPECT_TRUE(readable(stop.descriptor()));
}

TEST(StopSignal, HearsAHangUpUnlessItIsIgnored) {
  ::signal(SIGHUP, SIG_IGN);
  StopSignal deaf;
  stop_on_signals(deaf);
  ::raise(SIGHUP);
  EXPECT_FALSE(deaf.raised());
  ::signal(SIGHUP, SIG_DFL);
  StopSignal stop;
  stop_on_signals(stop);
  ::raise(SIGHUP);
  ASSERT_TRUE(stop.raised());
  EXPECT_EQ(stop.cause(), Cause::hung_up);
}

TEST(StopSignal, IsNotTouchedBySignalsAfterItsEnd) {
  alignas(StopSignal) std::array<std::byte, sizeof(StopSignal)> place;
  auto* stop = new (place.data()) StopSignal;
  stop_on_signals(*stop);
  stop->~StopSignal();
  const std::array<std::byte, sizeof(StopSignal)> before = place;
  int heard = signals_received();
  ::raise(SIGTERM);
  EXPECT_EQ(signals_received() - heard, 1);
  EXPECT_EQ(place, before);
}

TEST(StopSignal, ABrokenPipeIsAnErrorAndNoEnd) {
  static StopSignal stop;
  stop_on_signals(stop);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  EXPECT_EQ(::write(ends[1], "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  ::close(ends[1]);
}

}  // namespace
}  // namespace gnnflow
