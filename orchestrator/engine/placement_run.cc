// Sends each host the files of its parts that it lacks.
#include "orchestrator/engine/placement_run.h"

#include <algorithm>
#include <set>

#include "common/base/child_process.h"
#include "common/base/digest.h"
#include "common/base/text.h"
#include "orchestrator/engine/manifest.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kListLimit{600'000};
constexpr Milliseconds kTellEvery{200};

Result<std::vector<HostFile>> list_part(const fs::path& worker, const fs::path& partition, int part,
                                        const StopSignal& halt) {
  ChildOptions options;
  options.argv = {worker.string(), "list", partition.string(), "--part", std::to_string(part), "--json"};
  TRY(auto text, run_and_read(options, Deadline::after(kListLimit), &halt));
  return parse_listing(text, "files of part " + std::to_string(part));
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

// What has to be sent, and of each folder where nothing has to be, one small file: an earlier try may have
// ended before that folder was synced, and putting a file that is there does it.
std::vector<HostFile> files_to_put(const std::vector<HostFile>& files, const std::vector<bool>& there) {
  std::map<fs::path, const HostFile*> smallest;
  std::set<fs::path> touched;
  for (size_t i = 0; i < files.size(); ++i) {
    const fs::path folder = fs::path(files[i].path).parent_path();
    if (!there[i]) touched.insert(folder);
    const HostFile*& least = smallest[folder];
    if (there[i] && (!least || files[i].bytes < least->bytes)) least = &files[i];
  }
  std::vector<HostFile> put;
  for (const auto& [folder, file] : smallest) {
    if (file && touched.count(folder) == 0) put.push_back(*file);
  }
  for (size_t i = 0; i < files.size(); ++i) {
    if (!there[i]) put.push_back(files[i]);
  }
  return put;
}

std::string bytes_text(int64_t bytes) { return format_bytes(static_cast<double>(bytes)); }

}  // namespace

