// The daemon's one loop: connections, channels, ends of processes, the lease, and the way out.
#pragma once

#include <string>

#include "common/base/file.h"
#include "worker/daemon/daemon.h"
#include "worker/daemon/host_folder.h"
#include "worker/daemon/journal.h"

namespace gnnflow {

struct DaemonStart {
  const DaemonOptions& options;
  const HostFolder& host;
  Journal& journal;
  FileDescriptor listener;
  fs::path socket;
  std::string leftovers;  // what could not be cleaned up, "" when all could
};

// Until goodbye, the lease's end or SIGTERM. Then no job is left, tmp/ is empty, and socket and folder are
// gone. REQUIRES: called on the main thread.
int run_daemon_loop(DaemonStart start);

}  // namespace gnnflow
