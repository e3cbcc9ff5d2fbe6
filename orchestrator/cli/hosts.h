// The hosts of a workflow as objects: `controller` first, then one for each entry.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "orchestrator/remote/host.h"
#include "orchestrator/remote/ssh_session.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {

constexpr std::string_view kDefaultWorkspace = "~/.cache/gnnflow";

// Nothing is connected yet. `stop` ends what waits for another machine (see SshHost), and outlives the hosts.
Result<std::vector<std::unique_ptr<Host>>> make_hosts(const Workflow& workflow, const fs::path& state,
                                                      const std::string& store_id,
                                                      const StopSignal* stop = nullptr);

// How an entry of another machine is reached. Keys are known by the state's own file beside the user's.
SshTarget ssh_target(const HostEntry& host, const Workflow& workflow, const fs::path& state);

}  // namespace gnnflow
