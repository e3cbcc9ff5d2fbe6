// The only file that speaks to libzmq's sockets.
#include "common/zmq/socket.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <thread>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <zmq.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

static_assert(sizeof(zmq_msg_t) == sizeof(std::array<std::byte, 64>) && alignof(zmq_msg_t) <= 8);

constexpr size_t kKeyBytes = 32;
constexpr const char* kZapEndpoint = "inproc://zeromq.zap.01";
constexpr int kHandshakeMs = 10'000;
constexpr int kHeartbeatMs = 2'000, kHeartbeatTimeoutMs = 10'000;
constexpr int kReconnectMs = 50, kReconnectMaxMs = 1'000, kConnectTimeoutMs = 3'000;

zmq_msg_t* raw(std::array<std::byte, 64>& message) { return reinterpret_cast<zmq_msg_t*>(message.data()); }
const zmq_msg_t* raw(const std::array<std::byte, 64>& message) {
  return reinterpret_cast<const zmq_msg_t*>(message.data());
}

Error zmq_error(std::string_view doing) {
  return {Cause::failed, fmt::format("{}: {}", doing, zmq_strerror(zmq_errno()))};
}

bool set_number(void* socket, int option, int value) {
  return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}
bool set_text(void* socket, int option, const std::string& value) {
  return zmq_setsockopt(socket, option, value.c_str(), value.size() + 1) == 0;
}

std::string endpoint_of(const std::string& address, const std::string& port) {
  const bool v6 = address.find(':') != std::string::npos;
  return v6 ? fmt::format("tcp://[{}]:{}", address, port) : fmt::format("tcp://{}:{}", address, port);
}

struct SocketCloser {
  void operator()(void* socket) const { zmq_close(socket); }
};
using OwnedSocket = std::unique_ptr<void, SocketCloser>;

}  // namespace

// ---- Frame

Frame::Frame() { zmq_msg_init(raw(message_)); }

Frame::Frame(size_t bytes) {
  if (zmq_msg_init_size(raw(message_), bytes) != 0) throw std::bad_alloc();
}

Frame::Frame(std::string_view content) : Frame(content.size()) {
  if (!content.empty()) std::memcpy(zmq_msg_data(raw(message_)), content.data(), content.size());
}

Frame::Frame(Frame&& other) noexcept : Frame() { zmq_msg_move(raw(message_), raw(other.message_)); }

Frame& Frame::operator=(Frame&& other) noexcept {
  if (this != &other) zmq_msg_move(raw(message_), raw(other.message_));
  return *this;
}

Frame::~Frame() { zmq_msg_close(raw(message_)); }

std::span<const std::byte> Frame::bytes() const {
  auto* message = const_cast<zmq_msg_t*>(raw(message_));  // zmq_msg_data wants it so
  return {static_cast<const std::byte*>(zmq_msg_data(message)), zmq_msg_size(message)};
}

std::span<std::byte> Frame::bytes() {
  return {static_cast<std::byte*>(zmq_msg_data(raw(message_))), zmq_msg_size(raw(message_))};
}

std::string_view Frame::text() const {
  const auto content = bytes();
  return {reinterpret_cast<const char*>(content.data()), content.size()};
}

// ---- FramePool

struct FramePool::State {
  struct Buffer {
    std::unique_ptr<std::byte[]> data;
    size_t capacity = 0, used = 0;
    std::shared_ptr<State> home;  // while it is out: buffers may come back after the pool is gone
  };

  size_t keep_bytes = 0;
  std::atomic<size_t> bytes_out = 0;
  std::mutex mutex;
  std::vector<std::unique_ptr<Buffer>> free;  // guarded by mutex
  size_t free_bytes = 0;                      // guarded by mutex

