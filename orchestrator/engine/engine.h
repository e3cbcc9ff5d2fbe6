// Runs a workflow: decides what has to be done, does it on the hosts, and survives whatever dies meanwhile.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "orchestrator/engine/run_observer.h"
#include "orchestrator/engine/step.h"
#include "orchestrator/remote/host.h"
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
  std::string command = "run";
  std::string workflow_digest;  // of the file as loaded
  fs::path worker;              // gnnflow-worker beside the controller, for `list`
};

// Blocks until the run has ended, whichever way, and returns its exit code (docs/operations.md). Everything
// was told to the observer. Nothing of ours runs on any host that could be reached afterwards.
int run_workflow(EngineSetup setup);

struct PlannedStep {
  std::string step, kind;
  std::string decision;  // "cached", "run", "may run" (an input is made first and may turn out the same),
                         // "resume", "service"
  std::string reason;    // one sentence
};

// What `run` would do, from the store alone: no host is asked, nothing is written but digests of files.
// `store` may be null: nothing ever ran.
Result<std::vector<PlannedStep>> plan_workflow(const Workflow& workflow, const StepKinds& kinds,
                                               RunStore* store,
                                               const std::vector<std::unique_ptr<Host>>& hosts);

}  // namespace gnnflow
