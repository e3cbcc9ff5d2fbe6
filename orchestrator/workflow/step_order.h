// The order of steps: each after what it needs, in file order where that leaves a choice.
#pragma once

#include <string>
#include <vector>

#include "orchestrator/workflow/problems.h"

namespace gnnflow {

struct OrderedStep {
  std::string name;
  std::vector<std::string> needs;
  TextPlace at;
};

// Indices into `steps`. A circle is told with the names in it, at its first step in the file; nothing is
// returned then.
std::vector<size_t> topological_order(const std::vector<OrderedStep>& steps, Problems& problems);

}  // namespace gnnflow
