// One ssh connection to a host: logged in, its key checked, programs started over it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "common/wire/message.h"
#include "orchestrator/remote/known_hosts.h"

namespace gnnflow {

// How a host entry is reached. What is empty or 0 is found in ~/.ssh/config and /etc/ssh/ssh_config, else as
// ssh does.
struct SshTarget {
  std::string name;     // of the entry, for messages
  std::string address;  // a name, an address, or a `Host` of ~/.ssh/config
  std::string user = {};
  int port = 0;
  fs::path identity = {};     // private key file
  fs::path known_hosts = {};  // the store's own, beside ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts
};

struct SshPatience {
  Milliseconds connect{10'000};  // for each address of the name
  Milliseconds login{20'000};    // from the first byte to being logged in
};

// A key that a host on the way has shown, before anybody logs in there.
struct MetHostKey {
  std::string host;  // as known_hosts names it, without port
  int port = 22;
  std::string place;  // "host node2 (ann@node2:22)", "host node2 (...): jump host (...)"
  HostKey key;
  KeyFinding finding;
};
// Asked for each key on the way that is not known, the jumps' first: true goes on as if it were, false
// refuses it.
using MeetHostKey = std::function<Result<bool>(const MetHostKey&)>;

// Handshakes with one sshd at a time, eight at most: beyond MaxStartups it drops some. Any thread.
class SshGate {
 public:
  class Pass;
  std::shared_ptr<Pass> enter(const std::string& place, Deadline deadline);  // null when it passed first

 private:
  struct State;
  std::shared_ptr<State> state_ = make_state();
  static std::shared_ptr<State> make_state();
};

struct SshSettings {
  SshPatience patience = {};
  std::shared_ptr<SshGate> gate = {};  // shared by all that open sessions at the same time
  const StopSignal* stop = nullptr;    // ends an opening that waits
  MeetHostKey meet = {};               // without it, what is not known is refused
};

// How a far program ended, and the last that it said on stderr.
class FarEnd {
 public:
  struct State;
  explicit FarEnd(std::shared_ptr<State> state) : state_(std::move(state)) {}
  // Its exit status, -1 when a signal or the connection's end was it. Nothing when the deadline passed first.
  std::optional<int> status(Deadline deadline) const;
  std::string last_words() const;  // 4 KiB at most; why, when the connection broke

 private:
  std::shared_ptr<State> state_;
};

struct FarRun {
  int status = 0;  // -1: killed there, or the connection ended
  std::string out, errors;
};

struct FarProgram {
  FileDescriptor pipe;  // its stdin and stdout: shutting down our side of it ends its stdin
  FarEnd end;
};

// Any thread may call, several at a time: the connection belongs to a thread of the session's own. Its
// destructor ends the connection: programs see the end of their stdin, and are not killed. All errors are
// `unreachable` and begin with place(), unless said otherwise.
class SshSession {
 public:
  // Resolves, connects (through jumps where the configuration says so), checks the host's key, logs in with
  // the entry's key, the agent's or those of the configuration. Never asks anybody anything.
  static Result<std::unique_ptr<SshSession>> open(const SshTarget& target, Deadline deadline,
                                                  const SshSettings& settings = {});
  ~SshSession();
  // Goes the whole way to the target's key without logging in there (to jumps it does), asking settings.meet
  // for each key that is not known; changed and revoked ones are shown to it too.
  static Status meet(const SshTarget& target, Deadline deadline, const SshSettings& settings);

  const std::string& place() const;    // "host node2 (ann@10.0.0.3:22)"
  const std::string& address() const;  // numeric, of the other end; empty when only a jump knows it
  bool alive() const;

  // The command goes to the login shell there, whatever that is: bare words, or /bin/sh -c '...'. What is
  // waited for here ends early, as an error of its cause, once `stop` is raised.
  Result<FarProgram> start(const std::string& command, Deadline deadline, const StopSignal* stop = nullptr);
  // Runs it to its end. More than 1 MiB of output is an error.
  Result<FarRun> run(const std::string& command, std::string_view input, Deadline deadline,
                     const StopSignal* stop = nullptr);
  // A connection from there to somewhere else.
  Result<FileDescriptor> forward(const std::string& host, int port, Deadline deadline,
                                 const StopSignal* stop = nullptr);

 private:
  struct State;
  explicit SshSession(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Starts a program of ours that speaks messages: passes over what the login shell prints (64 KiB at most).
struct FarLink {
  MessageLink link;
  FarEnd end;
};
Result<FarLink> start_messages(SshSession& session, const std::string& command, Deadline deadline,
                               const StopSignal* stop = nullptr);

}  // namespace gnnflow
