// The hosts of a run.
#include "orchestrator/engine/host_pool.h"

#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "common/wire/message_of.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kStartLimit{20'000};
constexpr Milliseconds kConnectLimit{15'000};
constexpr Milliseconds kReachLimit{30'000};  // a daemon that is just ending gives way to a new one
constexpr Milliseconds kReachAgain{100};
constexpr Milliseconds kLook{5}, kLookSlowly{200};
// A daemon answers at once: none for about 15 s means that it is frozen, or that nothing comes through.
constexpr Milliseconds kBeatEvery{2'000};
constexpr int kMostUnanswered = 8;
// Of a host whose daemon answers: its files are out of reach for another reason than the way there.
constexpr Milliseconds kFilesLimit{60'000};

bool is_stop(Cause cause) {
  return cause == Cause::stopped || cause == Cause::interrupted || cause == Cause::terminated ||
         cause == Cause::hung_up;
}

// True when it has gone.
bool say_goodbye(DaemonLink& link, Host& host, Deadline deadline) {
  if (auto answer = link.order(message_of("goodbye"), deadline); !answer) {
    log_warning("goodbye to host {}: {}; its lease ends it", host.name(), answer.error().message);
    return false;
  }
  // Its lock is free when it has gone, not when it has answered.
  Milliseconds pause = kLook;
  while (!deadline.passed()) {
    if (Result<bool> alive = host.daemon_alive(); alive && !*alive) return true;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, kLookSlowly);
  }
  return false;
}

}  // namespace

HostThread::~HostThread() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
    jobs_.clear();
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void HostThread::call(std::function<void()> job) {
  std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
  if (!thread_.joinable()) thread_ = std::thread([this] { loop(); });
  changed_.notify_one();
}

void HostThread::loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return ending_ || !jobs_.empty(); });
    if (ending_) return;
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    lock.lock();
  }
}

struct HostPool::Entry {
  std::unique_ptr<Host> host;
  std::shared_ptr<DaemonLink> link;
  Json greeting;
  HostRow row;                                  // as it was told last
  bool reaching = false, out_of_reach = false;  // since the last try
  bool was_up = false;                          // before it
  bool contact = false;                         // its files were reached in this run
  int generation = 0;                           // of the link: news of an older one is not news
  int unanswered = 0;                           // beats since the last answer
  Monotonic next_beat;
  int64_t last_seen = 0;           // unix milliseconds
  std::optional<Monotonic> heard;  // the same moment
  std::vector<std::function<void(Status)>> waiting;
  HostThread thread;  // last: ends before what its jobs use
};

struct HostPool::Pending {
  std::string host;
  Monotonic until;
  bool answered = false;
  std::function<void(Result<Message>)> then;
};

HostPool::HostPool(std::vector<std::unique_ptr<Host>> hosts, DaemonGreeting greeting, Happenings& happenings,
                   const Clock& clock, const StopSignal& stop)
    : greeting_(std::move(greeting)), happenings_(happenings), clock_(clock), stop_(stop) {
  for (auto& host : hosts) {
    const std::string name = host->name();
    auto entry = std::make_unique<Entry>();
    entry->host = std::move(host);
    entry->row.name = name;
    entry->row.state = HostState::gone;
    entries_.emplace(name, std::move(entry));
  }
}

HostPool::~HostPool() { ending_ = true; }

void HostPool::listen(EventSink events, ClosedSink closed, StateSink states) {
  events_ = std::move(events);
  closed_ = std::move(closed);
  states_ = std::move(states);
}

void HostPool::remember(const std::vector<HostRow>& rows) {
  for (const HostRow& row : rows) {
    if (knows(row.name)) entries_.at(row.name)->row = row;
  }
}

std::set<std::string> HostPool::stored_up() const {
  std::set<std::string> hosts;
  for (const auto& [name, entry] : entries_) {
    if (entry->row.state != HostState::gone && !entry->out_of_reach) hosts.insert(name);
  }
  return hosts;
}

bool HostPool::may_come_back(const std::string& host) const {
  const auto heard = knows(host) ? entries_.at(host)->heard : std::nullopt;
  return heard && clock_.now() - *heard < lost_after();
}

void HostPool::hear(Entry& entry) const {
  entry.last_seen = clock_.unix_milliseconds();
  entry.heard = clock_.now();
}

Milliseconds HostPool::lost_after() const {
  const auto length = greeting_.lease + greeting_.grace;
  return length + length / 10;
}

void HostPool::give_up() {
  given_up_ = true;
  for (Later& later : std::exchange(later_, {})) later.never();
}

void HostPool::note_contact(const std::string& host) { entries_.at(host)->contact = true; }

// Past `lost_after` nothing can be there any more that would make it worth the wait.
bool HostPool::worth_waiting(const std::string& host, Monotonic began) const {
  const Entry& entry = *entries_.at(host);
  if (given_up_ || (!entry.heard && !entry.contact)) return false;
  return clock_.now() - began < (entry.link ? std::min(kFilesLimit, lost_after()) : lost_after());
}

