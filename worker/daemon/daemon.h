// `gnnflow-worker daemon`: one per store and host entry. It starts jobs, hears them, publishes what they
// made, and ends with its lease.
#pragma once

#include <string>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "worker/daemon/lease.h"

namespace gnnflow {

struct DaemonOptions {
  fs::path root;            // "<workspace>/<store id>/<host name>"
  std::string store, host;  // who may say hello
  Milliseconds lease{600'000}, grace{10'000};
  Distance distance = Distance::far;
  bool background = false;
};

// Returns the exit code, when the daemon has ended: 0, or 5 when another one holds the lock.
int daemon_main(DaemonOptions options);

}  // namespace gnnflow
