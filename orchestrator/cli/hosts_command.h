// What the actions of `gnnflow hosts` work with.
#pragma once

#include <string>

#include "common/base/result.h"
#include "orchestrator/cli/command_line.h"
#include "orchestrator/cli/console.h"
#include "orchestrator/cli/state_place.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {

struct HostsScene {
  Workflow workflow;
  StatePlace place;
};

// `not_found`, with what is near, when the workflow has none of this name.
Result<const HostEntry*> entry_named(const Workflow& workflow, const std::string& name);

// "ann@10.0.0.1:2222", as far as the workflow says it; "this machine".
std::string address_text(const HostEntry& entry);

Result<int> hosts_trust(const CommandLine& line, const HostsScene& scene, const Console& console);
Result<int> hosts_check(const CommandLine& line, const HostsScene& scene, const Console& console);

}  // namespace gnnflow
