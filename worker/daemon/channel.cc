// Bounded, non-blocking sending; receiving what is there.
#include "worker/daemon/channel.h"

#include <cerrno>

#include <fmt/format.h>
#include <sys/socket.h>

namespace gnnflow {
namespace {

constexpr size_t kReadBytes = 1 << 16;
constexpr int kReadsAtOnce = 64;  // then the others of the loop have their turn

}  // namespace

Channel::Channel(FileDescriptor socket, ChannelLimits limits, std::function<void()> wake)
    : socket_(std::move(socket)), limits_(limits), wake_(std::move(wake)) {}

bool Channel::send(const Message& message) {
  std::string frame = encode(message);
  bool waits = false;
  {
    std::lock_guard lock(mutex_);
    if (closed()) return false;
    size_t waiting = out_.size() - sent_;
    if (waiting > 0 && waiting + frame.size() > limits_.waiting_bytes) {
      cut_off_ = true;
      ::shutdown(socket_.get(), SHUT_RDWR);
      return false;
    }
    if (waiting == 0) last_progress_ = system_clock().now();
    out_ += frame;
    write_out();
    waits = sent_ < out_.size();
    if (closed()) return false;
  }
  if (waits && wake_) wake_();
  return true;
}

// REQUIRES: mutex_ is held.
void Channel::write_out() {
  while (sent_ < out_.size()) {
    ssize_t sent =
        ::send(socket_.get(), out_.data() + sent_, out_.size() - sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK) hung_up_ = true;
      break;
    }
    sent_ += static_cast<size_t>(sent);
    last_progress_ = system_clock().now();
  }
  // Between a peer who reads slowly and one who writes steadily it may never run empty.
  if (sent_ <= out_.size() / 2) return;
  out_.erase(0, sent_);
  sent_ = 0;
}

Channel::Received Channel::receive() {
  Received received;
  char buffer[kReadBytes];
  received.more = true;
  for (int i = 0; i < kReadsAtOnce && !received.end; ++i) {
    ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      received.more = false;
      break;
    }
    if (got <= 0) {
      received.end = Error{Cause::unreachable, "the connection was closed"};
      break;
    }
    decoder_.feed({buffer, static_cast<size_t>(got)});
    while (true) {
      Result<std::optional<Message>> message = decoder_.next();
      if (!message) received.end = std::move(message).error();
      if (!message || !*message) break;
      received.messages.push_back(*std::move(*message));
    }
  }
  if (received.end) received.more = false;
  return received;
}

bool Channel::wants_to_write() const {
  std::lock_guard lock(mutex_);
  return !closed() && sent_ < out_.size();
}

void Channel::flush() {
  std::lock_guard lock(mutex_);
  if (!closed()) write_out();
}

bool Channel::cut_off() const {
  std::lock_guard lock(mutex_);
  return cut_off_;
}

void Channel::check_progress(Monotonic now) {
  std::lock_guard lock(mutex_);
  if (closed() || sent_ == out_.size() || now - last_progress_ < limits_.without_reading) return;
  cut_off_ = true;
  ::shutdown(socket_.get(), SHUT_RDWR);
}

void Channel::shut_down() {
  std::lock_guard lock(mutex_);
  hung_up_ = true;
  ::shutdown(socket_.get(), SHUT_RDWR);
}

}  // namespace gnnflow
