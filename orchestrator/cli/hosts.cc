// Which class stands for which entry.
#include "orchestrator/cli/hosts.h"

#include <fmt/format.h>

#include "common/base/child_process.h"
#include "common/base/home.h"
#include "orchestrator/remote/local_host.h"
#include "orchestrator/remote/ssh_host.h"

namespace gnnflow {
namespace {

// "~/x" below the home folder; all else relative to the workflow file.
Result<fs::path> workspace_of(const HostEntry& host, const Workflow& workflow) {
  std::string text = host.workspace.empty() ? std::string(kDefaultWorkspace) : host.workspace;
  TRY(fs::path path, expand_home(text));
  return path.is_absolute() ? path : workflow.file.parent_path() / path;
}

}  // namespace

SshTarget ssh_target(const HostEntry& host, const Workflow& workflow, const fs::path& state) {
  SshTarget target;
  target.name = host.name;
  target.address = host.address;
  target.user = host.user;
  target.port = host.port;
  target.identity = host.identity;
  const bool beside =
      !host.identity.empty() && !host.identity.starts_with("~") && target.identity.is_relative();
  if (beside) target.identity = workflow.file.parent_path() / target.identity;
  target.known_hosts = state / "known_hosts";
  return target;
}

Result<std::vector<std::unique_ptr<Host>>> make_hosts(const Workflow& workflow, const fs::path& state,
                                                      const std::string& store_id, const StopSignal* stop) {
  fs::path worker = program_beside("gnnflow-worker");
  const auto own = std::make_shared<OwnPrograms>(worker.parent_path());
  const auto gate = std::make_shared<SshGate>();
  std::vector<std::unique_ptr<Host>> hosts;
  hosts.push_back(std::make_unique<LocalHost>(std::string(kController), state, store_id, worker));
  for (const HostEntry& entry : workflow.hosts) {
    if (entry.address != "local") {
      SshHostOptions options;
      options.target = ssh_target(entry, workflow, state);
      options.workspace = entry.workspace.empty() ? std::string(kDefaultWorkspace) : entry.workspace;
      options.store_id = store_id;
      options.own = own;
      options.gate = gate;
      options.stop = stop;
      hosts.push_back(std::make_unique<SshHost>(std::move(options)));
      continue;
    }
    TRY(fs::path workspace, workspace_of(entry, workflow));
    hosts.push_back(std::make_unique<LocalHost>(entry.name, workspace, store_id, worker));
  }
  return hosts;
}

}  // namespace gnnflow
