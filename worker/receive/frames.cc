// Reading and writing descriptors that the other side may have closed.
#include "worker/receive/frames.h"

#include <cerrno>
#include <cstdlib>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

namespace gnnflow {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr Milliseconds kTick{2000};

Error gone(std::string message) { return {Cause::unreachable, std::move(message)}; }

}  // namespace

Message refusal(const Error& error) {
  return message_of("reply", {{"ok", false}, {"cause", name_of(error.cause)}, {"message", error.message}});
}

Frames::Frames(int in, int out) : in_(in), out_(out), buffer_(kReadBytes, '\0') {
  // So that a peer who does not read cannot hold a write for ever. (A terminal is shared with the shell.)
  if (!::isatty(out)) ::fcntl(out, F_SETFL, ::fcntl(out, F_GETFL) | O_NONBLOCK);
  ::fcntl(in, F_SETPIPE_SZ, 1 << 20);  // refused where it is none
}

Result<std::optional<Message>> Frames::receive(Milliseconds silence) {
  Deadline deadline = Deadline::after(silence);
  while (true) {
    TRY(std::optional<Message> message, decoder_.next());
    if (message) return message;
    pollfd waiting{in_, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, deadline.poll_timeout());
    if (ready == 0 && deadline.passed()) return gone(fmt::format("nothing came for {} ms", silence.count()));
    if (ready <= 0) continue;
    const ssize_t got = ::read(in_, buffer_.data(), buffer_.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return gone(fmt::format("reading: {}", strerrordesc_np(errno)));
    if (got == 0 && decoder_.empty()) return std::optional<Message>();
    if (got == 0) return gone("the other end went away in the middle of a message");
    decoder_.feed({buffer_.data(), static_cast<size_t>(got)});
    deadline = Deadline::after(silence);
  }
}

Status Frames::send_all(std::string_view bytes) {
  Deadline deadline = Deadline::after(kUnread);
  while (!bytes.empty()) {
    const ssize_t sent = ::write(out_, bytes.data(), bytes.size());
    if (sent > 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
      deadline = Deadline::after(kUnread);
      continue;
    }
    if (sent < 0 && errno != EINTR && errno != EAGAIN)
      return gone(fmt::format("writing: {}", strerrordesc_np(errno)));
    if (deadline.passed()) return gone("the other end does not read");
    pollfd waiting{out_, POLLOUT, 0};
    ::poll(&waiting, 1, deadline.poll_timeout());
  }
  return {};
}

Status Frames::send(const Message& message) {
  std::lock_guard lock(sending_);
  TRY(send_all(encode_head(message)));
  return send_all(message.body);
}

Ticker::Ticker(Frames& frames) : frames_(frames), thread_([this] { run(); }) {}

Ticker::~Ticker() {
  std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

void Ticker::set_waits(std::string text) {
  std::lock_guard lock(mutex_);
  waits_ = std::move(text);
}

void Ticker::run() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kTick, [this] { return ended_; })) {
    Message message = message_of("working");
    if (!waits_.empty()) message.head["waits"] = waits_;
    if (!frames_.send(message)) std::_Exit(exit_code(Cause::unreachable));
  }
}

}  // namespace gnnflow
