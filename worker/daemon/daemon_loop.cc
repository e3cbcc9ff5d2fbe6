// One poll over everything. Nothing in it waits: what takes long is an errand, what is sent is buffered.
#include "worker/daemon/daemon_loop.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "common/base/child_process.h"
#include "common/base/log.h"
#include "common/base/stop_signal.h"
#include "worker/daemon/beats.h"
#include "worker/daemon/channel.h"
#include "worker/daemon/errands.h"
#include "worker/daemon/jobs.h"
#include "worker/daemon/orders.h"
#include "worker/daemon/probe.h"
#include "worker/daemon/stored_files.h"

namespace gnnflow {
namespace {

constexpr ChannelLimits kControllerLimits{256u << 20, Milliseconds(60'000)};
constexpr size_t kMostConnections = 16;
constexpr Milliseconds kUntilHello{10'000};
constexpr Milliseconds kAcceptRest{500};  // when no connection can be taken
constexpr Milliseconds kLookAtLog{1'000};
constexpr Milliseconds kAfterKill{5'000};  // for processes that a kill does not end at once
constexpr Milliseconds kLastWords{1'000};  // for the answer to goodbye to be read
constexpr int64_t kProtocolVersion = 1;

struct Connection {
  std::shared_ptr<Channel> channel;
  Monotonic since;
  int64_t number = 0;  // in the order in which they came
  bool ended = false;
};
using ConnectionPointer = std::shared_ptr<Connection>;

class DaemonLoop {
 public:
  explicit DaemonLoop(DaemonStart start);
  int run();

 private:
  struct Goodbye {
    ConnectionPointer from;
    int64_t id = 0;
    bool forget = false;
  };

  void poll_once();
  int poll_timeout() const;
  void accept_one();
  void make_room();
  void read_from(const ConnectionPointer& connection);
  void closed(const ConnectionPointer& connection);
  void drop_silent();
  void handle(const ConnectionPointer& connection, const Message& order);
  Result<Message> hello(const ConnectionPointer& connection, const Message& order);
  Status check_turn(const ConnectionPointer& connection, const Message& order) const;
  Status check_epoch(const Message& order);
  Message greeting() const;
  void tell(const Message& event);
  void begin_ending(std::string_view reason);
  void look_at_log();
  void leave();
  void say_last_words();

  const DaemonOptions& options_;
  const HostFolder& host_;
  Journal& journal_;
  FileDescriptor listener_;
  const fs::path socket_;
  const std::string leftovers_;

  StopSignal stop_;
  Milliseconds grace_;
  Lease lease_;
  Inbox inbox_;
  Beats beats_;
  Jobs jobs_;
  Probes probes_;
  Errands sweeps_;                // after jobs_: its calls use them
  std::optional<Orders> orders_;  // likewise
  std::vector<ConnectionPointer> connections_;
  ConnectionPointer controller_;  // the last that said hello
  int64_t last_number_ = 0;
  std::optional<Monotonic> rests_until_;  // no connection could be taken
  Monotonic log_seen_{};
  std::optional<Goodbye> goodbye_;
  std::optional<Monotonic> ends_by_;  // ending, and at the latest then
};

DaemonLoop::DaemonLoop(DaemonStart start)
    : options_(start.options),
      host_(start.host),
      journal_(start.journal),
      listener_(std::move(start.listener)),
      socket_(std::move(start.socket)),
      leftovers_(std::move(start.leftovers)),
      grace_(options_.grace),
      lease_(system_clock(), options_.lease, options_.distance),
      beats_(options_.lease, options_.grace),
      jobs_({host_, journal_, beats_, inbox_, sweeps_, [this](const Message& event) { tell(event); }}) {
  orders_.emplace(host_, jobs_, probes_, inbox_, grace_);
  lease_.connection_lost();  // there is none yet
}

int DaemonLoop::run() {
  stop_on_signals(stop_);
  while (!ends_by_ || !(jobs_.none_live() || system_clock().now() >= *ends_by_)) {
    poll_once();
    jobs_.do_what_is_due();
    probes_.do_what_is_due();
    drop_silent();
    look_at_log();
    if (ends_by_) continue;
    if (stop_.raised()) begin_ending("a signal");
    if (lease_.passed()) begin_ending("the end of the lease");
  }
  leave();
  return 0;
}

int DaemonLoop::poll_timeout() const {
  Milliseconds wait = std::min(jobs_.until_due(), ends_by_ ? Milliseconds(50) : lease_.left());
  bool strangers = connections_.size() > (controller_ ? 1u : 0u);
  if (strangers) wait = std::min(wait, kUntilHello);
  if (rests_until_) wait = std::min(wait, kAcceptRest);
  wait = std::min(wait, probes_.until_due());
  return static_cast<int>(std::min<int64_t>(wait.count(), INT_MAX));
}

void DaemonLoop::poll_once() {
  std::vector<Watch> watches;
  watches.push_back({inbox_.descriptor(), POLLIN, [this](short) { inbox_.run_all(); }});
  if (!ends_by_) watches.push_back({stop_.descriptor(), POLLIN, [](short) {}});
  const bool rests = rests_until_ && system_clock().now() < *rests_until_;
  if (listener_ && !rests) watches.push_back({listener_.get(), POLLIN, [this](short) { accept_one(); }});
  for (const ConnectionPointer& connection : connections_) {
    short events = POLLIN;
    if (connection->channel->wants_to_write()) events |= POLLOUT;
    watches.push_back({connection->channel->descriptor(), events, [this, connection](short ready) {
                         if (ready & POLLOUT) connection->channel->flush();
                         if (ready & ~POLLOUT) read_from(connection);
                       }});
  }
  jobs_.add_watches(watches);
  probes_.add_watches(watches);
  std::vector<pollfd> waits;
  for (const Watch& watch : watches) waits.push_back({watch.descriptor, watch.events, 0});
  int ready = ::poll(waits.data(), waits.size(), poll_timeout());
  for (size_t i = 0; ready > 0 && i < waits.size(); ++i) {
    if (waits[i].revents) watches[i].ready(waits[i].revents);
  }
}

// Out of descriptors, who waits at the door would wake the loop for ever: it rests, and says so once.
void DaemonLoop::accept_one() {
  if (!listener_) return;
  Result<FileDescriptor> socket = accept_unix(listener_.get());
  if (!socket) {
    if (!rests_until_) log_warning("{}", socket.error().message);
    rests_until_ = system_clock().now() + kAcceptRest;
    return;
  }
  rests_until_.reset();
  if (connections_.size() >= kMostConnections) make_room();
  auto channel = std::make_shared<Channel>(*std::move(socket), kControllerLimits, [this] { inbox_.wake(); });
  connections_.push_back(
      std::make_shared<Connection>(Connection{std::move(channel), system_clock().now(), ++last_number_}));
}

// Those that connect and say nothing keep nobody out: the oldest of them goes.
void DaemonLoop::make_room() {
  for (const ConnectionPointer& connection : connections_) {
    if (connection == controller_) continue;
    const ConnectionPointer oldest = connection;
    return closed(oldest);
  }
}

void DaemonLoop::read_from(const ConnectionPointer& connection) {
  if (connection->ended) return;
  Channel::Received received = connection->channel->receive();
  for (const Message& order : received.messages) {
    if (!connection->ended) handle(connection, order);
  }
  if (received.end) closed(connection);
}

void DaemonLoop::closed(const ConnectionPointer& connection) {
  if (connection->ended) return;
  connection->ended = true;
  connection->channel->shut_down();
  std::erase(connections_, connection);
  if (connection != controller_) return;
  controller_.reset();
  lease_.connection_lost();
}

// Those that connect and say nothing, and a controller that does not read.
void DaemonLoop::drop_silent() {
  Monotonic now = system_clock().now();
  std::vector<ConnectionPointer> all = connections_;
  for (const ConnectionPointer& connection : all) {
    connection->channel->check_progress(now);
    bool silent = connection != controller_ && now - connection->since >= kUntilHello;
    if (silent || connection->channel->cut_off()) closed(connection);
  }
}

Status DaemonLoop::check_epoch(const Message& order) {
  int64_t epoch = order.head.integer_or("epoch", 0);
  if (epoch >= journal_.epoch()) return {};
  return Error{Cause::locked,
               fmt::format("epoch {} is over: a controller with epoch {} has taken this host over", epoch,
                           journal_.epoch())};
}

void DaemonLoop::handle(const ConnectionPointer& connection, const Message& order) {
  std::string type = order.type();
  int64_t id = order.head.integer_or("id", 0);
  std::weak_ptr<Connection> from = connection;
  auto answer = [from, id](Result<Message> result) {
    ConnectionPointer to = from.lock();
    if (to) to->channel->send(result ? reply_to(id, *std::move(result)) : error_reply(id, result.error()));
  };
  if (Status checked = check_epoch(order); !checked) {
    if (type != "beat") answer(std::move(checked).error());
    return;
  }
  if (type == "hello") {
    Result<Message> greeted = hello(connection, order);
    bool good = bool(greeted);
    answer(std::move(greeted));
    if (!good) return;
    for (const Message& event : jobs_.kept_events()) connection->channel->send(event);
    return;
  }
  if (connection != controller_) {
    if (type != "beat") answer(Error{Cause::bad_data, fmt::format("{}: say hello first", type)});
    return;
  }
  if (type == "beat") {
    lease_.renew(Milliseconds(order.head.integer_or("lease_ms", lease_.length().count())));
    beats_.set(lease_.length(), grace_);
    // That a process holds the lock does not say that it is not frozen.
    if (order.head.boolean_or("answer", false)) answer(Message{Json(Json::Object{}), ""});
    return;
  }
  if (type == "goodbye" || type == "forget") {
    goodbye_ = Goodbye{connection, id, type == "forget"};
    begin_ending(type);
    return;
  }
  orders_->handle(order, answer);
}

Result<Message> DaemonLoop::hello(const ConnectionPointer& connection, const Message& order) {
  if (ends_by_) return Error{Cause::temporary, "this daemon is ending: start another"};
  std::string store = order.head.text_or("store", ""), host = order.head.text_or("host", "");
  if (store != options_.store || host != options_.host) {
    return Error{Cause::bad_state,
                 fmt::format("this daemon serves host {} of store {}, not host {} of store {}", options_.host,
                             options_.store, host, store)};
  }
  TRY(check_turn(connection, order));
  int64_t epoch = order.head.integer_or("epoch", 0);
  if (epoch > journal_.epoch()) TRY(journal_.set_epoch(epoch));
  if (controller_ && controller_ != connection) {
    ConnectionPointer old = controller_;
    closed(old);
  }
  controller_ = connection;
  grace_ = Milliseconds(std::max<int64_t>(0, order.head.integer_or("grace_ms", grace_.count())));
  lease_.renew(Milliseconds(order.head.integer_or("lease_ms", lease_.length().count())));
  beats_.set(lease_.length(), grace_);
  return greeting();
}

// The highest (epoch, connection) gives the orders. A connection that was cut off says its hello when what
// cut it off has passed: by then its controller has another one.
Status DaemonLoop::check_turn(const ConnectionPointer& connection, const Message& order) const {
  if (!controller_ || order.head.integer_or("epoch", 0) > journal_.epoch()) return {};
  if (connection->number >= controller_->number) return {};
  return Error{Cause::locked, "a later connection of this controller has taken this host over"};
}

Message DaemonLoop::greeting() const {
  Message message;
  Json& head = message.head;
  Result<ProcessIdentity> self = identity_of(::getpid());
  head["pid"] = ::getpid();
  head["start_time"] = self ? self->start_time : 0;
  head["boot"] = boot_id();
  head["root"] = host_.root.string();
  head["version"] = kProtocolVersion;
  head["cores"] = usable_cores();
  head["jobs"] = jobs_.list();
  head["leftovers"] = leftovers_;
  return message;
}

void DaemonLoop::tell(const Message& event) {
  if (controller_) controller_->channel->send(event);
}

void DaemonLoop::begin_ending(std::string_view reason) {
  if (ends_by_) return;
  log_info("ending: {}", reason);
  ends_by_ = system_clock().now() + grace_ + kAfterKill;
  jobs_.close();
  jobs_.cancel_all(grace_);
  // Nobody can come any more; a new daemon may be waiting for the lock.
  listener_.reset();
  ::unlink(socket_.c_str());
}

void DaemonLoop::look_at_log() {
  const Monotonic now = system_clock().now();
  if (now - log_seen_ < kLookAtLog) return;
  log_seen_ = now;
  cap_log(host_.daemon_log(), kDaemonLogLimits);
}

void DaemonLoop::leave() {
  orders_.reset();  // none is at work in tmp/ any more
  if (Status cleared = host_.clear_tmp(); !cleared) log_error("{}", cleared.error().message);
  std::error_code ignored;
  fs::remove(socket_.parent_path(), ignored);
  if (goodbye_) say_last_words();
}

void DaemonLoop::say_last_words() {
  Message reply{Json(Json::Object{}), ""};
  if (goodbye_->forget) {
    reply.head["left"] = Json(Json::Array{});
    for (const std::string& name : forget_everything(host_)) reply.head["left"].push_back(name);
  }
  Channel& channel = *goodbye_->from->channel;
  channel.send(reply_to(goodbye_->id, std::move(reply)));
  Deadline deadline = Deadline::after(kLastWords);
  while (channel.wants_to_write() && !deadline.passed()) {
    pollfd wait{channel.descriptor(), POLLOUT, 0};
    ::poll(&wait, 1, deadline.poll_timeout());
    channel.flush();
  }
}

}  // namespace

int run_daemon_loop(DaemonStart start) { return DaemonLoop(std::move(start)).run(); }

}  // namespace gnnflow
