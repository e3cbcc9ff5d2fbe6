// The first contact with a host that may have nothing but /bin/sh and coreutils: gnnflow-receive is brought
// there.
#pragma once

#include <string>
#include <string_view>

#include "common/base/file.h"
#include "common/base/result.h"
#include "orchestrator/remote/ssh_session.h"

namespace gnnflow {

struct FarPlace {
  fs::path home, workspace;  // absolute, there
  std::string receive;       // the command that starts gnnflow-receive there
  int64_t bytes_sent = 0;    // 0: it was there
};

// Asks where the home folder is, and sends `receive` (the program's path here) to
// <workspace>/bundles/receive/<SHA-256>/ unless it is there whole. `workspace`: absolute, or below the home
// folder with or without "~/". Its errors name the host: `unfit` for another kind of machine, `no_resources`
// for a full disk, the stop signal's cause once it is raised, else `unreachable`.
Result<FarPlace> bring_receiver(SshSession& session, const std::string& workspace, const fs::path& receive,
                                Deadline deadline, const StopSignal* stop);

// Login shells differ: what stands in a command of ours is made of letters that none of them reads as
// something else.
bool is_plain_for_shells(std::string_view text);

}  // namespace gnnflow
