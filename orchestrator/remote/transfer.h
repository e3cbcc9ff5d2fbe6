// Files from one folder of this machine to another: resumed, checked, durable, and never outside the folder
// they belong in.
#pragma once

#include <string>
#include <vector>

#include "common/base/file.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "orchestrator/remote/host.h"

namespace gnnflow {

struct Transfer {
  fs::path from;      // files are read below it
  fs::path root, to;  // and written below root/to
  fs::path incoming;  // folder below root for what is not whole yet: <digest>.part
};

// Each file: bytes go to incoming/<digest>.part, on from what an earlier try left there; digest, fsync,
// rename, fsync of the folders. What is there with the right digest stays. `progress` counts all bytes, also
// those that were there. A source that is gone, cut short or changed is `bad_data` and named; a full disk is
// `no_resources`.
Status transfer_files(const Transfer& transfer, const std::vector<HostFile>& files,
                      const TransferProgress& progress, const StopSignal& stop);

}  // namespace gnnflow