  std::unique_ptr<Buffer> find(size_t bytes) {
    std::lock_guard lock(mutex);
    auto best = free.end();
    for (auto it = free.begin(); it != free.end(); ++it) {
      if ((*it)->capacity >= bytes && (best == free.end() || (*it)->capacity < (*best)->capacity)) best = it;
    }
    if (best == free.end()) return nullptr;
    std::swap(*best, free.back());
    auto found = std::move(free.back());
    free.pop_back();
    free_bytes -= found->capacity;
    return found;
  }

  static void give_back(void*, void* hint) {  // on a thread of libzmq
    std::unique_ptr<Buffer> buffer(static_cast<Buffer*>(hint));
    const std::shared_ptr<State> home = std::move(buffer->home);
    home->bytes_out -= buffer->used;
    std::lock_guard lock(home->mutex);
    if (home->free_bytes + buffer->capacity > home->keep_bytes) return;
    home->free_bytes += buffer->capacity;
    home->free.push_back(std::move(buffer));
  }
};

FramePool::FramePool(size_t keep_bytes) : state_(std::make_shared<State>()) {
  state_->keep_bytes = keep_bytes;
}

Frame FramePool::take(size_t bytes) {
  constexpr size_t kGrain = size_t{64} << 10;
  std::unique_ptr<State::Buffer> buffer = state_->find(bytes);
  if (!buffer) {
    buffer = std::make_unique<State::Buffer>();
    buffer->capacity = (std::max<size_t>(bytes, 1) + kGrain - 1) / kGrain * kGrain;
    buffer->data.reset(new std::byte[buffer->capacity]);
  }
  buffer->used = bytes;
  buffer->home = state_;
  state_->bytes_out += bytes;
  Frame frame;
  std::byte* data = buffer->data.get();
  if (zmq_msg_init_data(raw(frame.message_), data, bytes, State::give_back, buffer.get()) != 0)
    throw std::bad_alloc();
  buffer.release();  // comes back through give_back
  return frame;
}

size_t FramePool::bytes_out() const { return state_->bytes_out; }

// ---- AllowList

struct AllowList::State {
  mutable std::mutex mutex;
  std::vector<std::array<std::byte, kKeyBytes>> keys;  // guarded by mutex, sorted
  std::atomic<int64_t> refused = 0;
};

AllowList::AllowList() : state_(std::make_unique<State>()) {}
AllowList::~AllowList() = default;

