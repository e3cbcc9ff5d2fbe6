// Which steps are wanted, ready, done.
#include "orchestrator/engine/plan.h"

#include <algorithm>

namespace gnnflow {

Plan::Plan(std::vector<PlanStep> steps)
    : steps_(std::move(steps)), taken_(steps_.size(), false), done_(steps_.size(), false) {}

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

bool Plan::all_done() const {
  return std::all_of(done_.begin(), done_.end(), [](bool done) { return done; });
}

bool Plan::wanted(int service) const {
  for (int i = 0; i < size(); ++i) {
    if (steps_[i].service == service && !done_[i]) return true;
  }
  return false;
}

}  // namespace gnnflow
