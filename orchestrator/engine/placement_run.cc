// Sends each host the files of its parts that it lacks.
#include "orchestrator/engine/placement_run.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>

#include "common/base/child_process.h"
#include "common/base/digest.h"
#include "common/base/text.h"
#include "orchestrator/engine/manifest.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kListLimit{600'000};

Result<std::vector<HostFile>> list_part(const fs::path& worker, const fs::path& partition, int part) {
  ChildOptions options;
  options.argv = {worker.string(), "list", partition.string(), "--part", std::to_string(part), "--json"};
  TRY(auto text, run_and_read(options, Deadline::after(kListLimit)));
  return parse_manifest(text, "files of part " + std::to_string(part));
}

// The lists of files that are put beside the parts, so that a later run sees at once what is missing.
Result<std::vector<HostFile>> write_lists(const fs::path& folder,
                                          const std::map<int, std::vector<HostFile>>& parts) {
  std::vector<HostFile> lists;
  TRY(create_folders(folder));
  for (const auto& [part, files] : parts) {
    const std::string text = write_manifest(files);
    const fs::path file = manifest_of(part_name(part));
    TRY(write_file_atomically(folder / file, text));
    lists.push_back({file.string(), static_cast<int64_t>(text.size()), digest_of(text)});
  }
  return lists;
}

std::vector<HostFile> union_of(const std::map<int, std::vector<HostFile>>& parts) {
  std::vector<HostFile> files;
  std::set<std::string> seen;
  for (const auto& [part, list] : parts) {
    for (const HostFile& file : list) {
      if (seen.insert(file.path).second) files.push_back(file);
    }
  }
  return files;
}

}  // namespace

PlacementRun::PlacementRun(Workbench& bench, PlacementSetup setup, const StopSignal& halt, Ended ended)
    : bench_(bench),
      step_(setup.step),
      row_(std::move(setup.row)),
      tasks_(std::move(setup.tasks)),
      made_(std::move(setup.made)),
      partition_(std::move(setup.partition)),
      worker_(std::move(setup.worker)),
      halt_(halt),
      ended_(std::move(ended)) {}

std::vector<int> PlacementRun::parts_of(const std::string& host) const {
  std::vector<int> parts;
  for (const auto& [part, hosts] : made_.holders) {
    if (std::find(hosts.begin(), hosts.end(), host) != hosts.end()) parts.push_back(part);
  }
  return parts;
}

void PlacementRun::begin() {
  row_.state = AttemptState::running;
  bench_.commit(bench_.store.set_attempt(row_.id, row_.state));
  bench_.artifacts.bring(std::string(kController), partition_, [this](Result<fs::path> path) {
    if (!path) return fail(path.error());
    list(*path);
  });
}

void PlacementRun::cancel(Cause cause, std::string why) {
  if (ending()) return;
  cancelled_ = true;
  end_ = {AttemptState::cancelled, cause, std::move(why), ""};
}

void PlacementRun::list(const fs::path& partition) {
  std::vector<int> parts;
  for (const auto& [part, hosts] : made_.holders) parts.push_back(part);
  const auto all = [worker = worker_, partition, parts](Host&) -> Result<PartFiles> {
    PartFiles files;
    for (const int part : parts) {
      TRY(files[part], list_part(worker, partition, part));
    }
    return files;
  };
  bench_.pool.work<Result<PartFiles>>(
      std::string(kController), all,
      [this, partition](Result<PartFiles> files) { listed(partition, std::move(files)); });
}

void PlacementRun::listed(const fs::path& partition, Result<PartFiles> files) {
  if (!files) return fail(files.error());
  if (cancelled_) return finish();
  files_ = std::move(files).value();
  open_ = static_cast<int>(tasks_.size());
  if (open_ == 0) return finish();
  for (size_t i = 0; i < tasks_.size(); ++i) send(i, partition);
}

