// The job's end of its channel: one thread that reads, counts beats, and ends the process when its daemon is
// gone.
#include "common/wire/job_channel.h"

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kUntoldLease{600'000};
constexpr Milliseconds kUntoldGrace{10'000};
constexpr Milliseconds kProgressGap{200};
constexpr Milliseconds kLongestSend{30'000};
constexpr Milliseconds kLook{100};     // how often a wait looks whether a signal came
constexpr size_t kMostWaiting = 1024;  // messages of one type that nobody has asked for
constexpr int kEndedByDaemon = exit_code(Cause::terminated);

// Is descriptor 3 really a channel? By hand, or under another program, anything may lie there.
bool is_channel(int descriptor) {
  if (!std::getenv("GNNFLOW_TOKEN")) return false;
  int family = 0, type = 0;
  socklen_t size = sizeof family;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0 || family != AF_UNIX) return false;
  size = sizeof type;
  return ::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

Message message_of(std::string_view type, Json members) {
  if (!members.is_object()) {
    Json map;
    map["value"] = std::move(members);
    members = std::move(map);
  }
  members["type"] = type;
  return {std::move(members), ""};
}

Error no_daemon() { return {Cause::unreachable, "there is no daemon: this program was started by hand"}; }

}  // namespace

Result<Task> Task::read(const fs::path& file) {
  TRY(std::string text, read_file(file, kMaxHeadBytes));
  TRY(Json spec, Json::parse(text).within(file.string()));
  Task task{spec.text_or("token", ""), spec.text_or("kind", ""), spec, fs::path(spec.text_or("folder", ""))};
  for (std::string_view key : {"token", "kind", "folder"}) {
    if (spec.text_or(key, "").empty()) {
      return Error{Cause::bad_data, fmt::format("{}: '{}' is missing", file.string(), key)};
    }
  }
  if (!task.folder.is_absolute()) {
    return Error{Cause::bad_data, fmt::format("{}: 'folder' is '{}', not an absolute path", file.string(),
                                              task.folder.string())};
  }
  return task;
}

struct JobChannel::State {
  std::optional<MessageLink> link;  // none: detached
  std::function<void()> last_act;
  StopSignal stop;
  FileDescriptor wake;
  std::thread thread;

  std::mutex mutex;
  std::condition_variable changed;
  bool closing = false;                                                              // guarded by mutex
  std::map<std::string, std::deque<Message>, std::less<>> waiting;                   // guarded by mutex
  std::map<std::string, std::function<void(const Message&)>, std::less<>> handlers;  // guarded by mutex
  std::map<int64_t, std::optional<Message>> replies;  // guarded by mutex; asked for, by request
  int64_t requests = 0;                               // guarded by mutex

  std::mutex progress_mutex;
  std::optional<Progress> pending;   // guarded by progress_mutex
  std::optional<std::string> phase;  // guarded by progress_mutex; of the last one sent
  Monotonic progress_sent{};         // guarded by progress_mutex

  // Of the thread alone.
  Milliseconds lease = kUntoldLease, grace = kUntoldGrace;
  Monotonic last_beat = system_clock().now();
  std::optional<Monotonic> ends_at;

  void wake_up() const {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t written = ::write(wake.get(), &one, sizeof one);
  }

  void send(const Message& message);
  void send_progress(const Progress& progress);
  void flush_progress(bool due_only);
  Milliseconds until_next_act();
  [[noreturn]] void end_process(std::string_view reason);
  void take(Message message);
  void deliver();
  void run();
};

void JobChannel::State::send(const Message& message) {
  if (!link) return;
  // A failed send has shut the link down: the thread finds the end of file and ends the process.
  if (Status sent = link->send(message, Deadline::after(kLongestSend)); !sent) {
    log_warning("report '{}' was not sent: {}", message.type(), sent.error().message);
    if (sent.error().cause != Cause::bad_data) link->shut_down();
  }
}

// REQUIRES: progress_mutex is held, so that the order of reports is the order of calls.
void JobChannel::State::send_progress(const Progress& progress) {
  phase = progress.phase;
  progress_sent = system_clock().now();
  pending.reset();
  send(message_of("progress", progress.to_json()));
}

void JobChannel::State::flush_progress(bool due_only) {
  std::lock_guard lock(progress_mutex);
  if (!pending || (due_only && system_clock().now() - progress_sent < kProgressGap)) return;
  Progress last = *pending;
  send_progress(last);
}

Milliseconds JobChannel::State::until_next_act() {
  Monotonic now = system_clock().now(), at = last_beat + lease;
  if (ends_at) at = std::min(at, *ends_at);
  {
    std::lock_guard lock(progress_mutex);
    if (pending) at = std::min(at, progress_sent + kProgressGap);
  }
  return std::max(Milliseconds(0), std::chrono::ceil<Milliseconds>(at - now));
}

void JobChannel::State::end_process(std::string_view reason) {
  log_error("ending: {}", reason);
  if (last_act) last_act();
  // Without destructors: other threads are at work.
  std::_Exit(kEndedByDaemon);
}

void JobChannel::State::take(Message message) {
  std::string type = message.type();
  if (type == "beat") {
    last_beat = system_clock().now();
    lease = Milliseconds(std::max<int64_t>(1, message.head.integer_or("lease_ms", lease.count())));
    grace = Milliseconds(std::max<int64_t>(0, message.head.integer_or("grace_ms", grace.count())));
    return;
  }
  if (type == "cancel") {
    stop.raise(Cause::stopped);
    if (!ends_at) ends_at = system_clock().now() + grace;
    changed.notify_all();
    return;
  }
  std::lock_guard lock(mutex);
  if (type == "store_reply") {
    auto reply = replies.find(message.head.integer_or("request", -1));
    if (reply != replies.end()) reply->second = std::move(message);
  } else {
    std::deque<Message>& queue = waiting[type];
    if (queue.size() == kMostWaiting) queue.pop_front();
    queue.push_back(std::move(message));
  }
  changed.notify_all();
}

// Handlers run without the lock: they may report, and ask for handlers themselves.
void JobChannel::State::deliver() {
  while (true) {
    std::function<void(const Message&)> handler;
    std::optional<Message> message;
    {
      std::lock_guard lock(mutex);
      for (auto& [type, wanted] : handlers) {
        auto queue = waiting.find(type);
        if (queue == waiting.end() || queue->second.empty()) continue;
        handler = wanted;
        message = std::move(queue->second.front());
        queue->second.pop_front();
        break;
      }
    }
    if (!message) return;
    handler(*message);
  }
}

void JobChannel::State::run() {
  while (true) {
    pollfd waits[2] = {{link->descriptor(), POLLIN, 0}, {wake.get(), POLLIN, 0}};
    ::poll(waits, 2, Deadline::after(until_next_act()).poll_timeout());
    if (waits[1].revents) {
      uint64_t count;
      [[maybe_unused]] ssize_t got = ::read(wake.get(), &count, sizeof count);
      std::lock_guard lock(mutex);
      if (closing) return;
    }
    // All that has come counts before time does: this process may have been stopped for long.
    while (true) {
      Result<std::optional<Message>> message = link->receive(Deadline::after(Milliseconds(0)));
      if (!message) end_process("the daemon is gone: " + message.error().message);
      if (!*message) break;
      take(*std::move(*message));
    }
    deliver();
    flush_progress(true);
    Monotonic now = system_clock().now();
    if (ends_at && now >= *ends_at) end_process("cancelled, and the time of grace is over");
    if (now >= last_beat + lease) end_process(fmt::format("no beat of the daemon for {} ms", lease.count()));
  }
}

JobChannel::JobChannel(std::unique_ptr<State> state) : state_(std::move(state)) {}

std::unique_ptr<JobChannel> JobChannel::open(std::function<void()> last_act) {
  if (!is_channel(kChannelDescriptor)) return detached();
  ::fcntl(kChannelDescriptor, F_SETFD, FD_CLOEXEC);
  auto state = std::make_unique<State>();
  state->link.emplace(FileDescriptor(kChannelDescriptor));
  state->last_act = std::move(last_act);
  state->wake = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!state->wake) bug("no descriptor left for the channel's thread");
  state->thread = std::thread([raw = state.get()] { raw->run(); });
  return std::unique_ptr<JobChannel>(new JobChannel(std::move(state)));
}

std::unique_ptr<JobChannel> JobChannel::detached() {
  return std::unique_ptr<JobChannel>(new JobChannel(std::make_unique<State>()));
}

JobChannel::~JobChannel() {
  if (!state_->thread.joinable()) return;
  state_->flush_progress(false);
  {
    std::lock_guard lock(state_->mutex);
    state_->closing = true;
  }
  state_->wake_up();
  state_->thread.join();
}

StopSignal& JobChannel::stop() { return state_->stop; }

void JobChannel::report(const Message& message) { state_->send(message); }

void JobChannel::progress(const Progress& progress) {
  if (!state_->link) return;
  std::lock_guard lock(state_->progress_mutex);
  bool new_phase = state_->phase != progress.phase;
  if (state_->pending && state_->pending->phase != progress.phase) {
    Progress last = *state_->pending;
    state_->send_progress(last);
  }
  bool complete = progress.total > 0 && progress.done >= progress.total;
  bool due = system_clock().now() - state_->progress_sent >= kProgressGap;
  if (new_phase || complete || due) {
    state_->send_progress(progress);
    return;
  }
  bool first = !state_->pending;
  state_->pending = progress;
  if (first) state_->wake_up();  // so that the thread plans to send it
}

void JobChannel::metrics(Json metrics) { report(message_of("metrics", std::move(metrics))); }
void JobChannel::checkpoint(Json checkpoint) { report(message_of("checkpoint", std::move(checkpoint))); }
void JobChannel::result(Json result) { report(message_of("result", std::move(result))); }

Result<Message> JobChannel::wait_for(std::string_view type, Deadline deadline) {
  if (!state_->link) return no_daemon();
  std::unique_lock lock(state_->mutex);
  while (true) {
    auto queue = state_->waiting.find(type);
    if (queue != state_->waiting.end() && !queue->second.empty()) {
      Message message = std::move(queue->second.front());
      queue->second.pop_front();
      return message;
    }
    if (state_->stop.raised())
      return Error{state_->stop.cause(), fmt::format("stopped while waiting for '{}'", type)};
    if (deadline.passed()) {
      return Error{Cause::unreachable, fmt::format("'{}' did not come from the daemon in time", type)};
    }
    state_->changed.wait_for(lock, std::min(kLook, deadline.left()));
  }
}

void JobChannel::on(std::string_view type, std::function<void(const Message&)> handler) {
  if (!state_->link) return;
  {
    std::lock_guard lock(state_->mutex);
    state_->handlers[std::string(type)] = std::move(handler);
  }
  state_->wake_up();
}

Status JobChannel::store_set(std::string_view key, std::string_view value) {
  if (!state_->link) return no_daemon();
  Message message = message_of("store_set", Json(Json::Object{}));
  message.head["key"] = key;
  message.body = value;
  return state_->link->send(message, Deadline::after(kLongestSend));
}

Result<std::string> JobChannel::store_get(std::string_view key, Deadline deadline) {
  if (!state_->link) return no_daemon();
  Message ask = message_of("store_get", Json(Json::Object{}));
  std::unique_lock lock(state_->mutex);
  int64_t request = ++state_->requests;
  state_->replies[request];
  ask.head["request"] = request;
  ask.head["key"] = key;
  ask.head["timeout_ms"] = static_cast<int64_t>(deadline.left().count());
  lock.unlock();
  Status sent = state_->link->send(ask, Deadline::after(std::min(kLongestSend, deadline.left())));
  lock.lock();
  auto done = [&](Result<std::string> answer) {
    state_->replies.erase(request);
    return answer;
  };
  if (!sent) return done(std::move(sent).error());
  while (true) {
    if (std::optional<Message>& reply = state_->replies[request]) {
      if (reply->head.boolean_or("ok", false)) return done(std::move(reply->body));
      Cause cause = cause_named(reply->head.text_or("cause", "")).value_or(Cause::unreachable);
      return done(
          Error{cause, fmt::format("store: '{}': {}", key, reply->head.text_or("message", "no value"))});
    }
    if (state_->stop.raised())
      return done(Error{state_->stop.cause(), fmt::format("stopped while waiting for '{}'", key)});
    if (deadline.passed()) {
      return done(Error{Cause::unreachable, fmt::format("store: no peer has set '{}' in time", key)});
    }
    state_->changed.wait_for(lock, std::min(kLook, deadline.left()));
  }
}

int report_failure(JobChannel& channel, const Error& error) {
  Json failure;
  failure["cause"] = name_of(error.cause);
  failure["message"] = error.message;
  channel.report(message_of("failure", std::move(failure)));
  log_error("{}", error.message);
  return exit_code(error.cause);
}

}  // namespace gnnflow
