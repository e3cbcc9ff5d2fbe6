// `gnnflow status --watch`: a run looked at until it has ended.
#pragma once

#include <string>

#include "common/base/result.h"
#include "orchestrator/cli/console.h"
#include "orchestrator/cli/status_view.h"
#include "orchestrator/store/store_reader.h"

namespace gnnflow {

// One line for each step and task whose state is another than before; empty when none is.
std::string status_changes(const RunStatus& before, const RunStatus& now);

// Shows `status` and how it goes on: on a terminal drawn anew each second, elsewhere a line for each change.
// Returns it as it was when the run had ended or its controller was gone.
Result<RunStatus> watch_status(StoreReader& reader, RunStatus status, StatusScene scene,
                               const Console& console);

}  // namespace gnnflow
