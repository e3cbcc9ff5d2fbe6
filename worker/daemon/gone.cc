// Finding and killing what carries a token.
#include "worker/daemon/gone.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/child_process.h"
#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr std::string_view kTokenVariable = "GNNFLOW_TOKEN";
constexpr Milliseconds kBetweenScans{50};
constexpr Milliseconds kAfterKill{5};

// Through a descriptor of the process: between finding the number and the signal the kernel may use it again.
template <typename Check>
void kill_if(int pid, Check still_the_one) {
  FileDescriptor process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (process && still_the_one()) ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
}

bool carries(int pid, std::string_view token) {
  Result<std::string> environment = read_file(fmt::format("/proc/{}/environ", pid));
  if (!environment) return false;
  std::vector<std::string> variables = split(*environment, '\0');
  return std::find(variables.begin(), variables.end(), fmt::format("{}={}", kTokenVariable, token)) !=
         variables.end();
}

bool holds(int pid, const fs::path& file) {
  std::error_code error;
  for (fs::directory_iterator entry(fmt::format("/proc/{}/fd", pid), error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    if (fs::read_symlink(entry->path(), ignored) == file) return true;
  }
  return false;
}

// Who holds the lock may have thrown its environment away.
void kill_holders(const fs::path& alive) {
  std::error_code error;
  fs::path file = fs::weakly_canonical(alive, error);
  for (fs::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error)) {
    std::optional<int64_t> number = parse_integer(entry->path().filename().string());
    if (!number || *number == ::getpid()) continue;
    int pid = static_cast<int>(*number);
    if (holds(pid, file)) kill_if(pid, [&] { return holds(pid, file); });
  }
}

bool nobody_carries(std::string_view token) { return processes_with(kTokenVariable, token).empty(); }

}  // namespace

bool kill_until_clean(const std::function<bool()>& round, Deadline deadline) {
  bool clean_before = false;
  while (true) {
    const bool clean = round();
    if (clean && clean_before) return true;
    if (deadline.passed()) return false;
    clean_before = clean;
    std::this_thread::sleep_for(clean ? kBetweenScans : kAfterKill);
  }
}

size_t kill_carriers(std::string_view token) {
  std::vector<int> found = processes_with(kTokenVariable, token);
  for (int pid : found) kill_if(pid, [&] { return carries(pid, token); });
  return found.size();
}

Result<bool> is_gone(const HostFolder& host, std::string_view token) {
  TRY(bool held, FileLock::is_held(host.alive(token)));
  if (held || !nobody_carries(token)) return false;
  std::this_thread::sleep_for(kBetweenScans);
  return nobody_carries(token);
}

Status end_everything(const HostFolder& host, std::string_view token, Deadline deadline) {
  while (true) {
    size_t killed = kill_carriers(token);
    TRY(bool held, FileLock::is_held(host.alive(token)));
    if (killed == 0 && !held) {
      std::this_thread::sleep_for(kBetweenScans);
      if (nobody_carries(token)) return {};
      continue;
    }
    if (deadline.passed()) {
      return Error{Cause::failed, fmt::format("processes of {} cannot be ended", token)};
    }
    if (killed == 0) kill_holders(host.alive(token));
    std::this_thread::sleep_for(kAfterKill);
  }
}

}  // namespace gnnflow
