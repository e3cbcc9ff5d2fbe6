// What /proc says about processes, and programs that are run to their end.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/child_process.h"
#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr int kReadsAfterEnd = 32;  // of 64 KiB, more than a pipe holds

struct ProcessState {
  char state = 'X';
  int64_t start_time = 0;
};

// /proc/<pid>/stat: "pid (name) state …"; the name may hold anything, so fields count from the last
// parenthesis.
Result<ProcessState> state_of(int pid) {
  std::string path = fmt::format("/proc/{}/stat", pid);
  TRY(std::string text, read_file(path));
  constexpr size_t kStartTime = 19;  // field 22, counted from the state
  size_t end = text.rfind(')');
  std::vector<std::string> fields;
  if (end != std::string::npos && end + 2 < text.size()) fields = split(trimmed(text.substr(end + 2)), ' ');
  std::optional<int64_t> start;
  if (fields.size() > kStartTime && fields[0].size() == 1) start = parse_integer(fields[kStartTime]);
  if (!start) return Error{Cause::failed, path + ": cannot be understood"};
  return ProcessState{fields[0][0], *start};
}

const std::string& this_boot() {
  static const std::string id = boot_id();
  return id;
}

// False at end of file.
bool read_some(int descriptor, std::string& into) {
  std::array<char, 65536> buffer;
  ssize_t size = ::read(descriptor, buffer.data(), buffer.size());
  if (size > 0) into.append(buffer.data(), static_cast<size_t>(size));
  return size > 0 || (size < 0 && (errno == EINTR || errno == EAGAIN));
}

struct Pipe {
  FileDescriptor read, write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends;
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error("making a pipe", errno);
  Pipe pipe{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return pipe;
}

// Reads both until the child has ended and they are empty: what it left behind may hold them open for ever,
// or write for ever, so that after the end no more is taken than a pipe holds.
bool read_until_end(const ChildProcess& child, std::array<Pipe, 2>& pipes, std::array<std::string, 2>& texts,
                    Deadline deadline, const StopSignal* stop) {
  bool ended = false;
  for (int after = 0; after < kReadsAfterEnd; after += ended ? 1 : 0) {
    std::array<pollfd, 4> watch;
    watch[3] = {.fd = stop ? stop->descriptor() : -1, .events = POLLIN, .revents = 0};
    watch[0] = {.fd = ended ? -1 : child.descriptor(), .events = POLLIN, .revents = 0};
    for (size_t i = 0; i < 2; ++i) watch[i + 1] = {.fd = pipes[i].read.get(), .events = POLLIN, .revents = 0};
    int ready = ::poll(watch.data(), watch.size(), ended ? 0 : deadline.poll_timeout());
    if (ready == 0 && ended) return true;
    if (!ended && (deadline.passed() || (stop && stop->raised()))) return false;
    if (ready < 0) continue;
    for (size_t i = 0; i < 2; ++i) {
      if (watch[i + 1].revents != 0 && !read_some(pipes[i].read.get(), texts[i])) pipes[i].read.reset();
    }
    if (watch[0].revents != 0) ended = true;
  }
  return true;
}

// The end of what it said, as one line.
std::string last_words(std::string_view text) {
  constexpr size_t kMost = 1000;
  std::string_view rest = trimmed(text);
  if (rest.size() > kMost) rest.remove_prefix(rest.size() - kMost);
  std::vector<std::string> lines = split(rest, '\n');
  return join(lines, " | ");
}

}  // namespace

Result<ProcessIdentity> identity_of(int pid) {
  TRY(ProcessState state, state_of(pid));
  return ProcessIdentity{.pid = pid, .start_time = state.start_time, .boot = this_boot()};
}

bool ProcessIdentity::alive() const {
  if (pid <= 0 || boot != this_boot()) return false;
  Result<ProcessState> state = state_of(pid);
  return state && state->start_time == start_time && state->state != 'Z' && state->state != 'X';
}

Result<std::string> run_and_read(const ChildOptions& options, Deadline deadline, const StopSignal* stop) {
  std::array<Pipe, 2> pipes;
  for (Pipe& pipe : pipes) {
    TRY(pipe, make_pipe());
  }
  TRY(ChildProcess child,
      ChildProcess::start_with_output(options, pipes[0].write.get(), pipes[1].write.get()));
  for (Pipe& pipe : pipes) pipe.write.reset();
  std::array<std::string, 2> texts;
  if (!read_until_end(child, pipes, texts, deadline, stop)) {
    if (stop && stop->raised()) return Error{stop->cause(), "stopped while " + options.argv[0] + " ran"};
    return Error{Cause::failed, fmt::format("{} did not end in time", options.argv[0])};
  }
  std::optional<ExitState> state = child.wait(Deadline::never());
  if (state->good()) return std::move(texts[0]);
  Cause cause = state->signal ? Cause::failed : cause_of_exit_code(state->code);
  std::string words = last_words(texts[1]);
  return Error{cause,
               fmt::format("{}: {}{}{}", options.argv[0], state->text(), words.empty() ? "" : ": ", words)};
}

std::vector<int> processes_with(std::string_view name, std::string_view value) {
  std::string wanted = fmt::format("{}={}", name, value);
  std::vector<int> found;
  std::error_code error;
  for (fs::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error)) {
    std::optional<int64_t> pid = parse_integer(entry->path().filename().native());
    if (!pid || *pid == ::getpid()) continue;
    struct stat info {};
    if (::stat(entry->path().c_str(), &info) != 0 || info.st_uid != ::getuid()) continue;
    // One that has ended meanwhile, or that we may not look into, is none of ours.
    Result<std::string> environment = read_file(entry->path() / "environ");
    if (!environment) continue;
    std::vector<std::string> variables = split(*environment, '\0');
    if (std::find(variables.begin(), variables.end(), wanted) != variables.end())
      found.push_back(static_cast<int>(*pid));
  }
  return found;
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  // Over 1024 cores the fixed set is too small.
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace gnnflow