struct PlacementRun::Shipment {
  std::map<int, std::vector<HostFile>> parts;  // that the host lacks
  fs::path partition, lists;                   // here
  std::string to;                              // below the host's root
  int64_t sent = 0, there = 0;                 // bytes; the host's thread writes them until it has ended
  std::function<void()> begun;                 // the host has answered
  std::function<void(const Progress&)> tell;
};

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
  const auto all = [worker = worker_, partition, parts, halt = &halt_](Host&) -> Result<PartFiles> {
    PartFiles files;
    for (const int part : parts) {
      TRY(files[part], list_part(worker, partition, part, *halt));
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
  const TaskRow& task = tasks_[index];
  // Where the partition was made it lies already, whole.
  auto whole = bench_.read(bench_.locations.on(task.host, partition_.digest, partition_.name));
  if (whole && *whole) {
    PartFiles held;
    for (const int part : parts_of(task.host)) held[part] = files_[part];
    bytes_there_ += bytes_of(union_of(held));
    return sent(index, stored_on(task.host, **whole));
  }

  auto shipment = shipment_for(index, partition);
  if (shipment->parts.empty()) return sent(index, {});
  bench_.pool.work<Status>(
      task.host, [shipment, halt = &halt_](Host& host) { return ship(host, *shipment, *halt); },
      [this, index, shipment](Status status) {
        bytes_sent_ += shipment->sent;
        bytes_there_ += shipment->there;
        if (status) status = stored_on(tasks_[index].host, shipment->to);
        sent(index, std::move(status));
      });
}

// Of a controller before us: what it had sent is looked at again.
void PlacementRun::begun(size_t index) {
  TaskRow& task = tasks_[index];
  if (over_ || is_final(task.state) || task.state == TaskState::started) return;
  task.state = TaskState::started;
  task.started_ms = bench_.clock.unix_milliseconds();
  bench_.commit(bench_.store.set_task(task));
}

bool PlacementRun::holds(const std::string& host, int part) {
  const auto copies = bench_.read(bench_.locations.of(made_.digest, part_name(part)));
  return copies && std::any_of(copies->begin(), copies->end(), [&](const LocationRow& copy) {
           return copy.host == host && bench_.locations.fault(copy).empty();
         });
}

std::shared_ptr<PlacementRun::Shipment> PlacementRun::shipment_for(size_t index, const fs::path& partition) {
  const std::string& host = tasks_[index].host;
  auto shipment = std::make_shared<Shipment>();
  shipment->partition = partition;
  shipment->lists = bench_.pool.root(std::string(kController)) / "data" / (made_.digest + ".parts");
  shipment->to = "data/" + made_.digest;
  PartFiles held;
  for (const int part : parts_of(host)) {
    if (holds(host, part)) {
      held[part] = files_[part];
      continue;
    }
    shipment->parts[part] = files_[part];
    bench_.commit(bench_.store.set_location({made_.digest, part_name(part), host, shipment->to, false}));
  }
  bytes_there_ += bytes_of(union_of(held));
  shipment->begun = [this, index, pool = &bench_.pool] { pool->post([this, index] { begun(index); }); };
  shipment->tell = [this, index, pool = &bench_.pool](const Progress& progress) {
    pool->post([this, index, progress] { tell(index, progress); });
  };
  return shipment;
}

Status PlacementRun::ship(Host& host, Shipment& shipment, const StopSignal& halt) {
  const auto files = union_of(shipment.parts);
  TRY(const auto there, host.check(files, shipment.to, true, halt));
  shipment.begun();
  int64_t missing = 0;
  for (size_t i = 0; i < files.size(); ++i) missing += there[i] ? 0 : files[i].bytes;
  const auto put = files_to_put(files, there);
  const int64_t known = bytes_of(put) - missing;  // files that are there come first
  shipment.there = bytes_of(files) - missing;
  Monotonic began, last;
  int64_t at_first = -1;
  const TransferProgress told = [&](int64_t done) {
    Progress progress;
    progress.phase = "sending";
    progress.unit = "bytes";
    progress.total = missing;
    progress.done = shipment.sent = std::max<int64_t>(0, done - known);
    const auto now = system_clock().now();
    if (at_first < 0) {  // a file may go on where an earlier try broke off
      began = now;
      at_first = progress.done;
    }
    if (progress.done < missing && now - last < kTellEvery) return;
    last = now;
    const double seconds = std::chrono::duration<double>(now - began).count();
    if (seconds > 0) progress.rate = static_cast<double>(progress.done - at_first) / seconds;
    if (shipment.there > 0) progress.note = bytes_text(shipment.there) + " were there";
    if (missing > 0) shipment.tell(progress);
  };
  TRY(host.put(shipment.partition, put, shipment.to, told, halt));
  TRY(auto lists, write_lists(shipment.lists / host.name(), shipment.parts));
  return host.put(
      shipment.lists / host.name(), lists, shipment.to, [](int64_t) {}, halt);
}

void PlacementRun::tell(size_t index, const Progress& progress) {
  if (over_) return;
  bench_.observer.step_progress(step_->name, tasks_[index].host, progress);
  bench_.commit(bench_.store.set_progress(row_.id, tasks_[index].index, progress.to_json()));
}

Status PlacementRun::stored_on(const std::string& host, const std::string& path) {
  return bench_.store.together([&]() -> Status {
    for (const int part : parts_of(host)) {
      if (!holds(host, part))
        TRY(bench_.store.set_location({made_.digest, part_name(part), host, path, true}));
    }
    return {};
  });
}

// Of a task that never began only the reason is kept.
void PlacementRun::end_task(TaskRow& task, const Status& status) {
  if (is_final(task.state)) return;
  if (status) {
    task.state = TaskState::exited;
  } else if (cancelled_) {
    task.tail = end_.message;
    if (task.state != TaskState::intent) task.state = TaskState::killed;
  } else {
    task.tail = status.error().message;
    task.code = exit_code(status.error().cause);
    if (task.state != TaskState::intent)
      task.state = is_connection(status.error().cause) ? TaskState::lost : TaskState::exited;
  }
  if (is_final(task.state)) task.ended_ms = bench_.clock.unix_milliseconds();
  bench_.commit(bench_.store.set_task(task));
}

void PlacementRun::sent(size_t index, Status status) {
  TaskRow& task = tasks_[index];
  if (status) begun(index);  // nothing had to be asked
  end_task(task, status);
  if (!status && !cancelled_ && end_.state == AttemptState::succeeded) {
    const Error& error = status.error();
    end_ = {is_connection(error.cause) ? AttemptState::lost : AttemptState::failed, error.cause,
            "to " + task.host + ": " + error.message, ""};
  }
  if (--open_ == 0) finish();
}

void PlacementRun::fail(const Error& error) {
  if (!cancelled_) end_ = {AttemptState::failed, error.cause, error.message, ""};
  finish();
}

// With the tasks that nothing was done about.
void PlacementRun::store_bad_end() {
  for (TaskRow& task : tasks_) {
    if (task.tail.empty()) end_task(task, Error{end_.cause, end_.message});
  }
  bench_.commit(bench_.store.set_attempt(row_.id, end_.state, name_of(end_.cause), end_.message));
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
    const auto counted = [](size_t count, const std::string& what) {
      return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
    };
    summary_ = counted(files_.size(), "part") + " on " + counted(tasks_.size(), "host") + ", ";
    summary_ += bytes_sent_ == 0 ? "nothing to send" : bytes_text(bytes_sent_) + " sent";
    if (bytes_there_ > 0) summary_ += ", " + bytes_text(bytes_there_) + " were there";
  } else {
    bench_.together([&] { store_bad_end(); });
  }
  ended_(*this);
}

}  // namespace gnnflow
