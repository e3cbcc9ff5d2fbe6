// Fork, setsid, and one line of JSON through a pipe.
#include "orchestrator/cli/detach.h"

#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/pipe_text.h"

namespace gnnflow {
namespace {

class ReportingView final : public RunObserver {
 public:
  ReportingView(std::unique_ptr<RunObserver> view, StartReport& report)
      : view_(std::move(view)), report_(report) {}

  void run_began(int64_t run, std::string_view workflow, int steps) override {
    run_ = run;
    view_->run_began(run, workflow, steps);
  }
  void step_news(const StepNews& news) override { view_->step_news(news); }
  void step_progress(std::string_view step, std::string_view task, const Progress& progress) override {
    view_->step_progress(step, task, progress);
  }
  void note(std::string_view text) override { view_->note(text); }
  void failure(std::string_view step, std::string_view message, std::string_view tail) override {
    if (failure_.empty()) failure_ = message;
    view_->failure(step, message, tail);
  }
  // The engine's loop goes round: the run is more than one with nothing to do.
  void tick() override {
    report_.began(run_);
    view_->tick();
  }
  void run_ended(int exit_code, std::string_view summary) override {
    view_->run_ended(exit_code, summary);
    report_.ended(run_, exit_code,
                  exit_code != 0 && !failure_.empty() ? std::string_view(failure_) : summary);
  }

 private:
  std::unique_ptr<RunObserver> view_;
  StartReport& report_;
  int64_t run_ = 0;
  std::string failure_;  // the first
};

Status point_at(int descriptor, const fs::path& path, int flags) {
  FileDescriptor file(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  if (!file || ::dup2(file.get(), descriptor) < 0) return system_error("opening " + path.string(), errno);
  return {};
}

// What the foreground has open may be waited for by others: a pipe of the caller's ends when all have
// closed it.
Status leave_terminal(const fs::path& log, int keep) {
  ::setsid();
  TRY(point_at(STDIN_FILENO, "/dev/null", O_RDONLY));
  TRY(point_at(STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND));
  TRY(point_at(STDERR_FILENO, log, O_WRONLY | O_CREAT | O_APPEND));
  if (keep > STDERR_FILENO + 1) ::close_range(STDERR_FILENO + 1, static_cast<unsigned>(keep) - 1, 0);
  ::close_range(static_cast<unsigned>(keep) + 1, ~0U, 0);
  return {};
}

[[noreturn]] void be_the_child(const fs::path& log, FileDescriptor to, const fs::path& folder,
                               const BackgroundWork& work) {
  Status left = leave_terminal(log, to.get());
  StartReport report(std::move(to));
  Result<int> done = left ? Result<int>(0) : Result<int>(left.error());
  if (left) {
    Console console = process_console();
    console.folder = folder;
    console.err(fmt::format("{}: process {}\n", format_time(system_clock().unix_milliseconds()), ::getpid()));
    done = work(console, report);
    if (!done) console.err("gnnflow: " + done.error().message + "\n");
  }
  if (!done) report.failed(done.error());
  ::_exit(done ? *done : exit_code(done.error().cause));
}

// It ended without a word.
Error silent_end(int pid, const fs::path& log) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  const std::string how = WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                                              : fmt::format("exit code {}", WEXITSTATUS(status));
  return {Cause::failed,
          fmt::format("the controller ended before its run began ({}); see {}", how, log.string())};
}

}  // namespace

void StartReport::say(const Json& report) {
  if (!to_) return;
  write_text(to_.get(), report.dump());  // perhaps nobody waits any more
  to_.reset();
}

void StartReport::began(int64_t run) {
  if (to_) say(Json(Json::Object{{"goes_on", true}, {"run", run}}));
}

void StartReport::ended(int64_t run, int exit_code, std::string_view text) {
  say(Json(Json::Object{{"goes_on", false}, {"run", run}, {"exit_code", exit_code}, {"text", text}}));
}

void StartReport::failed(const Error& error) { ended(0, exit_code(error.cause), error.message); }

std::unique_ptr<RunObserver> reporting_view(std::unique_ptr<RunObserver> view, StartReport& report) {
  return std::make_unique<ReportingView>(std::move(view), report);
}

Result<Detached> detach(const fs::path& log, const fs::path& folder, const BackgroundWork& work) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("making a pipe", errno);
  FileDescriptor from(ends[0]), to(ends[1]);
  const int pid = ::fork();
  if (pid < 0) return system_error("starting a process", errno);
  if (pid == 0) {
    from.reset();
    be_the_child(log, std::move(to), folder, work);
  }
  to.reset();
  const std::string said = read_to_end(from.get());
  if (said.empty()) return silent_end(pid, log);
  TRY(Json report, Json::parse(said));
  Detached detached;
  detached.pid = pid;
  detached.run = report.integer_or("run", 0);
  detached.goes_on = report.boolean_or("goes_on", false);
  detached.exit_code = static_cast<int>(report.integer_or("exit_code", 0));
  detached.text = report.text_or("text", "");
  // It is on its way out: whoever asks next finds the state free.
  if (!detached.goes_on) ::waitpid(pid, nullptr, 0);
  return detached;
}

}  // namespace gnnflow
