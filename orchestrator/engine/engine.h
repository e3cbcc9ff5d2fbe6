// Runs a workflow: decides what has to be done, does it on the hosts, and survives whatever dies meanwhile.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "orchestrator/engine/run_observer.h"
#include "orchestrator/engine/step.h"
#include "orchestrator/remote/host.h"
#include "orchestrator/store/past_results.h"
#include "orchestrator/store/run_store.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {

struct EngineSetup {
  const Workflow* workflow = nullptr;
  const StepKinds* kinds = nullptr;
  RunStore* store = nullptr;                 // open: this process is the controller
  std::vector<std::unique_ptr<Host>> hosts;  // `controller` and one for each entry of the workflow
  RunObserver* observer = nullptr;
  StopSignal* stop = nullptr;  // raised by SIGINT and SIGTERM
  const Clock* clock = &system_clock();
  std::string command = "run";    // or "retry"
  std::vector<std::string> only;  // of a retry: steps; just these and what follows them. Empty: all
  std::string workflow_digest;    // of the file as loaded
  fs::path worker;                // gnnflow-worker beside the controller, for `list`
  Milliseconds tick{100};         // between two looks at the clock when nothing happens
  std::function<int()> signals = signals_received;  // a further one shortens the time of grace
};

// Blocks until the run has ended, whichever way, and returns its exit code (docs/operations.md). Everything
// was told to the observer. Nothing of ours runs on any host that could be reached afterwards.
int run_workflow(EngineSetup setup);

// For when no controller lives: ends what earlier ones have left on the hosts, marks their attempts as
// cancelled and says goodbye to their daemons. Of the setup `command`, `only` and `worker` are not used. 0:
// nothing of it is left; 6: of a host that cannot be asked (its lease ends what is there).
int stop_leftovers(EngineSetup setup);

struct PlannedStep {
  std::string step, kind;
  std::string decision;  // "cached", "run", "may run" (an input is made first and may turn out the same),
                         // "resume", "service"
  std::string reason;    // one sentence
};

// What `run` would do, from the store alone: no host is asked, nothing is written. `past` may be null:
// nothing ever ran.
Result<std::vector<PlannedStep>> plan_workflow(const Workflow& workflow, const StepKinds& kinds,
                                               PastResults* past,
                                               const std::vector<std::unique_ptr<Host>>& hosts);

}  // namespace gnnflow
