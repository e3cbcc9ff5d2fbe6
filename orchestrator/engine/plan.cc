// Which steps are wanted, ready, done.
#include "orchestrator/engine/plan.h"

#include <algorithm>

namespace gnnflow {

Plan::Plan(std::vector<PlanStep> steps)
    : steps_(std::move(steps)),
      taken_(steps_.size(), false),
      done_(steps_.size(), false),
      left_out_(steps_.size(), false) {}

std::vector<int> Plan::take_ready() {
  std::vector<int> ready;
  for (int i = 0; i < size(); ++i) {
    const auto& needs = steps_[i].needs;
    if (taken_[i] || !std::all_of(needs.begin(), needs.end(), [&](int need) { return done_[need]; }))
      continue;
    taken_[i] = true;
    ready.push_back(i);
  }
  return ready;
}

void Plan::set_done(int step) { done_[step] = true; }

void Plan::leave_out(int step) { taken_[step] = left_out_[step] = true; }

bool Plan::all_done() const {
  for (int i = 0; i < size(); ++i) {
    if (!done_[i] && !left_out_[i]) return false;
  }
  return true;
}

bool Plan::wanted(int service) const {
  for (int i = 0; i < size(); ++i) {
    if (steps_[i].service == service && !done_[i] && !left_out_[i]) return true;
  }
  return false;
}

}  // namespace gnnflow
