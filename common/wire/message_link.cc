// Messages over a connected stream socket.
#include <cerrno>
#include <mutex>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/wire/message.h"
#include "common/wire/unix_address.h"

namespace gnnflow {
namespace {

constexpr size_t kReadBytes = 1 << 16;

Error unreachable(std::string message) { return {Cause::unreachable, std::move(message)}; }

Error gone(int error_number) {
  return unreachable(fmt::format("the connection broke: {}", strerrordesc_np(error_number)));
}

}  // namespace

struct MessageLink::State {
  FileDescriptor socket;
  std::mutex sending;
  MessageDecoder decoder;  // of the one receiving thread

  Status send_all(std::string_view bytes, Deadline deadline, const StopSignal* stop);
  Status read_some();  // what is there now
};

Status MessageLink::State::send_all(std::string_view bytes, Deadline deadline, const StopSignal* stop) {
  while (!bytes.empty()) {
    ssize_t sent = ::send(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return gone(errno);
    if (stop && stop->raised()) return Error{stop->cause(), "stopped while sending a message"};
    if (deadline.passed()) return unreachable("the peer does not read");
    pollfd waiting[2] = {{socket.get(), POLLOUT, 0}, {stop ? stop->descriptor() : -1, POLLIN, 0}};
    ::poll(waiting, 2, deadline.poll_timeout());
  }
  return {};
}

Status MessageLink::State::read_some() {
  char buffer[kReadBytes];
  ssize_t got = ::recv(socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  if (got > 0) {
    decoder.feed({buffer, static_cast<size_t>(got)});
    return {};
  }
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return {};
  if (got < 0) return gone(errno);
  return unreachable(decoder.empty() ? "the peer closed the connection"
                                     : "the peer closed the connection in the middle of a message");
}

MessageLink::MessageLink(FileDescriptor socket) : state_(std::make_unique<State>()) {
  state_->socket = std::move(socket);
}
MessageLink::MessageLink(MessageLink&&) noexcept = default;
MessageLink& MessageLink::operator=(MessageLink&&) noexcept = default;
MessageLink::~MessageLink() = default;

Result<MessageLink> MessageLink::connect_unix(const fs::path& path) {
  TRY(UnixAddress address, unix_address(path));
  // A daemon that stands still lets its backlog fill up: to wait for a place in it would be for ever.
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return system_error("making a socket", errno);
  if (::connect(socket.get(), address.get(), sizeof address.value) != 0) {
    return unreachable(fmt::format("connecting to {}: {}", path.string(), strerrordesc_np(errno)));
  }
  TRY(check_peer_uid(socket.get()));
  return MessageLink(std::move(socket));
}

Status MessageLink::send(const Message& message, Deadline deadline, const StopSignal* stop) {
  std::string head = encode_head(message);
  if (message.body.size() > kMaxBodyBytes || head.size() > kMaxHeadBytes) {
    return Error{Cause::bad_data, fmt::format("message '{}' of {} bytes is over the limit", message.type(),
                                              head.size() + message.body.size())};
  }
  std::lock_guard lock(state_->sending);
  // A small body is not worth a packet of its own; a large one is not worth a copy.
  constexpr size_t kSmall = 16 << 10;
  const bool small = message.body.size() <= kSmall;
  if (small) head += message.body;
  Status sent = state_->send_all(head, deadline, stop);
  if (sent && !small) sent = state_->send_all(message.body, deadline, stop);
  if (!sent) shut_down();  // what would follow half a frame could not be read
  return sent;
}

Result<std::optional<Message>> MessageLink::receive(Deadline deadline, const StopSignal* stop) {
  while (true) {
    if (stop && stop->raised()) return Error{stop->cause(), "stopped while waiting for a message"};
    TRY(std::optional<Message> message, state_->decoder.next());
    if (message) return message;
    bool last = deadline.passed();  // what arrived until then is still read
    pollfd waiting[2] = {{state_->socket.get(), POLLIN, 0}, {stop ? stop->descriptor() : -1, POLLIN, 0}};
    int ready = ::poll(waiting, 2, last ? 0 : deadline.poll_timeout());
    if (ready < 0 && errno != EINTR) return system_error("poll", errno);
    if (ready > 0 && waiting[0].revents) {
      TRY(state_->read_some());
    } else if (last && ready == 0) {
      return std::optional<Message>();
    }
  }
}

int MessageLink::descriptor() const { return state_->socket.get(); }

void MessageLink::shut_down() { ::shutdown(state_->socket.get(), SHUT_RDWR); }

}  // namespace gnnflow
