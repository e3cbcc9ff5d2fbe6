// What train and evaluate share: ranks on the hosts that hold the parts of a launched partition.
#pragma once

#include <vector>

#include "common/base/result.h"
#include "orchestrator/engine/step.h"
#include "orchestrator/steps/placing.h"

namespace gnnflow {

// The train step itself, or the one whose model is evaluated; its launch.
const StepEntry* training_of(const Workflow& workflow, const StepEntry& step);
const StepEntry* launch_of(const Workflow& workflow, const StepEntry& step);

std::vector<RankLayout> ranks_of(const Scene& scene);
// {"layout", "partition": what the launch counts as}
Json ranks_key(const Scene& scene);
// One task per rank: rank, ranks, parts_here, seeds, address, threads when given, and the partition as an
// input.
std::vector<TaskPlan> rank_tasks(const Scene& scene);

}  // namespace gnnflow
