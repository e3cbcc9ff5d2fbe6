// The engine's entry points.
#include "orchestrator/engine/engine.h"

#include "common/base/text.h"
#include "orchestrator/engine/decide.h"
#include "orchestrator/engine/run_loop.h"

namespace gnnflow {

int run_workflow(EngineSetup setup) { return RunLoop(std::move(setup)).run(); }
int stop_leftovers(EngineSetup setup) { return RunLoop(std::move(setup)).end_leftovers(); }

Result<std::vector<PlannedStep>> plan_workflow(const Workflow& workflow, const StepKinds& kinds,
                                               PastResults* past,
                                               const std::vector<std::unique_ptr<Host>>& hosts) {
  Locations locations(past, roots_here(workflow, hosts));
  ContentDigests digests(past, system_clock(), nullptr);
  Decider decider(workflow, kinds, past, locations, digests);
  MadeSteps made;
  std::vector<PlannedStep> planned;
  for (const StepEntry& step : workflow.steps) {
    TRY(decider.check(step));
    std::vector<std::string> open;
    for (const std::string& need : step.needs) {
      if (made.count(need) == 0) open.push_back(need);
    }
    PlannedStep entry{step.name, step.kind, "", ""};
    if (!open.empty()) {
      entry.decision = kinds.at(step.kind)->nature() == Nature::service ? "service" : "may run";
      entry.reason = "waits for " + join(open, ", ");
      planned.push_back(std::move(entry));
      continue;
    }
    TRY(auto verdict, decider.decide(step, made));
    switch (verdict.what) {
      case Verdict::What::cached:
        entry.decision = "cached";
        break;
      case Verdict::What::service:
        entry.decision = "service";
        break;
      case Verdict::What::run:
        entry.decision = verdict.resumed.empty() ? "run" : "resume";
        break;
    }
    entry.reason = verdict.reason + (verdict.resumed.empty() ? "" : "; " + verdict.resumed);
    if (verdict.made) {
      made[step.name] = *verdict.made;
    } else {
      decider.remember(step.name, verdict.reason);
    }
    planned.push_back(std::move(entry));
  }
  return planned;
}

}  // namespace gnnflow
