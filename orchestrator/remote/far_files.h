// The controller's end of a conversation with gnnflow-receive: files to and from a folder on another machine.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "common/wire/message.h"
#include "orchestrator/remote/host.h"

namespace gnnflow {

// What gnnflow-receive says about the machine it runs on.
struct FarGreeting {
  std::string version, home, boot;
  std::string machine;  // as `uname -m` says
  std::string kernel;   // as `uname -r` says
  int64_t uid = 0, cores = 0;
};

// A folder there. `root` is absolute and made when files are put; nothing leaves it, no link below it is
// followed.
struct FarFolder {
  fs::path root;
  fs::path at = {};  // relative to root; empty: root itself
};

// A file here, under any name, that is to be put as `there.path`.
struct FilePair {
  fs::path here;
  HostFile there;
};

struct FarFilesSettings {
  Milliseconds silence{60'000};    // without room to send, or (10 s at most) a word from there: `unreachable`
  Milliseconds patience{600'000};  // for another controller that is sending the same file: then `temporary`
  // Told once per wait that lasts: "waiting for another controller that sends …".
  std::function<void(const std::string&)> notice = {};
};

// One thread at a time. A refusal by the far end (cause and message are its own) leaves the conversation as
// it was; after `unreachable`, a broken frame or the stop signal it is over: `broken()`, and whoever owns it
// opens another one, which goes on where this one ended. The far end also ends after 60 s without a request.
class FarFiles {
 public:
  // `link`: what comes after the line "gnnflow-ready 1". Says hello.
  static Result<FarFiles> open(MessageLink link, Deadline deadline, FarFilesSettings settings = {},
                               const StopSignal* stop = nullptr);
  FarFiles(FarFiles&&) noexcept;
  FarFiles& operator=(FarFiles&&) noexcept;
  ~FarFiles();

  const FarGreeting& greeting() const;
  bool broken() const;

  // As Host::put: through root/incoming/<digest>.part, on from what an earlier try left there; size and
  // digest checked there, fsync, rename, fsync of folders. What is there with the right digest is not sent. A
  // file damaged on its way is sent once more.
  Status put(const fs::path& from, const std::vector<HostFile>& files, const FarFolder& to,
             const TransferProgress& progress, const StopSignal& stop);
  Status put(const std::vector<FilePair>& files, const FarFolder& to, const TransferProgress& progress,
             const StopSignal& stop);
  // The same the other way. What is not whole yet lies in `incoming` beside `to`.
  Status get(const FarFolder& from, const std::vector<HostFile>& files, const fs::path& to,
             const TransferProgress& progress, const StopSignal& stop);
  Result<std::vector<bool>> check(const FarFolder& at, const std::vector<HostFile>& files, bool digests,
                                  const StopSignal& stop);
  Result<std::string> read(const FarFolder& folder, const fs::path& path, int64_t limit);  // 32 MiB at most
  // At most `limit` bytes from `offset` on: fewer, or none, at its end.
  Result<std::string> read_from(const FarFolder& folder, const fs::path& path, int64_t offset, int64_t limit);
  // Does a process hold the lock file? An absent one is free.
  Result<bool> held(const FarFolder& folder, const fs::path& path);

  // Any other request of docs/protocol.md: its answer, or the far end's refusal.
  Result<Message> ask(Message request, const StopSignal* stop = nullptr);
  // Bytes of file content that were sent, as they were before and after compression.
  int64_t bytes_sent() const;
  int64_t bytes_on_the_way() const;

 private:
  struct State;
  explicit FarFiles(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace gnnflow
