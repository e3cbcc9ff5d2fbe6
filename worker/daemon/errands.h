// Threads for what takes long (syncing, hashing, scanning /proc), so that the daemon's loop never waits.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "common/base/file.h"

namespace gnnflow {

// Calls that other threads leave for the daemon's loop.
class Inbox {
 public:
  Inbox();
  void post(std::function<void()> call);  // any thread
  void wake();                            // any thread
  int descriptor() const { return event_.get(); }
  void run_all();  // the loop

 private:
  FileDescriptor event_;
  std::mutex mutex_;
  std::deque<std::function<void()>> calls_;  // guarded by mutex_
};

// Calls run one after another on a thread of its own. Joined when destroyed; what has not begun by then is
// dropped.
class Errands {
 public:
  Errands();
  ~Errands();
  void add(std::function<void()> call);  // any thread

 private:
  void run();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> calls_;  // guarded by mutex_
  bool closed_ = false;                      // guarded by mutex_
  std::thread thread_;
};

}  // namespace gnnflow
