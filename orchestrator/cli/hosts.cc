// Which class stands for which entry.
#include "orchestrator/cli/hosts.h"

#include <cstdlib>

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include "common/base/child_process.h"
#include "orchestrator/remote/local_host.h"

namespace gnnflow {
namespace {

constexpr std::string_view kDefaultWorkspace = "~/.cache/gnnflow";

// A host that this version cannot reach: plans may name it, whoever wants something of it is told.
class FarHost final : public Host {
 public:
  explicit FarHost(const HostEntry& entry) : name_(entry.name), address_(entry.address) {}
  const std::string& name() const override { return name_; }
  fs::path root() const override { return {}; }
  Status start_daemon(Milliseconds, Milliseconds, Deadline) override { return refusal(); }
  Result<bool> daemon_alive() override { return refusal(); }
  Result<MessageLink> connect(Deadline) override { return refusal(); }
  Status put(const fs::path&, const std::vector<HostFile>&, const fs::path&, const TransferProgress&,
             const StopSignal&) override {
    return refusal();
  }
  Status get(const fs::path&, const std::vector<HostFile>&, const fs::path&, const TransferProgress&,
             const StopSignal&) override {
    return refusal();
  }
  Result<std::vector<bool>> check(const std::vector<HostFile>&, const fs::path&, bool) override {
    return refusal();
  }
  Result<std::string> read(const fs::path&, int64_t) override { return refusal(); }

 private:
  Error refusal() const { return unreachable_host(name_, address_); }
  std::string name_, address_;
};

Result<fs::path> home() {
  const char* named = std::getenv("HOME");
  if (named && *named) return fs::path(named);
  const passwd* entry = ::getpwuid(::getuid());
  if (entry && entry->pw_dir) return fs::path(entry->pw_dir);
  return Error{Cause::failed, "no home folder: set HOME, or give each host a `workspace:`"};
}

// "~/x" below the home folder; all else relative to the workflow file.
Result<fs::path> workspace_of(const HostEntry& host, const Workflow& workflow) {
  std::string text = host.workspace.empty() ? std::string(kDefaultWorkspace) : host.workspace;
  if (text == "~" || text.starts_with("~/")) {
    TRY(fs::path base, home());
    return text == "~" ? base : base / text.substr(2);
  }
  fs::path path = text;
  return path.is_absolute() ? path : workflow.file.parent_path() / path;
}

}  // namespace

Error unreachable_host(const std::string& name, const std::string& address) {
  return {
      Cause::unreachable,
      fmt::format("host {} at {}: this version reaches only hosts of this machine; write `address: local`",
                  name, address)};
}

Result<std::vector<std::unique_ptr<Host>>> make_hosts(const Workflow& workflow, const fs::path& state,
                                                      const std::string& store_id) {
  fs::path worker = program_beside("gnnflow-worker");
  std::vector<std::unique_ptr<Host>> hosts;
  hosts.push_back(std::make_unique<LocalHost>(std::string(kController), state, store_id, worker));
  for (const HostEntry& entry : workflow.hosts) {
    if (entry.address != "local") {
      hosts.push_back(std::make_unique<FarHost>(entry));
      continue;
    }
    TRY(fs::path workspace, workspace_of(entry, workflow));
    hosts.push_back(std::make_unique<LocalHost>(entry.name, workspace, store_id, worker));
  }
  return hosts;
}

}  // namespace gnnflow
