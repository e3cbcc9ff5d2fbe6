// Files from one folder of this machine to another: resumed, checked, durable, and never outside the folder
// they belong in.
#pragma once

#include <vector>

#include "common/base/file.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "orchestrator/remote/arrivals.h"
#include "orchestrator/remote/host.h"

namespace gnnflow {

// Each file below `from`: bytes go to its part, on from what an earlier try left there; digest, fsync,
// rename, fsync of the folders. What is there with the right digest stays. `progress` counts all bytes, also
// those that were there. A source that is gone, cut short or changed is `bad_data` and named; a full disk is
// `no_resources`.
Status transfer_files(const fs::path& from, const std::vector<HostFile>& files, Arrivals arrivals,
                      const TransferProgress& progress, const StopSignal& stop);

}  // namespace gnnflow