void PlacementRun::send(size_t index, const fs::path& partition) {
  TaskRow& task = tasks_[index];
  if (!is_final(task.state)) {  // of a controller before us: what it had sent is looked at again
    task.state = TaskState::started;
    task.started_ms = bench_.clock.unix_milliseconds();
    bench_.commit(bench_.store.set_task(task));
  }
  // Where the partition was made it lies already, whole.
  auto whole = bench_.read(bench_.locations.on(task.host, partition_.digest, partition_.name));
  if (whole && *whole) return sent(index, sent_and_stored(task.host, **whole));

  PartFiles mine;
  for (const int part : parts_of(task.host)) {
    mine[part] = files_[part];
    bench_.commit(
        bench_.store.set_location({made_.digest, part_name(part), task.host, "data/" + made_.digest, false}));
  }
  const auto files = union_of(mine);
  const int64_t total = bytes_of(files);
  bytes_sent_ += total;
  const fs::path lists = bench_.pool.root(std::string(kController)) / "data" / (made_.digest + ".parts");
  const std::string to = "data/" + made_.digest;
  auto report = [this, index, total](int64_t done) {
    Progress progress;
    progress.phase = "sending";
    progress.done = done;
    progress.total = total;
    progress.unit = "bytes";
    if (over_) return;
    bench_.observer.step_progress(step_->name, tasks_[index].host, progress);
    bench_.commit(bench_.store.set_progress(row_.id, tasks_[index].index, progress.to_json()));
  };
  const auto transfer = [this, partition, files, mine, lists, to, report, total](Host& host) -> Status {
    auto last = std::make_shared<Monotonic>();
    const TransferProgress tell = [this, report, last, total](int64_t done) {
      const auto now = system_clock().now();
      if (done < total && now - *last < Milliseconds(200)) return;
      *last = now;
      bench_.pool.post([report, done] { report(done); });
    };
    TRY(host.put(partition, files, to, tell, halt_));
    TRY(auto manifests, write_lists(lists, mine));
    return host.put(
        lists, manifests, to, [](int64_t) {}, halt_);
  };
  bench_.pool.work<Status>(task.host, transfer, [this, index, to](Status status) {
    if (status) status = sent_and_stored(tasks_[index].host, to);
    sent(index, std::move(status));
  });
}

Status PlacementRun::sent_and_stored(const std::string& host, const std::string& path) {
  for (const int part : parts_of(host)) {
    TRY(bench_.store.set_location({made_.digest, part_name(part), host, path, true}));
  }
  return {};
}

void PlacementRun::sent(size_t index, Status status) {
  TaskRow& task = tasks_[index];
  if (!is_final(task.state)) {
    task.state = status ? TaskState::exited : TaskState::killed;
    task.code = status ? 0 : exit_code(status.error().cause);
    task.ended_ms = bench_.clock.unix_milliseconds();
    bench_.commit(bench_.store.set_task(task));
  }
  if (!status && !cancelled_ && end_.state == AttemptState::succeeded) {
    const Error& error = status.error();
    const bool lost = error.cause == Cause::unreachable || error.cause == Cause::temporary;
    end_ = {lost ? AttemptState::lost : AttemptState::failed, error.cause,
            "to " + task.host + ": " + error.message, ""};
  }
  if (--open_ == 0) finish();
}

void PlacementRun::fail(const Error& error) {
  if (!cancelled_) end_ = {AttemptState::failed, error.cause, error.message, ""};
  finish();
}

void PlacementRun::finish() {
  over_ = true;
  row_.state = end_.state;
  if (end_.state == AttemptState::succeeded) {
    std::vector<PieceRow> pieces;
    for (const auto& [part, files] : files_)
      pieces.push_back({part_name(part), digest_of_files(files), bytes_of(files)});
    std::vector<LocationRow> locations;
    bench_.commit(bench_.store.succeed(row_.id, pieces, locations));
    summary_ = std::to_string(files_.size()) + " parts on " + std::to_string(tasks_.size()) + " hosts, " +
               format_bytes(static_cast<double>(bytes_sent_));
  } else {
    bench_.commit(bench_.store.set_attempt(row_.id, end_.state, name_of(end_.cause), end_.message));
  }
  ended_(*this);
}

}  // namespace gnnflow
