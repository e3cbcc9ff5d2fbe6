// Here the daemon is started as a program and reached over its socket, and files are copied from folder to
// folder.
#include "orchestrator/remote/local_host.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "common/base/child_process.h"
#include "common/base/digest.h"
#include "common/base/incoming.h"
#include "orchestrator/remote/daemon_log.h"
#include "orchestrator/remote/transfer.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kPollPause{20};

bool may_run(const fs::path& file) {
  std::error_code error;
  return (fs::status(file, error).permissions() & fs::perms::owner_exec) != fs::perms::none && !error;
}

std::string words_of(const fs::path& log) {
  Result<std::string> text = read_file(log, kMostDaemonLog);
  if (!text) return "its log " + log.string() + " cannot be read";
  return fmt::format("{} says: {}", log.string(), last_lines(*text));
}

}  // namespace

LocalHost::LocalHost(std::string name, const fs::path& workspace, std::string store_id, fs::path worker)
    : name_(std::move(name)),
      store_id_(std::move(store_id)),
      root_(workspace / store_id_ / name_),
      worker_(std::move(worker)) {}

Error LocalHost::not_answering(std::string_view what) const {
  return {Cause::unreachable, fmt::format("host {}: {}; {}", name_, what, words_of(root_ / "daemon.log"))};
}

Result<bool> LocalHost::daemon_alive() { return FileLock::is_held(root_ / "lock"); }

Result<MessageLink> LocalHost::connect(Deadline) {
  TRY(fs::path socket, daemon_socket_path(root_));
  return MessageLink::connect_unix(socket).within("host " + name_);
}

Result<bool> LocalHost::spawn(Milliseconds lease, Milliseconds grace, Deadline deadline) {
  TRY(create_folders(root_).within("host " + name_));
  ChildOptions options;
  options.argv = {worker_.string(), "daemon",
                  "--root",         root_.string(),
                  "--store",        store_id_,
                  "--host",         name_,
                  "--lease",        std::to_string(lease.count()),
                  "--grace",        std::to_string(grace.count()),
                  "--near",         "--background"};
  options.working_folder = "/";
  Result<std::string> said = run_and_read(options, deadline);
  if (said) return true;
  // It lost a race for the lock: whoever won will answer.
  Result<bool> alive = daemon_alive();
  if (alive && *alive) return false;
  Error error = not_answering("its daemon did not start: " + said.error().message);
  error.cause = said.error().cause == Cause::no_resources ? Cause::no_resources : Cause::unreachable;
  return error;
}

Status LocalHost::start_daemon(Milliseconds lease, Milliseconds grace, Deadline deadline) {
  bool spawned = false;
  while (true) {
    TRY(bool alive, daemon_alive());
    if (!alive && spawned) return not_answering("its daemon ended as soon as it had started");
    // Not there, or one that was found alive was just ending.
    if (!alive) {
      TRY(spawned, spawn(lease, grace, deadline));
    }
    // A connection that is accepted is the answer; who that is says its hello.
    Result<MessageLink> link = connect(deadline);
    if (link) return {};
    if (deadline.passed()) return not_answering("its daemon does not answer: " + link.error().message);
    std::this_thread::sleep_for(std::min(kPollPause, deadline.left()));
  }
}

Status LocalHost::put(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
                      const TransferProgress& progress, const StopSignal& stop) {
  TRY(Arrivals arrivals, Arrivals::at(root_, to).within("host " + name_));
  return transfer_files(from, files, std::move(arrivals), progress, stop).within("host " + name_);
}

Status LocalHost::get(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
                      const TransferProgress& progress, const StopSignal& stop) {
  for (const HostFile& file : files) {
    TRY(path_below(root_, from / file.path).within("host " + name_));
  }
  TRY(Arrivals arrivals, Arrivals::in(to).within("host " + name_));
  return transfer_files(root_ / from, files, std::move(arrivals), progress, stop).within("host " + name_);
}

Result<std::vector<bool>> LocalHost::check(const std::vector<HostFile>& files, const fs::path& at,
                                           bool digests, const StopSignal& stop) {
  std::vector<bool> good;
  for (const HostFile& file : files) {
    TRY(fs::path path, path_below(root_, at / file.path).within("host " + name_));
    TRY(bool matches, file_matches(path, file.bytes, "").within("host " + name_));
    matches = matches && (!file.executable || may_run(path));
    if (matches && digests) {
      TRY(const std::string found, digest_of_file(path, &stop).within("host " + name_));
      matches = found == file.digest;
    }
    good.push_back(matches);
  }
  return good;
}

Result<std::string> LocalHost::read(const fs::path& path, int64_t limit) {
  TRY(fs::path inside, path_below(root_, path).within("host " + name_));
  return read_file(inside, limit).within("host " + name_);
}

Result<std::string> LocalHost::read_from(const fs::path& path, int64_t offset, int64_t limit) {
  TRY(fs::path inside, path_below(root_, path).within("host " + name_));
  return read_piece(inside, offset, limit).within("host " + name_);
}

}  // namespace gnnflow
