// A host entry of the workflow, whatever lies between: starting its daemon, reaching it, moving files to and
// from it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "common/wire/message.h"

namespace gnnflow {

struct HostFile {
  std::string path;  // relative, the same at both ends
  int64_t bytes = 0;
  std::string digest;  // XXH3-128
  bool executable = false;
};

using TransferProgress = std::function<void(int64_t bytes_done)>;

// One per host entry; `controller` and `address: local` are LocalHost, all else SshHost. Calls block up to
// their deadline; any thread may call, one at a time per host; name(), root() and preparation() at any time.
class Host {
 public:
  virtual ~Host() = default;
  virtual const std::string& name() const = 0;
  // "<workspace>/<store id>/<host name>" on that host. Until start_daemon() has succeeded once it may still
  // begin with "~/", the home folder there.
  virtual fs::path root() const = 0;
  // The numeric address under which it is reached from here; empty: it is this machine, or was not reached
  // yet.
  virtual std::string address() const { return {}; }
  // What bringing our programs there has cost, for a person; empty when nothing was looked at yet.
  virtual std::string preparation() const { return {}; }

  // Starts `gnnflow-worker daemon` unless one holds the lock, and waits until its socket answers. Idempotent.
  virtual Status start_daemon(Milliseconds lease, Milliseconds grace, Deadline deadline) = 0;
  // Does a daemon hold its lock? How the engine proves that one is gone.
  virtual Result<bool> daemon_alive() = 0;
  virtual Result<MessageLink> connect(Deadline deadline) = 0;

  // Copies files below `from` (here) to `to` below root(): through incoming/<digest>.part, size and digest
  // checked there, fsync, rename, fsync of folders. A file that is there with the right digest is not sent
  // again.
  virtual Status put(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
                     const TransferProgress& progress, const StopSignal& stop) = 0;
  // The same the other way; `from` is below root().
  virtual Status get(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
                     const TransferProgress& progress, const StopSignal& stop) = 0;
  // Which of the files are there below root()/`at`: size and, if asked, digest right.
  virtual Result<std::vector<bool>> check(const std::vector<HostFile>& files, const fs::path& at,
                                          bool digests, const StopSignal& stop) = 0;
  virtual Result<std::string> read(const fs::path& path, int64_t limit) = 0;  // a small file below root()
  // At most `limit` bytes of a file below root() from `offset` on: fewer, or none, at its end.
  virtual Result<std::string> read_from(const fs::path& path, int64_t offset, int64_t limit) = 0;
};

}  // namespace gnnflow