size_t AllowList::set(const std::vector<std::string>& public_keys) {
  std::vector<std::array<std::byte, kKeyBytes>> keys;
  for (const std::string& text : public_keys) {
    if (!is_public_key(text)) continue;
    zmq_z85_decode(reinterpret_cast<uint8_t*>(keys.emplace_back().data()), text.c_str());
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  std::lock_guard lock(state_->mutex);
  state_->keys = std::move(keys);
  return state_->keys.size();
}

bool AllowList::allows(std::span<const std::byte> key) const {
  if (key.size() != kKeyBytes) return false;
  std::array<std::byte, kKeyBytes> wanted;
  std::copy(key.begin(), key.end(), wanted.begin());
  std::lock_guard lock(state_->mutex);
  return std::binary_search(state_->keys.begin(), state_->keys.end(), wanted);
}

int64_t AllowList::refused() const { return state_->refused; }

// ---- SocketContext

struct SocketContext::State {
  void* context = nullptr;
  StopSignal stop;
  std::jthread key_checker;
  std::atomic<int> monitors = 0;  // names of monitor sockets

  // ZAP, RFC 27: version, request id, domain, address, identity, mechanism, credentials.
  static void answer(void* socket, const AllowList& list, std::atomic<int64_t>& refused) {
    std::vector<Frame> parts;
    for (int more = 1; more != 0;) {
      Frame part;
      if (zmq_msg_recv(raw(part.message_), socket, ZMQ_DONTWAIT) < 0) return;
      more = zmq_msg_more(raw(part.message_));
      parts.push_back(std::move(part));
    }
    if (parts.size() < 2) return;
    const bool good = parts.size() == 7 && parts[0].text() == "1.0" && parts[5].text() == "CURVE" &&
                      list.allows(parts[6].bytes());
    if (!good) ++refused;
    const std::string_view id = parts[1].text();
    const char* code = good ? "200" : "400";
    const char* reason = good ? "" : "key is not allowed";
    zmq_send(socket, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(socket, id.data(), id.size(), ZMQ_SNDMORE);
    zmq_send(socket, code, 3, ZMQ_SNDMORE);
    zmq_send(socket, reason, std::strlen(reason), ZMQ_SNDMORE);
    zmq_send(socket, "", 0, ZMQ_SNDMORE);
    zmq_send(socket, "", 0, 0);
  }

  void check(OwnedSocket socket, AllowList& list) {
    std::array<zmq_pollitem_t, 2> items{
        {{socket.get(), 0, ZMQ_POLLIN, 0}, {nullptr, stop.descriptor(), ZMQ_POLLIN, 0}}};
    while (!stop.raised()) {
      if (zmq_poll(items.data(), items.size(), -1) < 0 && zmq_errno() == ETERM) return;
      if ((items[0].revents & ZMQ_POLLIN) != 0) answer(socket.get(), list, list.state_->refused);
    }
  }
};

SocketContext::SocketContext(int io_threads) : state_(std::make_unique<State>()) {
  state_->context = zmq_ctx_new();
  if (state_->context == nullptr) throw std::bad_alloc();
  zmq_ctx_set(state_->context, ZMQ_IO_THREADS, std::max(1, io_threads));
}

SocketContext::~SocketContext() {
  state_->stop.raise();
  if (state_->key_checker.joinable()) state_->key_checker.join();
  while (zmq_ctx_term(state_->context) != 0 && zmq_errno() == EINTR) {
  }
}

Status SocketContext::check_keys(AllowList& list) {
  if (state_->key_checker.joinable()) bug("check_keys: called twice");
  OwnedSocket socket(zmq_socket(state_->context, ZMQ_REP));
  if (!socket) return zmq_error("opening the socket that checks keys");
  set_number(socket.get(), ZMQ_LINGER, 0);
  if (zmq_bind(socket.get(), kZapEndpoint) != 0) return zmq_error("binding the socket that checks keys");
  state_->key_checker = std::jthread([state = state_.get(), &list, socket = std::move(socket)]() mutable {
    state->check(std::move(socket), list);
  });
  return {};
}

// ---- Socket

struct Socket::State {
  // Members end in reverse order: the socket before its monitor's reader.
  OwnedSocket monitor, socket;
  int port = 0;
};

Socket::Socket(std::unique_ptr<State> state) : state_(std::move(state)) {}
Socket::Socket(Socket&&) noexcept = default;
Socket& Socket::operator=(Socket&&) noexcept = default;
Socket::~Socket() = default;
int Socket::port() const { return state_->port; }

Result<std::unique_ptr<Socket::State>> Socket::open(SocketContext& context, int type, int queued,
                                                    int64_t max_bytes, bool v6) {
  auto state = std::make_unique<State>();
  state->socket.reset(zmq_socket(context.state_->context, type));
  void* socket = state->socket.get();
  if (socket == nullptr) return zmq_error("opening a socket");
  const bool set = set_number(socket, ZMQ_LINGER, 0) && set_number(socket, ZMQ_SNDHWM, queued) &&
                   set_number(socket, ZMQ_RCVHWM, queued) &&
                   set_number(socket, ZMQ_HANDSHAKE_IVL, kHandshakeMs) &&
                   set_number(socket, ZMQ_HEARTBEAT_IVL, kHeartbeatMs) &&
                   set_number(socket, ZMQ_HEARTBEAT_TIMEOUT, kHeartbeatTimeoutMs) &&
                   set_number(socket, ZMQ_TCP_KEEPALIVE, 1) && set_number(socket, ZMQ_IPV6, v6 ? 1 : 0) &&
                   zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes) == 0;
  if (!set) return zmq_error("setting a socket's options");
  return state;
}

Status check_address(std::string_view address) {
  const std::string text(address);
  in_addr v4{};
  in6_addr v6{};
  const bool is_v4 = inet_pton(AF_INET, text.c_str(), &v4) == 1;
  const bool is_v6 = !is_v4 && inet_pton(AF_INET6, text.c_str(), &v6) == 1;
  if (!is_v4 && !is_v6) {
    return Error{Cause::bad_workflow,
                 fmt::format("address '{}': give one numeric address, like 192.0.2.7", address)};
  }
  const bool mapped = is_v6 && IN6_IS_ADDR_V4MAPPED(&v6);
  const bool wildcard =
      is_v4 ? v4.s_addr == INADDR_ANY
            : IN6_IS_ADDR_UNSPECIFIED(&v6) || (mapped && std::memcmp(&v6.s6_addr[12], "\0\0\0\0", 4) == 0);
  if (wildcard) {
    return Error{
        Cause::bad_workflow,
        fmt::format("address '{}' means every interface: name the one that the other hosts reach", address)};
  }
  return {};
}

Result<Socket> Socket::bind_router(SocketContext& context, const BindOptions& options) {
  TRY(check_address(options.address));
  if (!context.state_->key_checker.joinable())
    bug("bind_router: without check_keys() everybody would be let in");
  const bool v6 = options.address.find(':') != std::string::npos;
  TRY(auto state, open(context, ZMQ_ROUTER, options.queued_messages, options.max_message_bytes, v6));
  void* socket = state->socket.get();
  const bool set = set_number(socket, ZMQ_ROUTER_MANDATORY, 1) && set_number(socket, ZMQ_CURVE_SERVER, 1) &&
                   set_text(socket, ZMQ_CURVE_SECRETKEY, options.keys.secret_key) &&
                   zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "gnnflow", 7) == 0;
  if (!set) return zmq_error("setting a server's options");
  const std::string where =
      endpoint_of(options.address, options.port == 0 ? "*" : std::to_string(options.port));
  if (zmq_bind(socket, where.c_str()) != 0) {
    Error error = zmq_error(fmt::format("binding {}", where));
    if (zmq_errno() == EADDRINUSE) error.cause = Cause::locked;
    if (zmq_errno() == EADDRNOTAVAIL || zmq_errno() == ENODEV) {
      error = {Cause::bad_workflow, fmt::format("address '{}' is not one of this host's", options.address)};
    }
    return error;
  }
  std::array<char, 256> bound{};
  size_t length = bound.size();
  if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound.data(), &length) != 0)
    return zmq_error("asking for the port");
  const std::string_view text(bound.data());
  state->port = static_cast<int>(parse_integer(text.substr(text.rfind(':') + 1)).value_or(0));
  return Socket(std::move(state));
}

