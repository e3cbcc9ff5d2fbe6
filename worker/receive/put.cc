// One thread takes chunks off the line and writes them; another makes whole files durable meanwhile.
#include "worker/receive/put.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "common/base/incoming.h"
#include "common/base/queue.h"
#include "common/base/text.h"
#include "common/wire/file_chunks.h"
#include "worker/receive/wanted.h"

namespace gnnflow {
namespace {

constexpr const char* kIncoming = "incoming";
constexpr Milliseconds kQueueWait{600'000};

// Digest, fsync, rename, and word of it.
class Finisher {
 public:
  struct Work {
    int64_t index;
    IncomingFile file;
  };
  Finisher(Frames& frames, size_t most) : frames_(frames), queue_(most), thread_([this] { run(); }) {}
  ~Finisher() { finish(); }

  void add(Work work) { queue_.push(std::move(work)); }
  // A file that was damaged and is empty now.
  std::optional<IncomingFile> take_back(int64_t index) {
    std::lock_guard lock(mutex_);
    auto found = damaged_.extract(index);
    return found ? std::optional<IncomingFile>(std::move(found.mapped())) : std::nullopt;
  }
  void finish() {  // what was added is done after it
    queue_.close();
    if (thread_.joinable()) thread_.join();
  }
  std::optional<Error> failure() {
    std::lock_guard lock(mutex_);
    return failure_;
  }
  void fail(Error error) {
    {
      std::lock_guard lock(mutex_);
      if (failure_) return;
      failure_ = error;
    }
    Message message = message_of("failed");
    message.head["cause"] = name_of(error.cause);
    message.head["message"] = error.message;
    (void)frames_.send(message);
  }

 private:
  void run() {
    while (!queue_.finished()) {
      if (std::optional<Work> work = queue_.pop(kQueueWait)) {
        if (Status done = complete(std::move(*work)); !done) fail(done.error());
      }
    }
  }
  Status complete(Work work) {
    TRY(std::string found, work.file.digest());
    Message message = message_of(found == work.file.place().digest ? "stored" : "damaged");
    message.head["file"] = work.index;
    if (found == work.file.place().digest) {
      TRY(work.file.publish());
    } else {
      message.head["digest"] = found;
      TRY(work.file.clear());
      std::lock_guard lock(mutex_);
      damaged_.emplace(work.index, std::move(work.file));
    }
    return frames_.send(message);
  }

  Frames& frames_;
  Queue<Work> queue_;
  std::mutex mutex_;
  std::optional<Error> failure_;             // guarded by mutex_
  std::map<int64_t, IncomingFile> damaged_;  // guarded by mutex_
  std::thread thread_;
};

class Put {
 public:
  Put(Frames& frames, Ticker& ticker) : frames_(frames), ticker_(ticker) {}
  Told run(const Json& request);

 private:
  Status prepare(const Json& request);
  Status lock_all(Deadline patience);
  Status lock_one(size_t index, Deadline patience);
  Status check_space() const;
  Status tell_plan();
  Told take_all(Finisher& finisher);
  Status take(FileChunk chunk, Finisher& finisher);
  void drop(const Json& done);
  Status sync_folders() const;

  Frames& frames_;
  Ticker& ticker_;
  fs::path root_, incoming_;
  std::vector<WantedFile> wanted_;
  std::vector<fs::path> targets_;
  std::vector<std::optional<IncomingFile>> files_;  // those that are not whole
};

Status Put::prepare(const Json& request) {
  TRY(root_, root_of(request));
  TRY(wanted_, files_of(request, "to"));
  for (const WantedFile& file : wanted_) {
    TRY(fs::path target, path_below(root_, file.path));
    targets_.push_back(std::move(target));
  }
  TRY(incoming_, path_below(root_, kIncoming));
  TRY(lock_all(Deadline::after(Milliseconds(request.integer_or("patience_ms", 0)))));
  return check_space();
}

// In the order of digests, in which every other controller takes them too: nobody waits in a circle.
Status Put::lock_all(Deadline patience) {
  files_.resize(wanted_.size());
  std::vector<size_t> order(wanted_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return wanted_[a].digest < wanted_[b].digest; });
  for (size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && wanted_[order[i]].digest == wanted_[order[i - 1]].digest)
      return Error{Cause::bad_data,
                   wanted_[order[i]].path + ": another file of the list has the same digest"};
    TRY(lock_one(order[i], patience));
  }
  return {};
}

Status Put::lock_one(size_t index, Deadline patience) {
  const WantedFile& file = wanted_[index];
  const IncomingFile::Place place{targets_[index], incoming_ / (file.digest + ".part"), file.bytes,
                                  file.digest, file.executable};
  Result<std::optional<IncomingFile>> begun = IncomingFile::begin_when_free(place, patience, [&]() -> Status {
    ticker_.set_waits("for another controller that sends " + place.target.string());
    return {};
  });
  ticker_.set_waits("");
  if (!begun) return std::move(begun).error();
  files_[index] = std::move(*begun);
  // What an earlier try has left is read now, while we say that we work, and not between two chunks.
  if (files_[index] && !files_[index]->whole()) TRY(files_[index]->digest());
  return {};
}

Status Put::check_space() const {
  int64_t missing = 0;
  for (const std::optional<IncomingFile>& file : files_) {
    if (file) missing += file->place().bytes - file->size();
  }
  TRY(int64_t free, free_bytes_at(incoming_));
  if (missing <= free) return {};
  return Error{Cause::no_resources, fmt::format("{}: {} are to come and {} are free there", root_.string(),
                                                format_bytes(static_cast<double>(missing)),
                                                format_bytes(static_cast<double>(free)))};
}

Status Put::tell_plan() {
  Message plan = message_of("plan");
  Json::Array offsets;
  for (const std::optional<IncomingFile>& file : files_) offsets.push_back(file ? file->size() : int64_t{-1});
  plan.head["offsets"] = std::move(offsets);
  return frames_.send(plan);
}

Status Put::take(FileChunk chunk, Finisher& finisher) {
  const size_t index = static_cast<size_t>(chunk.file);
  if (index < files_.size() && !files_[index]) files_[index] = finisher.take_back(chunk.file);
  if (index >= files_.size() || !files_[index] || chunk.offset != files_[index]->size())
    return Error{Cause::bad_data,
                 fmt::format("a chunk of file {} at {} is not the next one", chunk.file, chunk.offset)};
  IncomingFile& file = *files_[index];
  TRY(file.write(std::as_bytes(std::span(chunk.bytes))));
  if (!file.whole()) return {};
  Finisher::Work work{chunk.file, std::move(file)};
  files_[index].reset();
  finisher.add(std::move(work));
  return {};
}

// Of files whose source was changed nothing is worth keeping.
void Put::drop(const Json& done) {
  if (!done.get("drop").is_array()) return;
  for (const Json& row : done.get("drop").array()) {
    if (!row.is_integer() || row.integer() < 0 || row.integer() >= static_cast<int64_t>(files_.size()))
      continue;
    std::optional<IncomingFile>& file = files_[static_cast<size_t>(row.integer())];
    if (file) (void)file->clear();
  }
}

Told Put::take_all(Finisher& finisher) {
  for (size_t i = 0; i < files_.size(); ++i) {
    if (!files_[i] || !files_[i]->whole()) continue;
    Finisher::Work work{static_cast<int64_t>(i), std::move(*files_[i])};
    files_[i].reset();
    finisher.add(std::move(work));
  }
  while (true) {
    Result<std::optional<Message>> message = frames_.receive(kSilence);
    if (!message) return {std::move(message).error(), true};
    if (!*message) return {Error{Cause::unreachable, "the controller went away"}, true};
    if ((*message)->type() == "done") {
      finisher.finish();
      drop((*message)->head);
      return {};
    }
    if ((*message)->type() != "chunk")
      return {Error{Cause::bad_data, "a put is followed by " + (*message)->type()}, true};
    if (finisher.failure()) continue;
    Result<FileChunk> chunk = read_chunk(std::move(**message));
    Status taken = chunk ? take(std::move(*chunk), finisher) : Status(std::move(chunk).error());
    if (!taken) finisher.fail(taken.error());
  }
}

// Also for files that were there: their folder's fsync may be what an earlier try did not reach.
Status Put::sync_folders() const {
  std::set<fs::path> folders = {incoming_};
  for (const fs::path& target : targets_) {
    for (fs::path at = target.parent_path(); at.native().size() >= root_.native().size();
         at = at.parent_path()) {
      folders.insert(at);
      if (at == root_ || !at.has_relative_path()) break;
    }
  }
  for (const fs::path& folder : folders) {
    Status synced = sync_folder(folder);
    if (!synced && synced.error().cause != Cause::not_found) return synced;
  }
  return {};
}

Told Put::run(const Json& request) {
  if (Status prepared = prepare(request); !prepared) return {prepared, false};
  if (Status told = tell_plan(); !told) return {told, true};
  Told told;
  std::optional<Error> failure;
  {
    Finisher finisher(frames_, wanted_.size());
    told = take_all(finisher);
    finisher.finish();
    failure = finisher.failure();
  }
  files_.clear();  // locks are free, empty parts gone
  if (told.gone) return told;
  if (failure) return {std::move(*failure), false};
  Status synced = sync_folders();
  ::rmdir(incoming_.c_str());  // when nothing else is in it
  return {synced, false};
}

}  // namespace

Told receive_files(Frames& frames, Ticker& ticker, const Json& request) {
  return Put(frames, ticker).run(request);
}

}  // namespace gnnflow
