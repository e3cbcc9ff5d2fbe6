// Inside orchestrator/remote: where a target really is, by what the entry and the user's ssh configuration
// say.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/file.h"
#include "common/base/result.h"
#include "orchestrator/remote/ssh_session.h"

struct ssh_session_struct;

namespace gnnflow {

struct SshClose {
  void operator()(ssh_session_struct* session) const;
};
using SshHandle = std::unique_ptr<ssh_session_struct, SshClose>;  // libssh's ssh_session

// libssh's session with its options set, not connected yet, and what of them we need ourselves.
struct SshRoute {
  SshHandle handle;
  std::string user, host;
  int port = 22;
  fs::path identity;                  // the entry's own, absolute; may be empty
  std::vector<fs::path> known_hosts;  // the user's, the system's, the store's
  std::vector<SshTarget> jumps;       // on the way, the nearest first
  std::string place;                  // "ann@node2:22"
};

// Reads ~/.ssh/config and /etc/ssh/ssh_config by libssh's parser. What the entry says goes first.
Result<SshRoute> find_route(const SshTarget& target);

// What of a ProxyCommand is a jump: libssh 0.10 turns ProxyJump into a command, in the wrong order, which is
// undone here; `ssh -W %h:%p host` written by hand is one as well.
Result<std::vector<SshTarget>> jumps_of(const std::string& proxy_command, const SshTarget& target);

}  // namespace gnnflow
