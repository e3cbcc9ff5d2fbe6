// The states that are computed and never stored: of a step, of a service, of a run.
#pragma once

#include <vector>

#include "orchestrator/store/run_rows.h"

namespace gnnflow {

// What of a run decides, beside its rows.
struct RunLife {
  bool ended = false;
  int exit_code = 0;
  bool live = false;  // its own controller holds the lock
};

//                    the run is live    was cut off        has ended
//  no attempt        waiting            waiting            skipped
//  intent, running,  running            interrupted        interrupted
//   publishing
//  succeeded         succeeded, whatever the run is; so failed and cancelled; a lost one is failed
//
// A step that will be tried again has no attempt in its row until the next one begins, and so is `waiting`.
// Cached and skipped are decisions. A service (kind `launch`) is `running` while it starts, then `up`; `idle`
// when it was drained or never wanted; else as above.
StepState state_of_step(const RunStepRow& row, const AttemptRow* attempt, const RunLife& run);
StepState state_of_run(const RunLife& run);

// Fills in the states of a run and its steps from their rows.
void compute_states(RunStatus& status, bool controller_lives);

}  // namespace gnnflow
