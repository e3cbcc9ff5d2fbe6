// From the document's tree to a Workflow.
#pragma once

#include "orchestrator/workflow/problems.h"
#include "orchestrator/workflow/workflow.h"
#include "orchestrator/workflow/yaml_node.h"

namespace gnnflow {

// What is wrong with the file goes to `problems`; an error is returned for what is wrong with `--set`.
Result<Workflow> read_workflow(YamlNode document, const LoadOptions& options, Problems& problems);

}  // namespace gnnflow
