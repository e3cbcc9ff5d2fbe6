// The receiver's end of the conversation: frames over stdin and stdout, which may be pipes, sockets or files.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/wire/message_of.h"

namespace gnnflow {

// Any thread sends; one receives.
class Frames {
 public:
  // Whoever does not read for so long is gone.
  static constexpr Milliseconds kUnread{120'000};
  Frames(int in, int out);

  Status greet(std::string_view line) { return send_all(line); }  // before all messages
  // Nothing at end of file between two messages; `unreachable` when nothing came for `silence`.
  Result<std::optional<Message>> receive(Milliseconds silence);
  Status send(const Message& message);

 private:
  Status send_all(std::string_view bytes);
  const int in_, out_;
  MessageDecoder decoder_;
  std::string buffer_;
  std::mutex sending_;
};

// While it exists, "working" is said every 2 s. When nobody hears it the program ends: the kernel frees its
// locks.
class Ticker {
 public:
  explicit Ticker(Frames& frames);
  ~Ticker();
  // What the request waits for; empty when it works.
  void set_waits(std::string text);

 private:
  void run();
  Frames& frames_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string waits_;   // guarded by mutex_
  bool ended_ = false;  // guarded by mutex_
  std::jthread thread_;
};

Message refusal(const Error& error);

}  // namespace gnnflow
