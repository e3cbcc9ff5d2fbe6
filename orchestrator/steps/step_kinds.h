// The kinds of steps there are: their schemas for the loader, their objects for the engine.
#pragma once

#include <vector>

#include "orchestrator/engine/step.h"
#include "orchestrator/workflow/schema.h"

namespace gnnflow {

std::vector<KindSchema> kind_schemas();

// One object per kind; they live as long as the program.
const StepKinds& step_kinds();

}  // namespace gnnflow
