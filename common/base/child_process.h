// Starting other programs, waiting for them by pidfd, ending them and their group. The one user of
// Boost.Process.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"

namespace gnnflow {

struct ChildOptions {
  std::vector<std::string> argv = {};                   // argv[0] is the program's path
  std::map<std::string, std::string> environment = {};  // added to, or replacing, ours
  fs::path working_folder = {};                         // empty: ours
  fs::path output = {};  // stdout and stderr are appended here; empty: /dev/null
  // At most 4 descriptors handed on, as {ours, theirs}. All others of ours are O_CLOEXEC. stdin is /dev/null.
  std::vector<std::pair<int, int>> descriptors = {};
};

struct ExitState {
  int code = 0;
  int signal = 0;  // not 0: ended by it
  bool good() const { return code == 0 && signal == 0; }
  std::string text() const;  // "exit code 12", "killed by signal 9"
};

// Who a pid is, beyond its number, which the kernel uses again.
struct ProcessIdentity {
  int pid = 0;
  int64_t start_time = 0;  // clock ticks since boot
  std::string boot;
  bool alive() const;  // the same process, not a zombie
};
Result<ProcessIdentity> identity_of(int pid);

// A child of this process. Its destructor kills and reaps one that still runs. Until then its pid, and so the
// number of its group, stays its own: signals after its end never reach a stranger. Nobody else may wait for
// it.
class ChildProcess {
 public:
  // REQUIRES: called on a thread that outlives the child, when the child sets a parent death signal.
  static Result<ChildProcess> start(const ChildOptions& options);
  // The same, with descriptors of ours as its stdout and stderr; `options.output` is not looked at.
  static Result<ChildProcess> start_with_output(const ChildOptions& options, int output, int errors);
  ChildProcess(ChildProcess&&) noexcept;
  ChildProcess& operator=(ChildProcess&&) noexcept;
  ~ChildProcess();

  int pid() const { return identity_.pid; }
  const ProcessIdentity& identity() const { return identity_; }
  int descriptor() const { return pidfd_.get(); }  // readable when it has ended
  // Nothing when the deadline passed first.
  std::optional<ExitState> wait(Deadline deadline);
  void signal_group(int number);
  void signal(int number);

 private:
  ChildProcess() = default;
  static Result<ChildProcess> adopt(int pid, FileDescriptor pidfd);
  ProcessIdentity identity_;
  FileDescriptor pidfd_;
  std::optional<ExitState> ended_;
};

// Runs to the end and returns stdout; stderr goes into the error's message. It is killed when the deadline
// passes, and once `stop` is raised.
Result<std::string> run_and_read(const ChildOptions& options, Deadline deadline,
                                 const StopSignal* stop = nullptr);

// Live processes of this uid whose environment has NAME=VALUE, this one left out.
std::vector<int> processes_with(std::string_view name, std::string_view value);

fs::path own_program();                          // the path of this executable
fs::path program_beside(std::string_view name);  // e.g. gnnflow-worker, in the folder of this executable
// The words that start a program of ours: its path, and before it, out of a bundle, the bundle's loader.
std::vector<std::string> program_command(const fs::path& program);
// <bundle>/lib/ld-linux… --library-path <bundle>/lib <bundle>/bin/<program>; GNNFLOW_BUNDLE=<bundle> belongs
// into its environment.
std::vector<std::string> bundled_command(const fs::path& bundle, std::string_view program);
extern const std::string_view kLoaderName;  // of this kind of machine
int usable_cores();                         // by affinity

}  // namespace gnnflow
