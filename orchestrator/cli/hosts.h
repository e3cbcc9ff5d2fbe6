// The hosts of a workflow as objects: `controller` first, then one for each entry.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "orchestrator/remote/host.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {

// Entries of other machines are there too, and answer every call with unreachable_host().
Result<std::vector<std::unique_ptr<Host>>> make_hosts(const Workflow& workflow, const fs::path& state,
                                                      const std::string& store_id);

Error unreachable_host(const std::string& name, const std::string& address);

}  // namespace gnnflow
