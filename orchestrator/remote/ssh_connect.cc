// getaddrinfo and connect.
#include "orchestrator/remote/ssh_connect.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

// A cut of 20 s is over, with TCP's own doubling pauses, after 32 s at most: longer than that, with some
// room.
constexpr int kDeadAfterMs = 45'000;
constexpr int kIdleSeconds = 10, kProbeSeconds = 5, kProbes = 6;

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Result<Addresses> addresses_of(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error == 0) return Addresses(found, &::freeaddrinfo);
  const char* why = error == EAI_SYSTEM ? strerrordesc_np(errno) : ::gai_strerror(error);
  return Error{Cause::unreachable, fmt::format("the name '{}' has no address: {}", host, why)};
}

std::string text_of(const sockaddr* address, socklen_t size) {
  char text[NI_MAXHOST] = {};
  return ::getnameinfo(address, size, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0 ? text : "";
}

void set(int socket, int level, int name, int value) {
  // Without one of these the connection works, and its end is noticed later.
  (void)::setsockopt(socket, level, name, &value, sizeof value);
}

void notice_its_end(int socket) {
  set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(socket, IPPROTO_TCP, TCP_KEEPIDLE, kIdleSeconds);
  set(socket, IPPROTO_TCP, TCP_KEEPINTVL, kProbeSeconds);
  set(socket, IPPROTO_TCP, TCP_KEEPCNT, kProbes);
  set(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, kDeadAfterMs);
}

// 0, or why not.
Result<int> wait_for_connection(int socket, Deadline deadline, const StopSignal* stop) {
  TRY(const short ready, wait_for(socket, POLLOUT, deadline, stop));
  if (ready == 0) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

}  // namespace

Error stopped_while_connecting(const StopSignal& stop) { return {stop.cause(), "stopped while connecting"}; }

Result<short> wait_for(int descriptor, short events, Deadline deadline, const StopSignal* stop) {
  while (true) {
    pollfd waits[2] = {{descriptor, events, 0}, {stop ? stop->descriptor() : -1, POLLIN, 0}};
    const int ready = ::poll(waits, 2, deadline.poll_timeout());
    if (ready < 0 && errno != EINTR) return system_error("poll", errno);
    if (stop && stop->raised()) return stopped_while_connecting(*stop);
    if (ready >= 0) return waits[0].revents;
  }
}

std::string numeric_address(const std::string& host) {
  char bytes[sizeof(in6_addr)];
  const bool is_one =
      ::inet_pton(AF_INET, host.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
  return is_one ? host : "";
}

std::string peer_address(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "";
  return text_of(reinterpret_cast<const sockaddr*>(&address), size);
}

Result<FileDescriptor> connect_tcp(const std::string& host, int port, Milliseconds each, Deadline deadline,
                                   const StopSignal* stop) {
  TRY(const Addresses addresses, addresses_of(host, port));
  std::vector<std::string> refusals;
  for (const addrinfo* address = addresses.get(); address; address = address->ai_next) {
    FileDescriptor socket(
        ::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
    if (!socket) return system_error("making a socket", errno);
    notice_its_end(socket.get());
    int error = ::connect(socket.get(), address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      TRY(error, wait_for_connection(socket.get(), Deadline::after(std::min(each, deadline.left())), stop));
    }
    if (error == 0) return socket;
    const std::string why = error == ETIMEDOUT ? "no answer" : lower(strerrordesc_np(error));
    refusals.push_back(fmt::format("{}: {}", text_of(address->ai_addr, address->ai_addrlen), why));
  }
  return Error{Cause::unreachable, "cannot connect: " + join(refusals, "; ")};
}

}  // namespace gnnflow
