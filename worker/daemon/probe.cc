// Sockets that are opened for a moment, none of which ever blocks.
#include "worker/daemon/probe.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr size_t kMostListeners = 64, kMostDials = 256;
constexpr Milliseconds kLongestListening{600'000}, kLongestDial{60'000};
constexpr Milliseconds kRest{500};  // of a listener when no descriptor is left
constexpr int kNonceBytes = 16;
constexpr int kBacklog = 16, kAcceptsAtOnce = 16;
constexpr uint16_t kDiscardPort = 9;  // connecting a datagram socket sends nothing

struct IpAddress {
  sockaddr_storage value{};
  socklen_t size = 0;
  int family() const { return value.ss_family; }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&value); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&value); }

  void set_port(int port) {
    const in_port_t number = htons(static_cast<uint16_t>(port));
    if (family() == AF_INET) reinterpret_cast<sockaddr_in*>(&value)->sin_port = number;
    if (family() == AF_INET6) reinterpret_cast<sockaddr_in6*>(&value)->sin6_port = number;
  }
  int port() const {
    return ntohs(family() == AF_INET ? reinterpret_cast<const sockaddr_in*>(&value)->sin_port
                                     : reinterpret_cast<const sockaddr_in6*>(&value)->sin6_port);
  }
  bool is_wildcard() const {
    if (family() == AF_INET) {
      return reinterpret_cast<const sockaddr_in*>(&value)->sin_addr.s_addr == INADDR_ANY;
    }
    const in6_addr& address = reinterpret_cast<const sockaddr_in6*>(&value)->sin6_addr;
    const bool mapped = IN6_IS_ADDR_V4MAPPED(&address) && std::memcmp(&address.s6_addr[12], "\0\0\0", 4) == 0;
    return mapped || IN6_IS_ADDR_UNSPECIFIED(&address);
  }
};

// Numeric only: a name's resolver may take its time, and each host may know another address by it.
Result<IpAddress> parse_address(const std::string& text) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (text.empty() || ::getaddrinfo(text.c_str(), nullptr, &hints, &found) != 0) {
    return Error{Cause::bad_data, fmt::format("'{}' is no numeric address", text)};
  }
  IpAddress address;
  address.size = found->ai_addrlen;
  std::memcpy(&address.value, found->ai_addr, found->ai_addrlen);
  ::freeaddrinfo(found);
  return address;
}

std::string name_of(const DialRequest& to) {
  const bool colons = to.address.find(':') != std::string::npos;
  return colons ? fmt::format("[{}]:{}", to.address, to.port) : fmt::format("{}:{}", to.address, to.port);
}

Error cannot_reach(const DialRequest& to, std::string_view why) {
  return {Cause::unreachable, fmt::format("{}: {}", name_of(to), why)};
}

Error cannot_reach(const DialRequest& to, int error_number) {
  const char* text = strerrordesc_np(error_number);
  return cannot_reach(to, text ? text : "cannot be reached");
}

Error no_answer(const DialRequest& to) {
  return cannot_reach(to, fmt::format("no answer within {}: what is sent there may be dropped on the way",
                                      format_duration(to.timeout)));
}

Error stranger(const DialRequest& to) {
  return cannot_reach(to, "something else answers there: another machine may have this address too");
}

template <typename Pointer>
Milliseconds earliest(const std::vector<Pointer>& things, Milliseconds wait) {
  const Monotonic now = system_clock().now();
  for (const Pointer& thing : things) {
    wait = std::min(wait, std::max(Milliseconds(0), std::chrono::ceil<Milliseconds>(thing->ends - now)));
  }
  return wait;
}

}  // namespace

