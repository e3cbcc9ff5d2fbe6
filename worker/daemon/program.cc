// Fork, exec, adopt, kill, reap.
#include "worker/daemon/program.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/text.h"
#include "worker/daemon/gone.h"

extern char** environ;

namespace gnnflow {
namespace {

constexpr Milliseconds kReapEvery{500};  // adopted processes that end while the program runs
constexpr Milliseconds kEndWhatIsLeft{10'000};

std::map<std::string, std::string> environment_of(const Program& program) {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry; ++entry) {
    std::string_view text = *entry;
    size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      variables[std::string(text.substr(0, equals))] = text.substr(equals + 1);
  }
  for (const auto& [name, value] : program.environment) variables[name] = value;
  variables["GNNFLOW_TOKEN"] = program.token;
  variables.erase("GNNFLOW_BUNDLE");  // says where our own libraries are
  return variables;
}

bool is_program(const fs::path& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

// Looked up before the fork: afterwards little may be called.
Result<fs::path> find_program(const std::string& name, const fs::path& folder, const std::string& search) {
  if (name.find('/') != std::string::npos) {
    fs::path path = folder / name;
    if (is_program(path)) return path;
    return Error{Cause::not_found, fmt::format("{}: no program that can be run", path.string())};
  }
  for (const std::string& place : split(search, ':')) {
    fs::path path = folder / place / name;  // a relative or empty place means the folder it runs in
    if (is_program(path)) return path;
  }
  return Error{Cause::not_found, fmt::format("{}: no such program in PATH", name)};
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  for (std::string& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

struct Launch {
  fs::path path, folder;
  std::vector<char*> argv, environment;
  int null = -1, failed = -1;  // descriptors
};

// Between fork and exec, in a program with threads: nothing but system calls.
[[noreturn]] void become(const Launch& launch, int parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() == parent && ::dup2(launch.null, 0) == 0 && ::chdir(launch.folder.c_str()) == 0) {
    ::signal(SIGPIPE, SIG_DFL);
    ::execve(launch.path.c_str(), launch.argv.data(), launch.environment.data());
  }
  int error_number = errno;
  [[maybe_unused]] ssize_t written = ::write(launch.failed, &error_number, sizeof error_number);
  ::_exit(127);
}

Result<int> launch(const Program& program) {
  std::map<std::string, std::string> variables = environment_of(program);
  TRY(fs::path path, find_program(program.command[0], program.folder, variables["PATH"]));
  std::vector<std::string> argv = program.command, environment;
  for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
  FileDescriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  std::array<int, 2> ends{};
  if (!null || ::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error("starting " + path.string(), errno);
  FileDescriptor reading(ends[0]), writing(ends[1]);
  Launch prepared{path, program.folder, pointers(argv), pointers(environment), null.get(), writing.get()};
  int self = ::getpid(), pid = ::fork();
  if (pid < 0) return system_error("starting " + path.string(), errno);
  if (pid == 0) become(prepared, self);
  writing.reset();
  int error_number = 0;
  if (::read(reading.get(), &error_number, sizeof error_number) == sizeof error_number) {
    ::waitpid(pid, nullptr, 0);
    return system_error("starting " + path.string(), error_number);
  }
  return pid;
}

ExitState state_of(int status) {
  ExitState state;
  if (WIFSIGNALED(status)) {
    state.signal = WTERMSIG(status);
  } else {
    state.code = WEXITSTATUS(status);
  }
  return state;
}

// Reaps what has ended; true while there are children at all. The state of `program` is kept when it is among
// them.
bool reap(int program, std::optional<ExitState>& state) {
  while (true) {
    int status = 0, pid = ::waitpid(-1, &status, WNOHANG);
    if (pid == program) state = state_of(status);
    if (pid == 0) return true;
    if (pid < 0 && errno != EINTR) return false;
  }
}

// Children of any thread of ours: those that threw their environment away are found so.
void kill_children() {
  std::error_code error;
  for (fs::directory_iterator thread("/proc/self/task", error), end; !error && thread != end;
       thread.increment(error)) {
    Result<std::string> text = read_file(thread->path() / "children");
    if (!text) continue;
    for (const std::string& word : split(*text, ' ')) {
      // Our own unreaped children: their numbers cannot be used again.
      if (std::optional<int64_t> pid = parse_integer(trimmed(word)))
        ::kill(static_cast<pid_t>(*pid), SIGKILL);
    }
  }
}

// Each round kills the children; theirs are adopted and found in the next.
Status end_what_is_left(const Program& program, std::optional<ExitState>& state, int pid) {
  const auto round = [&] {
    kill_children();
    size_t carriers = kill_carriers(program.token);
    bool children = reap(pid, state);
    return carriers == 0 && !children;
  };
  if (kill_until_clean(round, Deadline::after(kEndWhatIsLeft))) return {};
  return Error{Cause::failed,
               fmt::format("{}: what it left behind was killed and does not end: the kernel holds it",
                           program.command[0])};
}

}  // namespace

Result<ExitState> run_program(const Program& program, const StopSignal& stop) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  TRY(int pid, launch(program));
  FileDescriptor process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  std::optional<ExitState> state;
  bool told = false;
  while (!state) {
    pollfd waits[2] = {{process.get(), POLLIN, 0}, {told ? -1 : stop.descriptor(), POLLIN, 0}};
    ::poll(waits, 2, static_cast<int>(kReapEvery.count()));
    if (stop.raised() && !told) {
      told = true;
      ::kill(-pid, SIGTERM);
    }
    reap(pid, state);
  }
  TRY(end_what_is_left(program, state, pid));
  return *state;
}

}  // namespace gnnflow
