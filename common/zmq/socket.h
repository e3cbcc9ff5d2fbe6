// ZeroMQ behind values of ours: a context, frames, a ROUTER or DEALER socket with CURVE, and the list of keys
// allowed in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "common/zmq/keys.h"

namespace gnnflow {

// One frame of a message: libzmq's own buffer, never copied by us. Any one thread at a time.
class Frame {
 public:
  Frame();
  explicit Frame(size_t bytes);  // not initialised
  explicit Frame(std::string_view content);
  Frame(Frame&& other) noexcept;
  Frame& operator=(Frame&& other) noexcept;
  ~Frame();

  std::span<const std::byte> bytes() const;
  std::span<std::byte> bytes();
  size_t size() const { return bytes().size(); }
  std::string_view text() const;

 private:
  friend class Socket;
  friend class SocketContext;
  friend class FramePool;
  alignas(8) std::array<std::byte, 64> message_;  // a zmq_msg_t
};

// A message of few frames; more than kMax were dropped, and `count` tells how many there were.
struct Frames {
  static constexpr int kMax = 4;
  std::array<Frame, kMax> frames;
  int count = 0;

  bool overflowed() const { return count > kMax; }
  Frame& operator[](int i) { return frames[static_cast<size_t>(i)]; }
  const Frame& operator[](int i) const { return frames[static_cast<size_t>(i)]; }
  void add(Frame frame) { frames[static_cast<size_t>(count++)] = std::move(frame); }
};

// Large frames out of buffers that come back once libzmq has sent them. Thread-safe.
class FramePool {
 public:
  explicit FramePool(size_t keep_bytes);
  Frame take(size_t bytes);
  size_t bytes_out() const;  // taken, and not yet sent

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Thread-safe.
class AllowList {
 public:
  AllowList();
  ~AllowList();
  // Replaces the list. Texts that are no public keys are left out; returns how many stay.
  size_t set(const std::vector<std::string>& public_keys);
  bool allows(std::span<const std::byte> key) const;  // 32 bytes
  int64_t refused() const;

 private:
  friend class SocketContext;
  struct State;
  std::unique_ptr<State> state_;
};

// Threads of libzmq. Sockets must end before it.
class SocketContext {
 public:
  explicit SocketContext(int io_threads);
  ~SocketContext();
  SocketContext(const SocketContext&) = delete;
  SocketContext& operator=(const SocketContext&) = delete;

  // Starts the thread that answers libzmq's question whether a key may connect. Once, before a server binds;
  // the list must outlive the context.
  Status check_keys(AllowList& list);

 private:
  friend class Socket;
  struct State;
  std::unique_ptr<State> state_;
};

struct BindOptions {
  std::string address;  // numeric, one interface; a wildcard is refused
  int port = 0;         // 0: any
  KeyPair keys;
  int64_t max_message_bytes = int64_t{1} << 26;  // a longer one ends its connection
  int queued_messages = 64;                      // each way, per peer
};

struct ConnectOptions {
  std::string address;
  int port = 0;
  std::string server_key;
  KeyPair keys;
  int64_t max_message_bytes = int64_t{1} << 31;
  int queued_messages = 64;
};

// What became known of a connection since the last question.
struct ConnectionNews {
  int connected = 0;     // handshakes that succeeded
  int disconnected = 0;  // connections that ended after their handshake
  int refused = 0;       // the peer does not allow our key
  int failed = 0;        // the handshake broke: most likely another server key
};

// One thread at a time.
class Socket {
 public:
  // A server's end: needs check_keys() first. `locked` when the port is taken.
  static Result<Socket> bind_router(SocketContext& context, const BindOptions& options);
  // A client's end. Connects in the background, again and again; but after a refusal libzmq gives up: make
  // another.
  static Result<Socket> connect_dealer(SocketContext& context, const ConnectOptions& options);
  Socket(Socket&&) noexcept;
  Socket& operator=(Socket&&) noexcept;
  ~Socket();  // closes at once; what was not sent is dropped

  int port() const;
  // All frames or none; false: the peer is gone, or too much waits for it already. Never blocks.
  bool send(Frames& frames);
  bool receive_now(Frames& frames);  // false: nothing there
  // Waits for a message, for news of the connection, for one of the descriptors, or the deadline. The stop
  // signal's cause when it is raised.
  Status wait(Deadline deadline, std::span<const int> descriptors, const StopSignal* stop);
  ConnectionNews news();  // of a client's socket

 private:
  struct State;
  explicit Socket(std::unique_ptr<State> state);
  static Result<std::unique_ptr<State>> open(SocketContext& context, int type, int queued, int64_t max_bytes,
                                             bool v6);
  std::unique_ptr<State> state_;
};

// Is it one numeric address, and not "all interfaces"? bad_workflow says what is wrong.
Status check_address(std::string_view address);

}  // namespace gnnflow
