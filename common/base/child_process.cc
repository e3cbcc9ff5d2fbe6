// Boost.Process starts a program; everything after that is ours, by pidfd.
#include "common/base/child_process.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <mutex>

#include <boost/version.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
// Version 1 of Boost.Process, which newer releases keep in a folder of its own.
#if BOOST_VERSION >= 108800
#include <boost/process/v1/args.hpp>
#include <boost/process/v1/child.hpp>
#include <boost/process/v1/env.hpp>
#include <boost/process/v1/environment.hpp>
#include <boost/process/v1/error.hpp>
#include <boost/process/v1/exe.hpp>
#include <boost/process/v1/extend.hpp>
#include <boost/process/v1/posix.hpp>
#include <boost/process/v1/start_dir.hpp>
namespace bp = boost::process::v1;
#else
#include <boost/process/args.hpp>
#include <boost/process/child.hpp>
#include <boost/process/env.hpp>
#include <boost/process/environment.hpp>
#include <boost/process/error.hpp>
#include <boost/process/exe.hpp>
#include <boost/process/extend.hpp>
#include <boost/process/posix.hpp>
#include <boost/process/start_dir.hpp>
namespace bp = boost::process;
#endif

#include <fmt/format.h>

#include "common/base/file_effects.h"
#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr size_t kMostHandedOn = 4;
constexpr Milliseconds kUntilKilled{5'000};

struct Binding {
  FileDescriptor ours;
  int theirs = 0;
};

// 0, 1, 2 and the handed on descriptors. Copies lie above every target, so that no dup2 in the child
// overwrites a source of a later one or meets itself (which would leave O_CLOEXEC on).
class Bindings {
 public:
  Status add(int ours, int theirs) {
    FileDescriptor copy(::fcntl(ours, F_DUPFD_CLOEXEC, 64));
    if (!copy) return system_error(fmt::format("handing on descriptor {}", ours), errno);
    if (theirs >= 64 || used_ == bindings_.size()) bug("too many descriptors, or too high ones, handed on");
    bindings_[used_++] = {std::move(copy), theirs};
    highest_ = std::max(highest_, theirs);
    return {};
  }

  // Boost.Process opens a pipe of its own, which must not lie where a dup2 will hit it: fills the low
  // numbers.
  Status occupy() {
    while (true) {
      FileDescriptor filler(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (!filler) return system_error("opening /dev/null", errno);
      bool above = filler.get() > highest_;
      fillers_.push_back(std::move(filler));
      if (above) return {};
    }
  }

  // Unused rows repeat the first: the number of arguments to Boost.Process is fixed when we compile.
  const Binding& at(size_t i) const { return bindings_[i < used_ ? i : 0]; }

 private:
  std::array<Binding, 3 + kMostHandedOn> bindings_;
  size_t used_ = 0;
  int highest_ = 2;
  std::vector<FileDescriptor> fillers_;
};

Status bind_standard(Bindings& bindings, const ChildOptions& options) {
  TRY(FileDescriptor null, open_file("/dev/null", O_RDWR));
  TRY(bindings.add(null.get(), 0));
  FileDescriptor output;
  if (!options.output.empty()) {
    TRY(output, open_file(options.output, O_WRONLY | O_CREAT | O_APPEND, 0600));
  }
  int target = output ? output.get() : null.get();
  TRY(bindings.add(target, 1));
  return bindings.add(target, 2);
}

Status check(const ChildOptions& options) {
  if (options.argv.empty()) bug("a program without a name is started");
  const std::string& program = options.argv[0];
  if (::access(program.c_str(), X_OK) != 0) return system_error("starting " + program, errno);
  // Boost.Process goes on where it is when it cannot change the folder.
  if (!options.working_folder.empty() && ::access(options.working_folder.c_str(), X_OK) != 0) {
    return system_error(fmt::format("starting {} in {}", program, options.working_folder.string()), errno);
  }
  return {};
}

struct Launched {
  int pid = -1;
  FileDescriptor pidfd;
};

// Ours, with what is added to it or replaces it, as execve takes it. (The map of Boost.Process reads past the
// end of variables that are shorter than the name that it looks for.)
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& changes) {
    for (char** entry = environ; *entry; ++entry) {
      std::string_view text = *entry;
      if (!changes.count(std::string(text.substr(0, text.find('='))))) entries_.emplace_back(text);
    }
    for (const auto& [name, value] : changes) entries_.push_back(name + "=" + value);
    for (std::string& entry : entries_) pointers_.push_back(entry.data());
    pointers_.push_back(nullptr);
  }
  Environment(const Environment&) = delete;
  char** block() { return pointers_.data(); }

 private:
  std::vector<std::string> entries_;
  std::vector<char*> pointers_;
};