Result<std::string> source_address_towards(const std::string& text) {
  TRY(IpAddress to, parse_address(text));
  to.set_port(kDiscardPort);
  FileDescriptor socket(::socket(to.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket && errno == EAFNOSUPPORT) return std::string();
  if (!socket) return system_error("asking for a route", errno);
  if (::connect(socket.get(), to.get(), to.size) != 0) return std::string();
  IpAddress from;
  from.size = sizeof from.value;
  std::array<char, NI_MAXHOST> name{};
  if (::getsockname(socket.get(), from.get(), &from.size) != 0 ||
      ::getnameinfo(from.get(), from.size, name.data(), name.size(), nullptr, 0, NI_NUMERICHOST) != 0 ||
      from.is_wildcard()) {
    return std::string();
  }
  return std::string(name.data());
}

Result<Listening> Probes::listen(const ListenRequest& request) {
  TRY(IpAddress address, parse_address(request.address));
  if (address.is_wildcard()) {
    return Error{Cause::bad_data, fmt::format("{}: not an address of one interface", request.address)};
  }
  if (request.length <= Milliseconds(0) || request.length > kLongestListening) {
    return Error{Cause::bad_data, fmt::format("listening for {} ms: give at most {} s",
                                              request.length.count(), kLongestListening.count() / 1000)};
  }
  if (listeners_.size() >= kMostListeners) return Error{Cause::temporary, "too many listeners at once"};
  auto listener = std::make_shared<Listener>();
  listener->socket =
      FileDescriptor(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener->socket) return system_error("making a listener", errno);
  if (::bind(listener->socket.get(), address.get(), address.size) != 0) {
    if (errno == EADDRNOTAVAIL) {
      return Error{Cause::unreachable, fmt::format("{} is not an address of this host", request.address)};
    }
    return system_error("listening at " + request.address, errno);
  }
  if (::listen(listener->socket.get(), kBacklog) != 0 ||
      ::getsockname(listener->socket.get(), address.get(), &address.size) != 0) {
    return system_error("listening at " + request.address, errno);
  }
  listener->nonce = random_hex(kNonceBytes);
  listener->ends = system_clock().now() + request.length;
  listeners_.push_back(listener);
  return Listening{address.port(), listener->nonce};
}

// So few bytes fit into a new connection's buffer: nobody is waited for.
void Probes::greet(Listener& listener) {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    FileDescriptor peer(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!peer) {
      const bool empty = errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
      if (!empty) listener.rests_until = system_clock().now() + kRest;
      return;
    }
    [[maybe_unused]] const ssize_t told =
        ::send(peer.get(), listener.nonce.data(), listener.nonce.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}

Result<Probes::DialPointer> Probes::begin(const DialRequest& request) {
  TRY(IpAddress address, parse_address(request.address));
  if (request.port < 1 || request.port > 65'535 || request.nonce.empty()) {
    return Error{Cause::bad_data, fmt::format("{}: needs a port and a nonce", name_of(request))};
  }
  if (request.timeout <= Milliseconds(0) || request.timeout > kLongestDial) {
    return Error{Cause::bad_data, fmt::format("a deadline of {} ms: give at most {}", request.timeout.count(),
                                              kLongestDial.count())};
  }
  if (dials_.size() >= kMostDials) return Error{Cause::temporary, "too many dials at once"};
  address.set_port(request.port);
  auto dial = std::make_shared<Dial>();
  dial->request = request;
  dial->ends = system_clock().now() + request.timeout;
  dial->socket = FileDescriptor(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!dial->socket && errno != EAFNOSUPPORT) return system_error("making a socket", errno);
  if (!dial->socket) return cannot_reach(request, errno);
  if (::connect(dial->socket.get(), address.get(), address.size) != 0 && errno != EINPROGRESS) {
    return cannot_reach(request, errno);
  }
  return dial;
}

void Probes::dial(const DialRequest& request, Done done) {
  Result<DialPointer> begun = begin(request);
  if (!begun) return done(std::move(begun).error());
  (*begun)->done = std::move(done);
  dials_.push_back(*std::move(begun));
}

void Probes::go_on(const DialPointer& dial) {
  if (!dial->connected) {
    int problem = 0;
    socklen_t size = sizeof problem;
    if (::getsockopt(dial->socket.get(), SOL_SOCKET, SO_ERROR, &problem, &size) != 0) problem = errno;
    if (problem != 0) return finish(dial, cannot_reach(dial->request, problem));
    dial->connected = true;
    return;
  }
  std::array<char, 2 * kNonceBytes> buffer;
  const ssize_t got = ::recv(dial->socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0) return finish(dial, cannot_reach(dial->request, errno));
  dial->heard.append(buffer.data(), static_cast<size_t>(got));
  const std::string& nonce = dial->request.nonce;
  if (dial->heard == nonce) return finish(dial, {});
  if (got == 0 || !nonce.starts_with(dial->heard)) return finish(dial, stranger(dial->request));
}

void Probes::finish(const DialPointer& dial, Status how) {
  const auto at = std::find(dials_.begin(), dials_.end(), dial);
  if (at == dials_.end()) return;
  const DialPointer kept = dial;
  dials_.erase(at);
  kept->socket.reset();
  kept->done(std::move(how));
}

void Probes::add_watches(std::vector<Watch>& watches) {
  const Monotonic now = system_clock().now();
  for (const ListenerPointer& listener : listeners_) {
    if (now < listener->rests_until) continue;
    watches.push_back({listener->socket.get(), POLLIN, [listener](short) { greet(*listener); }});
  }
  for (const DialPointer& dial : dials_) {
    const short events = dial->connected ? POLLIN : POLLOUT;
    watches.push_back({dial->socket.get(), events, [this, dial](short) { go_on(dial); }});
  }
}

void Probes::do_what_is_due() {
  const Monotonic now = system_clock().now();
  std::erase_if(listeners_, [&](const ListenerPointer& listener) { return now >= listener->ends; });
  std::vector<DialPointer> over;
  std::copy_if(dials_.begin(), dials_.end(), std::back_inserter(over),
               [&](const DialPointer& dial) { return now >= dial->ends; });
  for (const DialPointer& dial : over) finish(dial, no_answer(dial->request));
}

Milliseconds Probes::until_due() const {
  const Monotonic now = system_clock().now();
  const bool resting =
      std::any_of(listeners_.begin(), listeners_.end(),
                  [&](const ListenerPointer& listener) { return now < listener->rests_until; });
  return earliest(dials_, earliest(listeners_, resting ? kRest : Milliseconds::max()));
}

}  // namespace gnnflow
