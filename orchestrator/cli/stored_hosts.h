// The hosts of a state without its workflow file: as the last run that could read the file wrote them down.
#pragma once

#include "common/base/json.h"
#include "common/base/result.h"
#include "orchestrator/store/store_reader.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {

Json entry_to_json(const HostEntry& host);
HostEntry entry_from_json(const std::string& name, const Json& json);

// Name, file, lease, grace and hosts as stored; no steps. Enough to reach what lies on the hosts.
Result<Workflow> stored_workflow(StoreReader& reader);

}  // namespace gnnflow
