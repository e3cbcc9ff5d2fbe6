// One run of a workflow: a retry that was told which steps to make again.
#include <algorithm>

#include "orchestrator/engine/run_loop.h"

namespace gnnflow {

// The steps named, and whatever needs one of them. All else is taken as it is.
std::optional<Error> RunLoop::choose() {
  if (setup_.only.empty()) return std::nullopt;
  for (StepRun& step : steps_) step.chosen = false;
  for (const std::string& name : setup_.only) {
    const int index = index_of(name);
    if (index < 0) return Error{Cause::not_found, "there is no step '" + name + "' in " + workflow_.name};
    steps_[index].chosen = true;
  }
  for (int i = 0; i < plan_.size(); ++i) {  // needs stand before who needs them
    for (const int need : plan_.step(i).needs) steps_[i].chosen |= steps_[need].chosen;
  }
  return std::nullopt;
}

void RunLoop::leave_out(int index) {
  steps_[index].phase = StepRun::Phase::left_out;
  plan_.leave_out(index);
}

// What could not be decided needs something that would have to be made first.
std::optional<Error> RunLoop::check_chosen() {
  for (int i = 0; i < plan_.size(); ++i) {
    StepRun& step = steps_[i];
    if (!step.chosen && step.phase == StepRun::Phase::waiting) leave_out(i);
    if (!step.chosen) continue;
    for (const int need : plan_.step(i).needs) {
      if (!plan_.left_out(need)) continue;
      const StepRun& lacking = steps_[need];
      const std::string why = lacking.reason.empty() ? "" : " (" + lacking.reason + ")";
      return Error{Cause::bad_usage, "step " + step.entry->name + " needs " + lacking.entry->name +
                                         ", which has to be made first" + why +
                                         ": name it too, or use `gnnflow run`"};
    }
  }
  return std::nullopt;
}

void RunLoop::tell_done() {
  for (const std::string& name : setup_.only) {
    const StepRun& step = steps_[index_of(name)];
    if (step.phase == StepRun::Phase::decided && step.verdict.what == Verdict::What::cached)
      setup_.observer->note("step " + name + " is done: " + step.verdict.reason);
  }
}

}  // namespace gnnflow
