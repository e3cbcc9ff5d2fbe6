// The two forks.
#include "worker/daemon/background.h"

#include <cstdlib>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/pipe_text.h"

namespace gnnflow {
namespace {

constexpr int kPipe = 3;  // all above it are closed

[[noreturn]] void launcher(int pipe, pid_t child) {
  ::waitpid(child, nullptr, 0);
  Result<Json> report = Json::parse(read_to_end(pipe));
  if (report && report->boolean_or("up", false)) std::_Exit(0);
  std::string message =
      report ? report->text_or("message", "") : "the daemon ended while it started: see daemon.log";
  log_error("{}", message);
  std::_Exit(report ? static_cast<int>(report->integer_or("code", 1)) : 1);
}

void redirect(int to, const fs::path& path, int flags) {
  int file = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (file < 0 || ::dup2(file, to) < 0) bug("cannot redirect to " + path.string());
  ::close(file);
}

}  // namespace

void StartReport::up() {
  if (!pipe_) return;
  write_text(pipe_.get(), R"({"up":true})");
  pipe_.reset();
}

void StartReport::failed(const Error& error) {
  if (!pipe_) return;
  Json report;
  report["up"] = false;
  report["code"] = exit_code(error.cause);
  report["message"] = error.message;
  write_text(pipe_.get(), report.dump());
  pipe_.reset();
}

StartReport go_to_background(const fs::path& log) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) bug("no descriptors left");
  pid_t child = ::fork();
  if (child < 0) bug("fork failed");
  if (child > 0) {
    ::close(ends[1]);
    launcher(ends[0], child);
  }
  ::setsid();
  pid_t grandchild = ::fork();
  if (grandchild != 0) std::_Exit(grandchild > 0 ? 0 : 1);
  [[maybe_unused]] int moved = ::chdir("/");
  redirect(STDIN_FILENO, "/dev/null", O_RDONLY);
  redirect(STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND);
  redirect(STDERR_FILENO, log, O_WRONLY | O_CREAT | O_APPEND);
  int pipe = ends[1];
  if (pipe != kPipe && ::dup3(pipe, kPipe, O_CLOEXEC) < 0) bug("no descriptors left");
  ::close_range(kPipe + 1, ~0U, 0);
  return StartReport(FileDescriptor(kPipe));
}

}  // namespace gnnflow
