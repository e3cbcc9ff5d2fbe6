// The daemon's end of a connection, to a job or a controller: frames in, and frames out that never make it
// wait.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/result.h"
#include "common/wire/message.h"

namespace gnnflow {

struct ChannelLimits {
  size_t waiting_bytes = 8u << 20;  // that wait for a peer who does not read, beside one message of any size
  Milliseconds without_reading{60'000};  // how long bytes may wait while none go out
};

// Any thread may send; the daemon's loop alone receives and flushes.
class Channel {
 public:
  // `wake` is called, on the sending thread, when bytes wait that the socket did not take.
  Channel(FileDescriptor socket, ChannelLimits limits, std::function<void()> wake);

  // False when the peer is cut off: it hung up, or it does not read.
  bool send(const Message& message);

  struct Received {
    std::vector<Message> messages;
    bool more = false;         // perhaps: it took as much as it takes at once
    std::optional<Error> end;  // `unreachable`: end of file; `bad_data`: no frames of ours
  };
  Received receive();  // what is there now

  int descriptor() const { return socket_.get(); }
  bool wants_to_write() const;
  void flush();
  bool cut_off() const;  // because it does not read; for ever
  void check_progress(Monotonic now);
  void shut_down();

 private:
  bool closed() const { return cut_off_ || hung_up_; }  // REQUIRES: mutex_ is held
  void write_out();

  FileDescriptor socket_;
  const ChannelLimits limits_;
  const std::function<void()> wake_;
  MessageDecoder decoder_;

  mutable std::mutex mutex_;
  std::string out_;            // guarded by mutex_
  size_t sent_ = 0;            // guarded by mutex_; of out_
  Monotonic last_progress_{};  // guarded by mutex_
  bool cut_off_ = false;       // guarded by mutex_
  bool hung_up_ = false;       // guarded by mutex_; sending failed, or we have shut it down
};

}  // namespace gnnflow
