// One thread receives, one sends beats and orders: whoever orders never waits for a daemon that does not
// read.
#include "orchestrator/remote/daemon_link.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "common/wire/message_of.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kBeatEvery{2000};
constexpr Milliseconds kSendLimit{10'000};
constexpr int kHelloTries = 3;
constexpr size_t kMostWaiting = 32 << 20;  // bytes of orders that a daemon has not read

using Done = std::function<void(Result<Message>)>;

// What it takes on the way, or a little less.
size_t bytes_of(const Message& order) { return encode_head(order).size() + order.body.size(); }

Result<Message> outcome(Message reply, const std::string& host) {
  if (reply.head.boolean_or("ok", false)) return reply;
  const Cause cause = cause_named(reply.head.text_or("cause", "")).value_or(Cause::failed);
  return Error{cause,
               fmt::format("host {}: {}", host, reply.head.text_or("message", "refused without a reason"))};
}

}  // namespace

// Shared with its threads, so that the link may also be let go of on one of them.
struct DaemonLink::State : std::enable_shared_from_this<DaemonLink::State> {
  State(std::string name, DaemonGreeting said, MessageLink connected, Sink told)
      : host(std::move(name)), greeting(std::move(said)), link(std::move(connected)), sink(std::move(told)) {}

  const std::string host;
  const DaemonGreeting greeting;
  MessageLink link;
  const Sink sink;
  Json answer;  // to hello; written before open() returns
  std::mutex mutex;
  std::condition_variable changed;
  int64_t next_id = 1;              // guarded by mutex
  std::map<int64_t, Done> waiting;  // guarded by mutex
  struct Outgoing {
    int64_t id;
    size_t bytes;
    Message order;
  };
  std::deque<Outgoing> outbox;  // guarded by mutex
  size_t outbox_bytes = 0;      // guarded by mutex
  bool opened = false;          // guarded by mutex: the caller has the link, so its end is news
  bool leaving = false;         // guarded by mutex: the caller lets go of it, so its end is no news
  bool closed = false;          // guarded by mutex
  std::string why;              // guarded by mutex
  std::thread receiver, sender;

  void start();
  void leave();
  void receive();
  void send();
  Message next_beat();
  void dispatch(Message message);
  void close(std::string reason);
  Error ended() const {
    return {Cause::unreachable, fmt::format("host {}: the connection to its daemon ended: {}", host, why)};
  }
  Done take(int64_t id);
  Message next_order();
  void drop(int64_t id);
  int64_t post(Message order, Done done);
  Result<Message> order(Message order, Deadline deadline);
  Status hello(Deadline deadline);
};

void DaemonLink::State::start() {
  receiver = std::thread([self = shared_from_this()] { self->receive(); });
  sender = std::thread([self = shared_from_this()] { self->send(); });
}

void DaemonLink::State::leave() {
  {
    std::lock_guard lock(mutex);
    leaving = true;
    changed.notify_all();
  }
  link.shut_down();
  for (std::thread* thread : {&receiver, &sender}) {
    // In a callback of ours: the thread ends by itself, and keeps what it needs alive until then.
    if (thread->get_id() == std::this_thread::get_id()) {
      thread->detach();
    } else if (thread->joinable()) {
      thread->join();
    }
  }
}

void DaemonLink::State::receive() {
  while (true) {
    Result<std::optional<Message>> message = link.receive(Deadline::never());
    if (!message) return close(message.error().message);
    if (*message) dispatch(std::move(**message));
  }
}

// REQUIRES: mutex is held.
Message DaemonLink::State::next_beat() {
  return message_of("beat",
                    {{"id", next_id++}, {"epoch", greeting.epoch}, {"lease_ms", greeting.lease.count()}});
}

// REQUIRES: mutex is held, and there is one.
Message DaemonLink::State::next_order() {
  Outgoing next = std::move(outbox.front());
  outbox.pop_front();
  outbox_bytes -= next.bytes;
  return std::move(next.order);
}

// An order that nobody waits for any more is not sent, unless it is on the way.
void DaemonLink::State::drop(int64_t id) {
  std::lock_guard lock(mutex);
  const auto found =
      std::find_if(outbox.begin(), outbox.end(), [&](const Outgoing& one) { return one.id == id; });
  if (found == outbox.end()) return;
  outbox_bytes -= found->bytes;
  outbox.erase(found);
}

void DaemonLink::State::send() {
  std::unique_lock lock(mutex);
  Monotonic beat_due = system_clock().now() + kBeatEvery;
  while (true) {
    changed.wait_until(lock, beat_due, [&] { return leaving || closed || !outbox.empty(); });
    if (leaving || closed) return;
    const bool beats = system_clock().now() >= beat_due;
    if (!beats && outbox.empty()) continue;
    Message message;
    if (beats) {
      beat_due = system_clock().now() + kBeatEvery;
      message = next_beat();
    } else {
      message = next_order();
    }
    lock.unlock();
    // A failure shuts the connection down, which the receiving thread sees; a message that is over the limit
    // does not.
    if (Status sent = link.send(message, Deadline::after(kSendLimit)); !sent) {
      if (Done unsent = take(message.head.integer_or("id", 0)))
        unsent(std::move(sent).error().within("host " + host));
    }
    lock.lock();
  }
}

