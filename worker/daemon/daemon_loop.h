// The daemon's one loop: connections, channels, ends of processes, the lease, and the way out.
#pragma once

#include "common/base/file.h"
#include "worker/daemon/daemon.h"
#include "worker/daemon/host_folder.h"
#include "worker/daemon/journal.h"

namespace gnnflow {

// Until goodbye, the lease's end or SIGTERM. Then no job is left, tmp/ is empty, and socket and folder are
// gone. REQUIRES: called on the main thread.
int run_daemon_loop(const DaemonOptions& options, const HostFolder& host, Journal& journal,
                    FileDescriptor listener, const fs::path& socket);

}  // namespace gnnflow
