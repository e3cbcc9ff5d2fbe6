// `plan --verify`: is what the steps have made still what it was, on every host that holds a copy?
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "orchestrator/remote/host.h"
#include "orchestrator/store/past_results.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {

struct VerifiedCopy {
  std::string step, piece, host, path;  // path: below the host's root
  int64_t files = 0, bytes = 0;
  std::optional<Error> fault;  // bad_data: damaged, gone; else it could not be looked at
};

// Reads the content of every recorded copy of each step's last result: of files of this machine here, of
// others by their host. Takes as long as that takes; ends early only when stopped.
Result<std::vector<VerifiedCopy>> verify_outputs(const Workflow& workflow, PastResults& past,
                                                 const std::vector<std::unique_ptr<Host>>& hosts,
                                                 const StopSignal& stop);

}  // namespace gnnflow