void DaemonLink::State::dispatch(Message message) {
  if (message.type() == "event") {
    std::unique_lock lock(mutex);
    if (leaving) return;
    lock.unlock();
    return sink(host, std::move(message));
  }
  if (message.type() != "reply") return;
  // An answer that nobody waits for any more is dropped.
  if (Done done = take(message.head.integer_or("to", 0))) done(outcome(std::move(message), host));
}

void DaemonLink::State::close(std::string reason) {
  std::unique_lock lock(mutex);
  closed = true;
  why = std::move(reason);
  std::map<int64_t, Done> unanswered = std::exchange(waiting, {});
  const bool news = opened && !leaving;
  changed.notify_all();
  lock.unlock();
  link.shut_down();
  for (auto& [id, done] : unanswered) done(ended());
  if (!news) return;
  sink(host, message_of("closed", {{"message", ended().message}}));
}

Done DaemonLink::State::take(int64_t id) {
  std::lock_guard lock(mutex);
  auto found = waiting.find(id);
  if (found == waiting.end()) return {};
  Done done = std::move(found->second);
  waiting.erase(found);
  return done;
}

int64_t DaemonLink::State::post(Message order, Done done) {
  std::unique_lock lock(mutex);
  const int64_t id = next_id++;
  if (closed) {
    lock.unlock();
    done(ended());
    return id;
  }
  if (outbox_bytes >= kMostWaiting) {
    lock.unlock();
    done(
        Error{Cause::unreachable, fmt::format("host {}: its daemon does not read what it is ordered", host)});
    return id;
  }
  waiting.emplace(id, std::move(done));
  order.head["id"] = id;
  order.head["epoch"] = greeting.epoch;
  const size_t bytes = bytes_of(order);
  outbox.push_back({id, bytes, std::move(order)});
  outbox_bytes += bytes;
  changed.notify_all();
  return id;
}

Result<Message> DaemonLink::State::order(Message order, Deadline deadline) {
  auto answered = std::make_shared<std::promise<Result<Message>>>();
  std::future<Result<Message>> future = answered->get_future();
  const std::string type = order.type();
  const int64_t id =
      post(std::move(order), [answered](Result<Message> reply) { answered->set_value(std::move(reply)); });
  if (deadline.poll_timeout() < 0) return future.get();
  if (future.wait_for(deadline.left()) == std::future_status::timeout && take(id)) {
    drop(id);
    return Error{Cause::unreachable,
                 fmt::format("host {}: its daemon gave no answer to '{}' in time", host, type)};
  }
  return future.get();
}

Status DaemonLink::State::hello(Deadline deadline) {
  Message message = message_of("hello", {{"store", greeting.store},
                                         {"host", host},
                                         {"lease_ms", greeting.lease.count()},
                                         {"grace_ms", greeting.grace.count()}});
  TRY(Message reply, order(std::move(message), deadline));
  answer = std::move(reply.head);
  std::lock_guard lock(mutex);
  if (closed) return ended();
  opened = true;
  return {};
}

DaemonLink::DaemonLink(std::shared_ptr<State> state) : state_(std::move(state)) {}

DaemonLink::~DaemonLink() { state_->leave(); }

Result<std::unique_ptr<DaemonLink>> DaemonLink::open(Host& host, const DaemonGreeting& greeting, Sink sink,
                                                     Deadline deadline) {
  for (int tries = 1;; ++tries) {
    TRY(MessageLink connected, host.connect(deadline));
    auto state = std::make_shared<State>(host.name(), greeting, std::move(connected), sink);
    state->start();
    std::unique_ptr<DaemonLink> link(new DaemonLink(state));
    Status greeted = state->hello(deadline);
    if (greeted) return link;
    // A daemon that was ending took the connection, and said so or was gone before it answered.
    // One that is there and silent has used up the deadline instead.
    const Cause cause = greeted.error().cause;
    const bool ending = cause == Cause::temporary || cause == Cause::unreachable;
    if (!ending || tries == kHelloTries || deadline.passed()) return std::move(greeted).error();
    TRY(host.start_daemon(greeting.lease, greeting.grace, deadline));
  }
}

const Json& DaemonLink::greeting() const { return state_->answer; }

Result<Message> DaemonLink::order(Message order, Deadline deadline) {
  return state_->order(std::move(order), deadline);
}

void DaemonLink::order_later(Message order, std::function<void(Result<Message>)> done) {
  const auto state = state_;  // `done` may let go of this link before we are through
  state->post(std::move(order), std::move(done));
}

}  // namespace gnnflow
