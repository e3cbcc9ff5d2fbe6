// The thread that tells every job, each 2 s or four times a lease, that its daemon lives. It does nothing
// else, so that nothing can hold it up.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "worker/daemon/channel.h"

namespace gnnflow {

// Any thread may call anything.
class Beats {
 public:
  Beats(Milliseconds lease, Milliseconds grace);
  ~Beats();
  void set(Milliseconds lease, Milliseconds grace);  // told at once
  void add(std::shared_ptr<Channel> channel);        // gets its first beat at once
  void remove(const std::shared_ptr<Channel>& channel);

 private:
  void run();
  Message beat() const;

  std::atomic<int64_t> lease_ms_, grace_ms_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Channel>> channels_;  // guarded by mutex_
  bool closed_ = false;                             // guarded by mutex_
  bool changed_lease_ = false;                      // guarded by mutex_
  std::thread thread_;
};

}  // namespace gnnflow
