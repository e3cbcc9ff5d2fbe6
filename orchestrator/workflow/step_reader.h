// The `steps` of a workflow file: each checked against its kind, references against the steps that they name,
// cycles refused.
#pragma once

#include <string>
#include <vector>

#include "orchestrator/workflow/problems.h"
#include "orchestrator/workflow/workflow.h"
#include "orchestrator/workflow/yaml_node.h"

namespace gnnflow {

struct StepDefaults {
  int retries = 0, lost_retries = 2;
  Milliseconds timeout{0};
};

struct StepSurroundings {
  const std::vector<KindSchema>& kinds;
  const std::vector<std::string>& hosts;  // with `controller`
  const StepDefaults& defaults;
};

// REQUIRES: `steps` was evaluated. In a topological order, in file order where that leaves a choice.
std::vector<StepEntry> read_steps(const YamlNode& steps, const StepSurroundings& surroundings,
                                  Problems& problems);

}  // namespace gnnflow
