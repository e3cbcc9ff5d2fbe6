// Which steps are wanted, ready, done: pure bookkeeping, apart from the loop that acts on it.
#pragma once

#include <string>
#include <vector>

namespace gnnflow {

struct PlanStep {
  std::string name;
  std::vector<int> needs;  // indices of earlier steps
  int service = -1;        // the step whose service it uses
};

class Plan {
 public:
  explicit Plan(std::vector<PlanStep> steps);

  int size() const { return static_cast<int>(steps_.size()); }
  const PlanStep& step(int index) const { return steps_[index]; }
  // Steps whose needs are all done and that were not given out yet, in file order; each is given once.
  std::vector<int> take_ready();
  void set_done(int step);
  bool done(int step) const { return done_[step]; }
  void leave_out(int step);  // it is neither given out nor waited for
  bool left_out(int step) const { return left_out_[step]; }
  bool all_done() const;  // but for those that are left out
  // Is there a step, neither done nor left out, that uses this one's service?
  bool wanted(int service) const;

 private:
  std::vector<PlanStep> steps_;
  std::vector<bool> taken_, done_, left_out_;
};

}  // namespace gnnflow