Status HostPool::set_state(const std::string& host, HostState state) {
  Entry& entry = *entries_.at(host);
  HostRow row = entry.row;
  row.state = state;
  row.root = entry.host->root();
  if (state != HostState::gone) row.boot = state == HostState::up ? entry.greeting.text_or("boot", "") : "";
  row.pid = state == HostState::up ? static_cast<int>(entry.greeting.integer_or("pid", 0)) : 0;
  row.last_seen_ms = std::max(row.last_seen_ms, entry.last_seen);
  const bool same = row.state == entry.row.state && row.root == entry.row.root && row.pid == entry.row.pid &&
                    row.boot == entry.row.boot;
  if (!same && states_) TRY(states_(row));
  entry.row = row;
  return {};
}

void HostPool::ask_lock(const std::string& host, std::function<void(Result<bool>)> then) {
  call(host, [this, then = std::move(then)](Host& at) {
    auto alive = std::make_shared<Result<bool>>(at.daemon_alive());
    happenings_.post([alive, then] { then(std::move(*alive)); });
  });
}

fs::path HostPool::root(const std::string& host) const { return entries_.at(host)->host->root(); }
std::string HostPool::preparation(const std::string& host) const {
  return entries_.at(host)->host->preparation();
}
bool HostPool::reached(const std::string& host) const {
  return knows(host) && entries_.at(host)->link != nullptr;
}
const Json& HostPool::greeting(const std::string& host) const { return entries_.at(host)->greeting; }
int64_t HostPool::last_seen(const std::string& host) const { return entries_.at(host)->last_seen; }
std::optional<Monotonic> HostPool::last_heard(const std::string& host) const {
  return entries_.at(host)->heard;
}

void HostPool::call(const std::string& host, std::function<void(Host&)> job) {
  Entry& entry = *entries_.at(host);
  entry.thread.call([at = entry.host.get(), job = std::move(job)] { job(*at); });
}

void HostPool::reach(const std::string& host, std::function<void(Status)> then) {
  if (!knows(host)) return then(Error{Cause::not_found, "host " + host + " is not in the workflow"});
  Entry& entry = *entries_.at(host);
  if (entry.link) return then(Status());
  entry.waiting.push_back(std::move(then));
  if (std::exchange(entry.reaching, true)) return;
  // One that was up keeps its row: what is stored of it still says where to look.
  Status kept;
  entry.was_up = entry.row.state == HostState::up;
  if (!entry.was_up || entry.row.root != entry.host->root()) kept = set_state(host, HostState::intent);
  const int generation = ++entry.generation;
  if (!kept) {
    return happenings_.post(
        [this, host, generation, error = kept.error()] { connected(host, generation, error); });
  }
  const bool to_begin = !winding_up_ && !entry.was_up;
  call(host, [this, host, generation, to_begin](Host& at) {
    const Deadline deadline = Deadline::after(kReachLimit);
    auto link = std::make_shared<Result<std::shared_ptr<DaemonLink>>>(open(at, generation, to_begin));
    while (!*link && link->error().cause == Cause::temporary && !deadline.passed() && !ending_) {
      std::this_thread::sleep_for(kReachAgain);
      *link = open(at, generation, to_begin);
    }
    happenings_.post([this, host, generation, link] { connected(host, generation, std::move(*link)); });
  });
}

// A daemon that was wanted for what was to begin is not started when the run ends before its turn has come: a
// host takes whoever calls then for somebody who cleans up.
Result<std::shared_ptr<DaemonLink>> HostPool::open(Host& host, int generation, bool to_begin) {
  if (to_begin && stop_.raised()) return Error{stop_.cause(), "stopped before it was started"};
  if (to_begin && winding_up_) return Error{Cause::stopped, "the run ends"};
  TRY(host.start_daemon(greeting_.lease, greeting_.grace, Deadline::after(kStartLimit)));
  auto sink = [this, generation](const std::string& name, Message event) {
    happenings_.post(
        [this, name, generation, event = std::move(event)] { received(name, generation, event); });
  };
  TRY(auto link, DaemonLink::open(host, greeting_, sink, Deadline::after(kConnectLimit)));
  return std::shared_ptr<DaemonLink>(std::move(link));
}

void HostPool::connected(const std::string& host, int generation, Result<std::shared_ptr<DaemonLink>> link) {
  Entry& entry = *entries_.at(host);
  if (generation != entry.generation) return;
  entry.reaching = false;
  // Of one that was up before, a try that the stop signal has ended says nothing: it is looked for at the
  // end.
  entry.out_of_reach = !link && !(entry.was_up && is_stop(link.error().cause));
  Status status;
  if (link) {
    entry.link = std::move(link).value();
    entry.greeting = entry.link->greeting();
    hear(entry);
    entry.unanswered = 0;
    entry.next_beat = clock_.now() + kBeatEvery;
    (void)set_state(host, HostState::up);  // the daemon is there: whoever keeps it knows that it could not
  } else {
    status = Status(std::move(link).error().within("daemon of host " + host));
  }
  for (auto& then : std::exchange(entry.waiting, {})) then(status);
}

