// One flag that says "stop", with a descriptor to poll beside others; SIGINT, SIGTERM and SIGHUP can raise
// it.
#pragma once

#include <atomic>

#include "common/base/file.h"
#include "common/base/result.h"

namespace gnnflow {

// Thread-safe. Raised once for all: it stays raised.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  void raise(Cause cause = Cause::stopped);  // async-signal-safe
  bool raised() const { return cause_.load(std::memory_order_relaxed) != 0; }
  Cause cause() const { return static_cast<Cause>(cause_.load()); }  // REQUIRES: raised
  int descriptor() const { return event_.get(); }                    // readable once raised

 private:
  std::atomic<int> cause_ = 0;
  FileDescriptor event_;
};

// SIGINT and SIGTERM raise `signal` (with `interrupted`, `terminated`), and so does SIGHUP (`hung_up`) unless
// it was ignored when the program began; each later one is counted. SIGPIPE is ignored.
void stop_on_signals(StopSignal& signal);
int signals_received();

}  // namespace gnnflow
