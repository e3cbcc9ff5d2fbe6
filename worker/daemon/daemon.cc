// The start of a daemon: background, lock, journal, the dead of a former daemon, socket; then its loop.
#include "worker/daemon/daemon.h"

#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "common/base/child_process.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/wire/message.h"
#include "worker/daemon/background.h"
#include "worker/daemon/daemon_loop.h"
#include "worker/daemon/gone.h"
#include "worker/daemon/host_folder.h"
#include "worker/daemon/journal.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kEndTheDead{20'000};

// The lock says that somebody lives; the file's content who it is.
Result<FileLock> take_lock(const fs::path& path) {
  Result<FileLock> lock = FileLock::take(path);
  if (!lock) {
    if (lock.error().cause != Cause::locked) return lock;
    std::string winner = read_file(path).value_or("");
    return Error{Cause::locked, fmt::format("{}: another daemon has it ({})", path.string(),
                                            winner.empty() ? "just started" : trimmed(winner))};
  }
  std::string who = fmt::format("process {}\n", ::getpid());
  if (::ftruncate(lock->descriptor(), 0) != 0 ||
      ::pwrite(lock->descriptor(), who.data(), who.size(), 0) != static_cast<ssize_t>(who.size())) {
    return system_error("writing " + path.string(), errno);
  }
  return lock;
}

// What a former daemon has started and never saw ending is ended, and called lost only then.
Status end_the_dead(const HostFolder& host, Journal& journal) {
  std::vector<JobRecord> unfinished;
  for (const auto& [token, job] : journal.jobs()) {
    if (!is_final(job.state)) unfinished.push_back(job);
  }
  for (JobRecord& job : unfinished) {
    TRY(end_everything(host, job.token, Deadline::after(kEndTheDead)));
    job.state = JobState::lost;
    TRY(journal.put(job));
    log_info("{} is lost: an earlier daemon ended without it", job.token);
  }
  return {};
}

// Kept is what may still be published: the folders of jobs whose end is recorded and not acknowledged. What
// cannot be removed (a program made it immutable, say) keeps nobody out: it is told.
std::string clean_up(const HostFolder& host, const Journal& journal) {
  std::vector<std::string> stuck;
  const auto hear = [&](const Status& removed) {
    if (removed) return;
    log_warning("{}", removed.error().message);
    stuck.push_back(removed.error().message);
  };
  std::error_code error;
  for (fs::directory_iterator entry(host.tmp(), error), end; !error && entry != end; entry.increment(error)) {
    auto job = journal.jobs().find(entry->path().filename().string());
    if (job == journal.jobs().end() || job->second.state == JobState::lost) hear(remove_tree(entry->path()));
  }
  hear(host.remove_leftovers());
  if (stuck.size() < 2) return stuck.empty() ? "" : stuck[0];
  return fmt::format("{} (and {} more)", stuck[0], stuck.size() - 1);
}

struct Running {
  HostFolder host;
  std::optional<FileLock> lock;
  std::optional<Journal> journal;
  std::string leftovers;
  fs::path socket;
  FileDescriptor listener;
};

Status start(Running& daemon) {
  TRY(daemon.lock, take_lock(daemon.host.lock()));
  TRY(daemon.journal, Journal::open(daemon.host.journal()));
  TRY(end_the_dead(daemon.host, *daemon.journal));
  daemon.leftovers = clean_up(daemon.host, *daemon.journal);
  TRY(daemon.socket, daemon_socket_path(daemon.host.root));
  TRY(make_socket_folder(daemon.socket));
  TRY(daemon.listener, listen_unix(daemon.socket));
  return {};
}

int fail(const Error& error) {
  log_error("{}", error.message);
  return exit_code(error.cause);
}

}  // namespace

int daemon_main(DaemonOptions options) {
  options.root = fs::absolute(options.root).lexically_normal();
  if (!options.root.has_filename()) options.root = options.root.parent_path();
  Running daemon{HostFolder{options.root}, {}, {}, {}, {}, {}};
  if (Status made = daemon.host.make(); !made) return fail(made.error());
  StartReport report;
  if (options.background) report = go_to_background(daemon.host.daemon_log());
  // The lock comes after the forks: a fork would share it.
  if (Status started = start(daemon); !started) {
    report.failed(started.error());
    return fail(started.error());
  }
  log_info("daemon of host {} is up, process {}", options.host, ::getpid());
  report.up();
  int code = run_daemon_loop({options, daemon.host, *daemon.journal, std::move(daemon.listener),
                              daemon.socket, std::move(daemon.leftovers)});
  log_info("daemon of host {} ends", options.host);
  return code;
}

}  // namespace gnnflow
