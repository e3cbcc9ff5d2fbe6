// Inside orchestrator/remote: the thread that owns an ssh connection, and the socket pairs through which
// others use it.
#pragma once

#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "orchestrator/remote/ssh_route.h"
#include "orchestrator/remote/ssh_session.h"

namespace gnnflow {

// Any thread. The session is logged in; nobody else touches it from now on. Each channel is one end of a
// socket pair: its thread moves bytes both ways as far as both sides have room.
class SshChannels {
 public:
  // A command, or a connection from there to a host and port.
  struct Wanted {
    std::string command = {};
    std::string host = {};
    int port = 0;
  };

  explicit SshChannels(SshHandle session);
  ~SshChannels();  // ends the connection

  // `temporary` when all eight channels are in use.
  Result<FarProgram> open(Wanted wanted, Deadline deadline, const StopSignal* stop);
  bool alive() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace gnnflow
