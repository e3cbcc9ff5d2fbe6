// The steps between being started and being the job.
#include "worker/daemon/shim.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/base/child_process.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/wire/job_channel.h"
#include "common/wire/message.h"
#include "worker/daemon/exec_task.h"

extern char** environ;

namespace gnnflow {
namespace {

constexpr int kNoDaemon = exit_code(Cause::terminated);
// Settings of the shell in which the controller was started would change how fast a job is, or which
// libraries it loads.
constexpr std::array<std::string_view, 7> kCleared = {"OMP_", "GOMP_", "KMP_", "OPENBLAS_",
                                                      "MKL_", "DNNL_", "LD_"};
constexpr std::array<const char*, 3> kThreadSettings = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                                        "MKL_NUM_THREADS"};

// The death signal comes when the daemon's thread ends; the daemon may have ended before it was set.
bool tie_to(int parent) {
  ::setpgid(0, 0);
  return ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::getppid() == parent;
}

// One byte at a time: what comes after GO belongs to the program.
bool wait_for_go() {
  MessageDecoder decoder;
  while (true) {
    char byte;
    ssize_t got = ::read(kChannelDescriptor, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    decoder.feed({&byte, 1});
    Result<std::optional<Message>> message = decoder.next();
    if (!message) return false;
    if (*message) return (*message)->type() == "go";
  }
}

// The lock outlives exec and is inherited by every child: it is free when the last of them has closed it.
Status hold(const fs::path& alive) {
  static std::optional<FileLock> held;
  TRY(FileLock lock, FileLock::take(alive));
  if (::fcntl(lock.descriptor(), F_SETFD, 0) != 0) return system_error("keeping " + alive.string(), errno);
  held.emplace(std::move(lock));
  return {};
}

void clean_environment(int64_t threads) {
  std::vector<std::string> names;
  for (char** entry = environ; *entry; ++entry) {
    std::string_view name = std::string_view(*entry).substr(0, std::string_view(*entry).find('='));
    for (std::string_view prefix : kCleared) {
      if (name.starts_with(prefix)) names.emplace_back(name);
    }
  }
  for (const std::string& name : names) ::unsetenv(name.c_str());
  for (const char* name : kThreadSettings) ::setenv(name, std::to_string(threads).c_str(), 1);
}

Error become(const ShimOptions& options, const Task& task) {
  clean_environment(std::max<int64_t>(1, task.spec.integer_or("threads", 1)));
  const fs::path program = options.program == "worker" ? own_program() : program_beside("gnnflow-trainer");
  // A bundle's loader would say in its own way, and to the log alone, that there is none.
  if (::access(program.c_str(), X_OK) != 0) return system_error("starting " + program.string(), errno);
  std::vector<std::string> words = program_command(program);
  for (const std::string& word : {options.kind, std::string("--task"), options.task.string()})
    words.push_back(word);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  return system_error("starting " + program.string(), errno);
}

int fail(const Error& error) {
  std::unique_ptr<JobChannel> channel = JobChannel::open();
  return report_failure(*channel, error);
}

}  // namespace

int shim_main(const ShimOptions& options) {
  if (!tie_to(options.parent)) return kNoDaemon;
  if (Status held = hold(options.task.parent_path() / "alive"); !held) return fail(held.error());
  if (!wait_for_go()) return kNoDaemon;
  Result<Task> task = Task::read(options.task);
  if (!task) return fail(task.error());
  if (options.program == "exec") return run_exec_task(*task);
  return fail(become(options, *task));
}

}  // namespace gnnflow