void HostPool::received(const std::string& host, int generation, const Message& event) {
  Entry& entry = *entries_.at(host);
  if (generation != entry.generation) return;
  if (event.type() == "closed") return drop(host, event.head.text_or("message", "the connection ended"));
  hear(entry);
  entry.unanswered = 0;
  if (events_) events_(host, event);
}

void HostPool::drop(const std::string& host, const std::string& why) {
  Entry& entry = *entries_.at(host);
  if (!entry.link) return;
  ++entry.generation;
  entry.link.reset();
  if (closed_) closed_(host, why);
}

void HostPool::order(const std::string& host, Message order, Milliseconds limit,
                     std::function<void(Result<Message>)> then) {
  if (!reached(host)) {
    happenings_.post([host, then] {
      then(Error{Cause::unreachable, "the daemon of host " + host + " is not connected"});
    });
    return;
  }
  auto pending = std::make_shared<Pending>(Pending{host, clock_.now() + limit, false, std::move(then)});
  pending_.push_back(pending);
  entries_.at(host)->link->order_later(std::move(order), [this, pending](Result<Message> answer) {
    auto kept = std::make_shared<Result<Message>>(std::move(answer));
    happenings_.post([this, pending, kept] {
      if (std::exchange(pending->answered, true)) return;
      if (*kept) hear(*entries_.at(pending->host));
      pending->then(std::move(*kept));
    });
  });
}

// The link beats by itself, which renews the lease; only an answer says that somebody hears it.
void HostPool::beat(const std::string& host) {
  Entry& entry = *entries_.at(host);
  if (!entry.link || clock_.now() < entry.next_beat) return;
  if (entry.unanswered >= kMostUnanswered) return drop(host, "its daemon gives no answer");
  entry.next_beat = clock_.now() + kBeatEvery;
  ++entry.unanswered;
  entry.link->order_later(message_of("beat", {{"answer", true}, {"lease_ms", greeting_.lease.count()}}),
                          [this, &entry, generation = entry.generation](Result<Message> answer) {
                            if (!answer) return;
                            happenings_.post([this, &entry, generation] {
                              if (generation != entry.generation) return;
                              entry.unanswered = 0;
                              hear(entry);
                            });
                          });
}

void HostPool::tick() {
  std::erase_if(pending_, [](const auto& pending) { return pending->answered; });
  const auto now = clock_.now();
  for (Later& later : std::exchange(later_, {})) {
    if (now < later.at) {
      later_.push_back(std::move(later));
    } else {
      later.again();
    }
  }
  for (const auto& [name, entry] : entries_) beat(name);
  for (const auto& pending : std::vector(pending_)) {
    if (pending->answered || now < pending->until) continue;
    pending->answered = true;
    drop(pending->host, "no answer in time");
    pending->then(
        Error{Cause::unreachable, "the daemon of host " + pending->host + " gave no answer in time"});
  }
}

bool HostPool::reaching() const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [](const auto& entry) { return entry.second->reaching; });
}

void HostPool::goodbye(const std::set<std::string>& leftover, Milliseconds limit) {
  struct Farewell {
    std::mutex mutex;
    std::condition_variable changed;
    int open = 0;                // guarded by mutex
    std::set<std::string> gone;  // guarded by mutex
  };
  ending_ = true;
  auto farewell = std::make_shared<Farewell>();
  const Deadline deadline = Deadline::after(limit);
  for (auto& [name, entry] : entries_) {
    if (!entry->link && leftover.count(name) == 0) continue;
    const int generation = ++entry->generation;  // its closing is no news any more
    {
      std::lock_guard lock(farewell->mutex);
      ++farewell->open;
    }
    entry->thread.call(
        [this, farewell, deadline, generation, link = entry->link, host = entry->host.get()]() mutable {
          Result<bool> alive = link ? true : host->daemon_alive();
          if (!link && alive && *alive) link = open(*host, generation, false).value_or(nullptr);
          const bool gone = link ? say_goodbye(*link, *host, deadline) : alive && !*alive;
          std::lock_guard lock(farewell->mutex);
          if (gone) farewell->gone.insert(host->name());
          --farewell->open;
          farewell->changed.notify_all();
        });
  }
  std::unique_lock lock(farewell->mutex);
  farewell->changed.wait_for(lock, limit + kLook, [&] { return farewell->open == 0; });
  const std::set<std::string> gone = farewell->gone;
  lock.unlock();
  for (auto& [name, entry] : entries_) {
    entry->link.reset();
    if (gone.count(name) != 0) (void)set_state(name, HostState::gone);
  }
}

}  // namespace gnnflow
