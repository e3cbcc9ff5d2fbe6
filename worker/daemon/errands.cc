// A queue of calls towards the loop, and one away from it.
#include "worker/daemon/errands.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/result.h"

namespace gnnflow {

Inbox::Inbox() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_) bug("no descriptor left for the daemon's inbox");
}

void Inbox::post(std::function<void()> call) {
  {
    std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
  }
  wake();
}

void Inbox::wake() {
  uint64_t one = 1;
  [[maybe_unused]] ssize_t written = ::write(event_.get(), &one, sizeof one);
}

void Inbox::run_all() {
  uint64_t count = 0;
  [[maybe_unused]] ssize_t got = ::read(event_.get(), &count, sizeof count);
  std::deque<std::function<void()>> calls;
  {
    std::lock_guard lock(mutex_);
    calls.swap(calls_);
  }
  for (auto& call : calls) call();
}

Errands::Errands() : thread_([this] { run(); }) {}

Errands::~Errands() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    calls_.clear();
  }
  changed_.notify_all();
  thread_.join();
}

void Errands::add(std::function<void()> call) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  calls_.push_back(std::move(call));
  changed_.notify_one();
}

void Errands::run() {
  while (true) {
    std::function<void()> call;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return closed_ || !calls_.empty(); });
      if (closed_) return;
      call = std::move(calls_.front());
      calls_.pop_front();
    }
    call();
  }
}

}  // namespace gnnflow