Result<Socket> Socket::connect_dealer(SocketContext& context, const ConnectOptions& options) {
  TRY(check_address(options.address));
  if (!is_public_key(options.server_key)) {
    return Error{Cause::unreachable,
                 fmt::format("the server's public key '{}' is no CURVE key", options.server_key)};
  }
  const bool v6 = options.address.find(':') != std::string::npos;
  TRY(auto state, open(context, ZMQ_DEALER, options.queued_messages, options.max_message_bytes, v6));
  void* socket = state->socket.get();
  const bool set = set_number(socket, ZMQ_RECONNECT_IVL, kReconnectMs) &&
                   set_number(socket, ZMQ_RECONNECT_IVL_MAX, kReconnectMaxMs) &&
                   set_number(socket, ZMQ_CONNECT_TIMEOUT, kConnectTimeoutMs) &&
                   set_text(socket, ZMQ_CURVE_SERVERKEY, options.server_key) &&
                   set_text(socket, ZMQ_CURVE_PUBLICKEY, options.keys.public_key) &&
                   set_text(socket, ZMQ_CURVE_SECRETKEY, options.keys.secret_key);
  if (!set) return zmq_error("setting a client's options");
  const std::string monitor = fmt::format("inproc://monitor-{}", context.state_->monitors++);
  const int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                     ZMQ_EVENT_DISCONNECTED;
  state->monitor.reset(zmq_socket(context.state_->context, ZMQ_PAIR));
  if (!state->monitor || !set_number(state->monitor.get(), ZMQ_LINGER, 0) ||
      zmq_socket_monitor(socket, monitor.c_str(), events) != 0 ||
      zmq_connect(state->monitor.get(), monitor.c_str()) != 0) {
    return zmq_error("watching a connection");
  }
  state->port = options.port;
  const std::string where = endpoint_of(options.address, std::to_string(options.port));
  if (zmq_connect(socket, where.c_str()) != 0) return zmq_error(fmt::format("connecting to {}", where));
  return Socket(std::move(state));
}

