// Inside steps: one object per kind, and what kinds share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/engine/step.h"

namespace gnnflow {

const Step& generate_step();
const Step& import_step();
const Step& partition_step();
const Step& copy_step();
const Step& launch_step();
const Step& train_step();
const Step& evaluate_step();
const Step& exec_step();

const KindSchema& schema_of_kind(std::string_view kind);

// The step that an option refers to; null when it refers to none.
const StepEntry* referred(const Workflow& workflow, const StepEntry& step, std::string_view option);

// A task of one host that uses all of its machine: `host`, program `worker`, kind and options in the spec.
TaskPlan worker_task(const StepEntry& step);

}  // namespace gnnflow
