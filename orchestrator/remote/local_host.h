// A host entry on this machine: `controller`, and every entry with `address: local`.
#pragma once

#include <string>

#include "orchestrator/remote/host.h"

namespace gnnflow {

// A plain value in effect: calls look at the disk and the daemon each time. See Host for who may call.
class LocalHost : public Host {
 public:
  // `worker`: the path of gnnflow-worker.
  LocalHost(std::string name, const fs::path& workspace, std::string store_id, fs::path worker);

  const std::string& name() const override { return name_; }
  fs::path root() const override { return root_; }
  Status start_daemon(Milliseconds lease, Milliseconds grace, Deadline deadline) override;
  Result<bool> daemon_alive() override;
  Result<MessageLink> connect(Deadline deadline) override;
  Status put(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
             const TransferProgress& progress, const StopSignal& stop) override;
  // What is not whole yet lies in `incoming` beside `to`.
  Status get(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
             const TransferProgress& progress, const StopSignal& stop) override;
  Result<std::vector<bool>> check(const std::vector<HostFile>& files, const fs::path& at, bool digests,
                                  const StopSignal& stop) override;
  Result<std::string> read(const fs::path& path, int64_t limit) override;
  Result<std::string> read_from(const fs::path& path, int64_t offset, int64_t limit) override;

 private:
  Result<bool> spawn(Milliseconds lease, Milliseconds grace, Deadline deadline);  // false: another was first
  Error not_answering(std::string_view what) const;

  const std::string name_, store_id_;
  const fs::path root_, worker_;
};

}  // namespace gnnflow
