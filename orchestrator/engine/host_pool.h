// The hosts of a run: one thread each for calls that block, one daemon link each, started at the first use.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "common/wire/message.h"
#include "orchestrator/engine/happenings.h"
#include "orchestrator/remote/daemon_link.h"
#include "orchestrator/remote/host.h"
#include "orchestrator/store/run_rows.h"

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
  // `intent` comes before anything is started there: whoever keeps it has done so when this returns, and
  // nothing is started when it cannot be kept.
  using StateSink = std::function<Status(const HostRow& row)>;

  HostPool(std::vector<std::unique_ptr<Host>> hosts, DaemonGreeting greeting, Happenings& happenings,
           const Clock& clock, const StopSignal& stop);
  ~HostPool();
  void listen(EventSink events, ClosedSink closed, StateSink states);
  void remember(const std::vector<HostRow>& rows);  // what earlier runs have stored of them
  std::set<std::string> stored_up() const;  // where one was wanted and has not gone, unless out of reach

  bool knows(const std::string& host) const { return entries_.count(host) != 0; }
  fs::path root(const std::string& host) const;
  std::string preparation(const std::string& host) const;  // see Host

  // Calls `job` on the host's own thread. A host that was in reach before and is not any more is tried again
  // until it is, or until what ran there is lost: `job` goes on from where it was.
  template <typename T>
  void work(const std::string& host, std::function<T(Host&)> job, std::function<void(T)> then) {
    work_since(host, std::move(job), std::move(then), clock_.now(), kFirstPause);
  }
  void give_up();  // nothing is tried again from now on: the run ends
  // From now on hosts are reached to clean up there, and no longer for what was to begin.
  void wind_up() { winding_up_ = true; }

  void post(Happenings::Happening happening) { happenings_.post(std::move(happening)); }  // any thread

  // Starts the host's daemon unless one lives, connects and says hello. At once when that is done already.
  void reach(const std::string& host, std::function<void(Status)> then);
  bool reached(const std::string& host) const;
  bool reaching() const;  // any
  const Json& greeting(
      const std::string& host) const;  // the daemon's answer to hello; REQUIRES: reached once
  // The last answer or event: for the store as unix milliseconds (0: never), and by the clock of leases.
  int64_t last_seen(const std::string& host) const;
  std::optional<Monotonic> last_heard(const std::string& host) const;

  // An answer that does not come before `limit` closes the link.
  void order(const std::string& host, Message order, Milliseconds limit,
             std::function<void(Result<Message>)> then);
  // Ends orders whose time is over, does again what is due, asks every daemon for a sign of life.
  void tick();
  // How long after its last answer nothing that ran there can still run.
  Milliseconds lost_after() const;
  // It was reached in this run, and not so long ago that what runs there is lost.
  bool may_come_back(const std::string& host) const;
  static constexpr Milliseconds kFirstPause{100}, kLongestPause{5'000};  // between tries to reach it again

  // Does a daemon hold its lock? On the host's thread; an error when the host cannot be asked.
  void ask_lock(const std::string& host, std::function<void(Result<bool>)> then);

  // Tells every reached daemon that the run is over, all at once, and waits until they have ended; and those
  // of `leftover` hosts that an earlier controller has left behind.
  void goodbye(const std::set<std::string>& leftover, Milliseconds limit);

 private:
  struct Entry;
  struct Pending;
  struct Later {
    std::string host;
    Monotonic at;
    std::function<void()> again, never;
  };
  void call(const std::string& host, std::function<void(Host&)> job);
  template <typename T>
  void work_since(const std::string& host, std::function<T(Host&)> job, std::function<void(T)> then,
                  Monotonic began, Milliseconds pause) {
    call(host, [=, this](Host& at) {
      auto result = std::make_shared<T>(job(at));
      happenings_.post([=, this] {
        const auto tell = [result, then] { then(std::move(*result)); };
        const bool answered = *result || result->error().cause != Cause::unreachable;
        if (answered) note_contact(host);
        if (answered || !worth_waiting(host, began)) return tell();
        later_.push_back(
            {host, clock_.now() + pause,
             [=, this] { work_since<T>(host, job, then, began, std::min(pause * 2, kLongestPause)); }, tell});
      });
    });
  }
  void note_contact(const std::string& host);
  void hear(Entry& entry) const;
  bool worth_waiting(const std::string& host, Monotonic began) const;
  void beat(const std::string& host);
  Status set_state(const std::string& host, HostState state);
  // On the host's thread.
  Result<std::shared_ptr<DaemonLink>> open(Host& host, int generation, bool to_begin);
  void connected(const std::string& host, int generation, Result<std::shared_ptr<DaemonLink>> link);
  void received(const std::string& host, int generation, const Message& event);
  void drop(const std::string& host, const std::string& why);

  DaemonGreeting greeting_;
  Happenings& happenings_;
  const Clock& clock_;
  const StopSignal& stop_;
  EventSink events_;
  ClosedSink closed_;
  StateSink states_;
  std::vector<std::shared_ptr<Pending>> pending_;
  std::vector<Later> later_;
  bool given_up_ = false;
  std::atomic<bool> winding_up_ = false, ending_ = false;
  std::map<std::string, std::unique_ptr<Entry>> entries_;
};

}  // namespace gnnflow
