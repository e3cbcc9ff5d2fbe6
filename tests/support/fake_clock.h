// A clock that stands still until a test moves it.
#pragma once

#include <atomic>

#include "common/base/clock.h"

namespace gnnflow {

// Any thread may read and move it.
class FakeClock : public Clock {
 public:
  Monotonic now() const override { return Monotonic(Milliseconds(monotonic_ms_.load())); }
  int64_t unix_milliseconds() const override { return unix_ms_.load(); }
  void advance(Milliseconds length) {
    monotonic_ms_ += length.count();
    unix_ms_ += length.count();
  }
  void set_time_of_day_forward(Milliseconds length) { unix_ms_ += length.count(); }

 private:
  std::atomic<int64_t> monotonic_ms_ = 1'000'000;
  std::atomic<int64_t> unix_ms_ = 1'700'000'000'000;
};

}  // namespace gnnflow
