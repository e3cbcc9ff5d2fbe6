// The keys of a workflow file that are not of a step's kind: hosts, defaults, steps. One table each, for
// loader and docs.
#pragma once

#include <string>
#include <vector>

#include "orchestrator/workflow/schema.h"

namespace gnnflow {

const std::vector<OptionSchema>& top_schema();  // gnnflow, name, env, params, hosts, defaults, steps
const std::vector<OptionSchema>& host_schema();
const std::vector<OptionSchema>& defaults_schema();  // timeout, retries, lost_retries, lease, grace
const std::vector<OptionSchema>& step_schema();      // name, needs, retries, lost_retries, timeout

}  // namespace gnnflow
