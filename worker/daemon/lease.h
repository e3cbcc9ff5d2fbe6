// How long the daemon goes on without its controller. On CLOCK_MONOTONIC: a host that slept has lost no time.
#pragma once

#include "common/base/clock.h"

namespace gnnflow {

enum class Distance { far, near };  // near: the controller's own machine

// Use from one thread.
class Lease {
 public:
  Lease(const Clock& clock, Milliseconds length, Distance distance);
  void renew(Milliseconds length);
  void renew() { renew(length_); }
  // Without goodbye. On its own machine a controller that lost its connection has died: 30 s are enough to
  // come back.
  void connection_lost();
  Milliseconds left() const;  // 0: passed
  bool passed() const { return left() == Milliseconds(0); }
  Milliseconds length() const { return length_; }

 private:
  const Clock& clock_;
  Milliseconds length_;
  const Distance distance_;
  Monotonic ends_;
};

}  // namespace gnnflow