Result<int> spawn(const ChildOptions& options, const Bindings& fds) {
  Environment environment(options.environment);
  std::vector<std::string> arguments(options.argv.begin() + 1, options.argv.end());
  std::string folder = options.working_folder.empty() ? "." : options.working_folder.string();
  auto bind = [&fds](size_t i) { return bp::posix::fd.bind(fds.at(i).theirs, fds.at(i).ours.get()); };
  int failed_pid = -1;
  std::error_code error;
  // In Boost.Process the pipe that tells of a failed exec is for a moment open to others that fork.
  static std::mutex one_at_a_time;
  std::lock_guard lock(one_at_a_time);
  try {
    bp::child child(
        bp::exe = options.argv[0], bp::args = arguments, bp::start_dir = folder, bind(0), bind(1), bind(2),
        bind(3), bind(4), bind(5), bind(6),
        bp::extend::on_setup = [&](auto& executor) { executor.env = environment.block(); },
        bp::extend::on_error = [&](auto& executor, const std::error_code&) { failed_pid = executor.pid; },
        error);
    if (!error) {
      int pid = child.id();
      child.detach();
      return pid;
    }
  } catch (const std::exception& e) {
    return Error{Cause::failed, fmt::format("starting {}: {}", options.argv[0], e.what())};
  }
  // The one that could not exec waits to be reaped, and Boost.Process does not.
  if (failed_pid > 0) ::waitpid(failed_pid, nullptr, 0);
  return system_error("starting " + options.argv[0], error.value());
}

Result<Launched> launch(const ChildOptions& options, Bindings& bindings) {
  if (options.descriptors.size() > kMostHandedOn) bug("too many descriptors handed on");
  for (auto [ours, theirs] : options.descriptors) TRY(bindings.add(ours, theirs));
  TRY(check(options));
  TRY(bindings.occupy());
  TRY(int pid, spawn(options, bindings));
  FileDescriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (pidfd) return Launched{pid, std::move(pidfd)};
  int error_number = errno;
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  return system_error("watching " + options.argv[0], error_number);
}

}  // namespace

std::string ExitState::text() const {
  return signal ? fmt::format("killed by signal {}", signal) : fmt::format("exit code {}", code);
}

Result<ChildProcess> ChildProcess::start(const ChildOptions& options) {
  Bindings bindings;
  TRY(bind_standard(bindings, options));
  TRY(Launched launched, launch(options, bindings));
  return adopt(launched.pid, std::move(launched.pidfd));
}

Result<ChildProcess> ChildProcess::start_with_output(const ChildOptions& options, int output, int errors) {
  Bindings bindings;
  TRY(FileDescriptor null, open_file("/dev/null", O_RDONLY));
  TRY(bindings.add(null.get(), 0));
  TRY(bindings.add(output, 1));
  TRY(bindings.add(errors, 2));
  TRY(Launched launched, launch(options, bindings));
  return adopt(launched.pid, std::move(launched.pidfd));
}

Result<ChildProcess> ChildProcess::adopt(int pid, FileDescriptor pidfd) {
  ChildProcess child;
  child.pidfd_ = std::move(pidfd);
  child.identity_.pid = pid;  // first, so that the destructor ends it if the rest fails
  TRY(child.identity_, identity_of(pid));
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : identity_(std::exchange(other.identity_, {})),
      pidfd_(std::move(other.pidfd_)),
      ended_(std::exchange(other.ended_, std::nullopt)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(identity_, other.identity_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(ended_, other.ended_);
  return *this;
}

ChildProcess::~ChildProcess() {
  if (identity_.pid <= 0) return;
  if (!ended_) ::kill(identity_.pid, SIGKILL);
  // One that waits inside the kernel may never end: it is init's when we have ended.
  Deadline deadline = Deadline::after(kUntilKilled);
  while (::waitpid(identity_.pid, nullptr, WNOHANG) == 0 && !deadline.passed()) {
    pollfd watch{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    ::poll(&watch, 1, deadline.poll_timeout());
  }
}

std::optional<ExitState> ChildProcess::wait(Deadline deadline) {
  while (!ended_) {
    pollfd watch{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    int ready = ::poll(&watch, 1, deadline.poll_timeout());
    if (ready == 0 && deadline.passed()) return std::nullopt;
    if (ready <= 0) continue;
    siginfo_t info{};
    // It stays a zombie, so that its number stays taken.
    if (::waitid(P_PID, static_cast<id_t>(identity_.pid), &info, WEXITED | WNOWAIT) != 0) {
      if (errno == EINTR) continue;
      bug(fmt::format("child {} was waited for by somebody else", identity_.pid));
    }
    bool exited = info.si_code == CLD_EXITED;
    ended_ = exited ? ExitState{.code = info.si_status} : ExitState{.signal = info.si_status};
  }
  return ended_;
}

// 0 is an object that was moved from; kill(2) would take it for our own group.
void ChildProcess::signal_group(int number) {
  if (identity_.pid > 0) ::kill(-identity_.pid, number);
}

void ChildProcess::signal(int number) {
  if (identity_.pid > 0) ::kill(identity_.pid, number);
}

}  // namespace gnnflow