bool Socket::send(Frames& frames) {
  for (int i = 0; i < frames.count; ++i) {
    const int more = i + 1 < frames.count ? ZMQ_SNDMORE : 0;
    // Once the first frame is taken the rest is too: libzmq counts messages, and drops the whole one if the
    // peer goes.
    while (zmq_msg_send(raw(frames[i].message_), state_->socket.get(), more | ZMQ_DONTWAIT) < 0) {
      if (zmq_errno() != EINTR) return false;
    }
  }
  return true;
}

bool Socket::receive_now(Frames& frames) {
  frames.count = 0;
  Frame dropped;
  for (int more = 1; more != 0; ++frames.count) {
    Frame& frame = frames.count < Frames::kMax ? frames[frames.count] : dropped;
    while (zmq_msg_recv(raw(frame.message_), state_->socket.get(), ZMQ_DONTWAIT) < 0) {
      if (zmq_errno() != EINTR) return false;
    }
    more = zmq_msg_more(raw(frame.message_));
  }
  return true;
}

Status Socket::wait(Deadline deadline, std::span<const int> descriptors, const StopSignal* stop) {
  constexpr size_t kMost = 8;
  std::array<zmq_pollitem_t, kMost> items{};
  size_t count = 0;
  items[count++] = {state_->socket.get(), 0, ZMQ_POLLIN, 0};
  if (state_->monitor) items[count++] = {state_->monitor.get(), 0, ZMQ_POLLIN, 0};
  if (stop != nullptr) items[count++] = {nullptr, stop->descriptor(), ZMQ_POLLIN, 0};
  if (count + descriptors.size() > kMost) bug("Socket::wait: too many descriptors");
  for (const int descriptor : descriptors) items[count++] = {nullptr, descriptor, ZMQ_POLLIN, 0};
  const int ready = zmq_poll(items.data(), static_cast<int>(count), deadline.poll_timeout());
  if (ready < 0 && zmq_errno() != EINTR) return zmq_error("waiting for a message");
  if (stop != nullptr && stop->raised()) return Error{stop->cause(), "stopped while waiting for an answer"};
  return {};
}

ConnectionNews Socket::news() {
  ConnectionNews news;
  if (!state_->monitor) return news;
  for (;;) {  // an event: u16 kind and i32 value, then the endpoint
    Frame event, endpoint;
    if (zmq_msg_recv(raw(event.message_), state_->monitor.get(), ZMQ_DONTWAIT) < 0) return news;
    zmq_msg_recv(raw(endpoint.message_), state_->monitor.get(), ZMQ_DONTWAIT);
    if (event.size() < 6) continue;
    uint16_t kind;
    std::memcpy(&kind, event.bytes().data(), sizeof kind);
    if (kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) ++news.connected;
    if (kind == ZMQ_EVENT_DISCONNECTED) ++news.disconnected;
    if (kind == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) ++news.refused;
    if (kind == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL || kind == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
      ++news.failed;
  }
}

}  // namespace gnnflow
