// What the daemon's loop waits for.
#pragma once

#include <functional>

#include <poll.h>

namespace gnnflow {

// A descriptor of the loop and what to do when it is ready.
struct Watch {
  int descriptor;
  short events;
  std::function<void(short)> ready;
};

}  // namespace gnnflow
