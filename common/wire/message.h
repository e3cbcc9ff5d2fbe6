// Framed messages between controller, daemons and jobs: a JSON head and a body of bytes (docs/protocol.md,
// "Control").
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"

namespace gnnflow {

//  0        4           8            12
//  | "GNF1" | head bytes | body bytes | head (JSON) | body |      numbers: u32, little endian
struct Message {
  Json head;         // a map; "type" says what it is
  std::string body;  // often empty
  std::string type() const { return head.text_or("type", ""); }
};

// What a program of ours says first when a login shell may have printed before it; frames follow.
constexpr std::string_view kReadyLine = "gnnflow-ready 1\n";

constexpr uint32_t kMaxHeadBytes = 4u << 20;
constexpr uint32_t kMaxBodyBytes = 64u << 20;

std::string encode(const Message& message);
std::string encode_head(const Message& message);  // all before the body

// Bytes in, messages out. After an error it stays broken.
class MessageDecoder {
 public:
  void feed(std::string_view bytes);
  // A message, nothing (more bytes are needed), or bad_data.
  Result<std::optional<Message>> next();
  bool empty() const { return buffer_.size() == used_; }  // nothing half received

 private:
  std::string buffer_;
  size_t used_ = 0;
};

// A connected stream socket with messages on it. Sending is thread-safe; one thread receives.
class MessageLink {
 public:
  explicit MessageLink(FileDescriptor socket);
  static Result<MessageLink> connect_unix(const fs::path& socket);
  MessageLink(MessageLink&&) noexcept;
  MessageLink& operator=(MessageLink&&) noexcept;
  ~MessageLink();

  // `unreachable` when the peer is gone or does not read until the deadline, the stop signal's cause when
  // that is raised while it waits; half a message sent breaks the link. `bad_data` when the message is over
  // the limits.
  Status send(const Message& message, Deadline deadline, const StopSignal* stop = nullptr);
  // Nothing when the deadline passed; `unreachable` at end of file; the stop signal's cause when it is
  // raised.
  Result<std::optional<Message>> receive(Deadline deadline, const StopSignal* stop = nullptr);
  int descriptor() const;
  void shut_down();  // any thread: both ends see end of file

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// socketpair / a listening Unix socket (path bound 0600; an old one that nobody serves is replaced).
Result<std::pair<FileDescriptor, FileDescriptor>> make_socket_pair();
Result<FileDescriptor> listen_unix(const fs::path& socket);
Result<FileDescriptor> accept_unix(int listener);  // refuses a peer of another uid
// /tmp/gnnflow-<uid>-<digest of the root>/daemon.sock; refused when that folder is not ours alone. Nothing is
// made: who only asks leaves nothing behind.
Result<fs::path> daemon_socket_path(const fs::path& host_root);
Status make_socket_folder(const fs::path& socket);  // the folder of that path, 0700

}  // namespace gnnflow
