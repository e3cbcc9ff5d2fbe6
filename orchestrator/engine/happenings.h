// The engine's one queue: whatever happens elsewhere arrives here as a function that the engine's thread
// calls.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>

#include "common/base/clock.h"

namespace gnnflow {

// Any thread posts, the engine's thread takes. It is not bounded: daemons bound what their jobs say, and a
// full queue would stop the thread that has to empty it.
class Happenings {
 public:
  using Happening = std::function<void()>;

  void post(Happening happening) {
    std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(happening));
    filled_.notify_one();
  }

  // All that wait, in order; none when `wait` is over.
  std::deque<Happening> take(Milliseconds wait) {
    std::unique_lock lock(mutex_);
    filled_.wait_for(lock, wait, [&] { return !waiting_.empty(); });
    return std::exchange(waiting_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<Happening> waiting_;  // guarded by mutex_
};

}  // namespace gnnflow
