// Inside orchestrator/remote: from a connected socket to a session that is logged in.
#pragma once

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/result.h"
#include "orchestrator/remote/ssh_route.h"
#include "orchestrator/remote/ssh_session.h"

namespace gnnflow {

// The handshake up to the host's key, which is checked. `temporary` when the server hung up before it said
// anything, as sshd does with more than MaxStartups at a time. The socket is the route's from now on.
Status shake_hands(SshRoute& route, FileDescriptor socket, Deadline deadline, const SshSettings& settings);
// REQUIRES: hands were shaken.
Status log_in(SshRoute& route, Deadline deadline, const StopSignal* stop);

}  // namespace gnnflow
