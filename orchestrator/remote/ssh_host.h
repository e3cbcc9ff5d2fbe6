// A host entry on another machine, reached over ssh.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "orchestrator/remote/bundle.h"
#include "orchestrator/remote/far_files.h"
#include "orchestrator/remote/host.h"
#include "orchestrator/remote/ssh_session.h"

namespace gnnflow {

// gnnflow-worker, gnnflow-trainer (may be absent) and gnnflow-receive as they lie here, looked at once for
// all hosts that share it. Any thread.
class OwnPrograms {
 public:
  explicit OwnPrograms(fs::path folder) : folder_(std::move(folder)) {}
  Result<Bundle> bundle();
  fs::path receive() const { return folder_ / "gnnflow-receive"; }

 private:
  const fs::path folder_;
  std::mutex mutex_;
  std::optional<Bundle> bundle_;  // guarded by mutex_
};

struct SshHostOptions {
  SshTarget target;
  std::string workspace;  // there: absolute, or below the home folder ("~/x", "x")
  std::string store_id;
  fs::path programs;                      // their folder here
  std::shared_ptr<OwnPrograms> own = {};  // null: the host looks for itself
  std::shared_ptr<SshGate> gate = {};     // null: nobody else connects at the same time
  const StopSignal* stop = nullptr;       // null: none; outlives this
};

// One session for files, one for each connection to the daemon, opened when they are first needed and again
// when they broke between two calls. The programs that run there are sent once per host and version, by the
// first call that needs them. Once the stop signal is raised no opening goes on and no program is sent; calls
// that begin after that are taken for those of somebody who cleans up, and open a session within 10 s. See
// Host for who may call.
class SshHost : public Host {
 public:
  explicit SshHost(SshHostOptions options);
  ~SshHost() override;

  const std::string& name() const override;
  // Begins with "~/" until the host was reached once, when the workspace is below the home folder.
  fs::path root() const override;
  // Sending programs is not counted against the deadline as long as bytes move.
  Status start_daemon(Milliseconds lease, Milliseconds grace, Deadline deadline) override;
  Result<bool> daemon_alive() override;
  Result<MessageLink> connect(Deadline deadline) override;
  Status put(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
             const TransferProgress& progress, const StopSignal& stop) override;
  Status get(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
             const TransferProgress& progress, const StopSignal& stop) override;
  Result<std::vector<bool>> check(const std::vector<HostFile>& files, const fs::path& at, bool digests,
                                  const StopSignal& stop) override;
  Result<std::string> read(const fs::path& path, int64_t limit) override;
  Result<std::string> read_from(const fs::path& path, int64_t offset, int64_t limit) override;
  std::string address() const override;
  std::string preparation() const override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gnnflow
