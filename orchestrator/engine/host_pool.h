// The hosts of a run: one thread each for calls that block, one daemon link each, started at the first use.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/result.h"
#include "common/wire/message.h"
#include "orchestrator/engine/happenings.h"
#include "orchestrator/remote/daemon_link.h"
#include "orchestrator/remote/host.h"

namespace gnnflow {

// One thread that calls what is given to it, in order. It starts with the first call.
class HostThread {
 public:
  ~HostThread();  // what was not begun is dropped
  void call(std::function<void()> job);

 private:
  void loop();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;  // guarded by mutex_
  bool ending_ = false;                     // guarded by mutex_
  std::thread thread_;
};

// Used from the engine's thread; every `then` is called on it, out of the queue.
class HostPool {
 public:
  using EventSink = std::function<void(const std::string& host, const Message& event)>;
  using ClosedSink = std::function<void(const std::string& host, const std::string& why)>;

  HostPool(std::vector<std::unique_ptr<Host>> hosts, DaemonGreeting greeting, Happenings& happenings,
           const Clock& clock);
  ~HostPool();
  void listen(EventSink events, ClosedSink closed);

  bool knows(const std::string& host) const { return entries_.count(host) != 0; }
  fs::path root(const std::string& host) const;

  // Calls `job` on the host's own thread.
  template <typename T>
  void work(const std::string& host, std::function<T(Host&)> job, std::function<void(T)> then) {
    call(host, [this, job = std::move(job), then = std::move(then)](Host& at) {
      auto result = std::make_shared<T>(job(at));
      happenings_.post([result, then] { then(std::move(*result)); });
    });
  }

  void post(Happenings::Happening happening) { happenings_.post(std::move(happening)); }  // any thread

  // Starts the host's daemon unless one lives, connects and says hello. At once when that is done already.
  void reach(const std::string& host, std::function<void(Status)> then);
  bool reached(const std::string& host) const;
  bool reaching() const;  // any
  const Json& greeting(
      const std::string& host) const;  // the daemon's answer to hello; REQUIRES: reached once
  int64_t last_seen(
      const std::string& host) const;  // unix milliseconds of the last answer or event; 0: never

  // An answer that does not come before `limit` closes the link.
  void order(const std::string& host, Message order, Milliseconds limit,
             std::function<void(Result<Message>)> then);
  void tick();  // ends orders whose time is over

  // Tells every reached daemon that the run is over, all at once, and waits until they have ended; and those
  // of `leftover` hosts that an earlier controller has left behind.
  void goodbye(const std::set<std::string>& leftover, Milliseconds limit);

 private:
  struct Entry;
  struct Pending;
  void call(const std::string& host, std::function<void(Host&)> job);
  Result<std::shared_ptr<DaemonLink>> open(Host& host, int generation);  // on the host's thread
  void connected(const std::string& host, int generation, Result<std::shared_ptr<DaemonLink>> link);
  void received(const std::string& host, int generation, const Message& event);
  void drop(const std::string& host, const std::string& why);

  DaemonGreeting greeting_;
  Happenings& happenings_;
  const Clock& clock_;
  EventSink events_;
  ClosedSink closed_;
  std::vector<std::shared_ptr<Pending>> pending_;
  std::atomic<bool> ending_ = false;
  std::map<std::string, std::unique_ptr<Entry>> entries_;
};

}  // namespace gnnflow
