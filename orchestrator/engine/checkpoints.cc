// Copying, finding and bringing checkpoints.
#include "orchestrator/engine/checkpoints.h"

#include <algorithm>
#include <map>
#include <utility>

#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "orchestrator/engine/manifest.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kAskLimit{30'000};
constexpr Milliseconds kOthersLimit{35'000};  // a host that is gone must not hold up the one that was asked
constexpr Milliseconds kRemoveLimit{60'000};
constexpr const char* kIndex = "checkpoint.json";

const TransferProgress kNoProgress = [](int64_t) {};

struct Index {
  std::vector<HostFile> files;  // without checkpoint.json itself
  int64_t best_epoch = 0;
};

Result<Index> parse_index(std::string_view text, const std::string& where) {
  TRY(const Json json, Json::parse(text).within(where));
  Index index;
  const Json& files = json.get("files");
  if (!files.is_object()) return Error{Cause::bad_data, where + ": has no map 'files'"};
  for (const auto& [name, entry] : files.object()) {
    HostFile file{name, entry.integer_or("bytes", -1), entry.text_or("digest", "")};
    if (!is_inside(file.path) || file.bytes < 0 || file.digest.empty())
      return Error{Cause::bad_data, where + ": no file can be '" + name + "' " + entry.dump()};
    index.files.push_back(std::move(file));
  }
  index.best_epoch = json.integer_or("best_epoch", 0);
  return index;
}

Result<Index> read_index(const fs::path& folder, std::string* text = nullptr) {
  TRY(std::string content, read_file(folder / kIndex, kMostManifestBytes));
  TRY(Index index, parse_index(content, (folder / kIndex).string()));
  if (const std::string wrong = first_misfit(folder, index.files); !wrong.empty())
    return Error{Cause::bad_data, folder.string() + ": " + wrong};
  if (text) *text = std::move(content);
  return index;
}

// As trainers do it on their host: the last two up to `epoch`, and the best.
Status keep_the_last_two(const fs::path& folder, int64_t epoch, int64_t best_epoch) {
  int kept = 0;
  for (const int64_t one : complete_checkpoints(folder)) {
    if (one > epoch) continue;
    const bool last = ++kept <= 2;
    if (last || one == best_epoch) continue;
    TRY(remove_tree(folder / std::to_string(one)));
  }
  return {};
}

// checkpoint.json comes last: without it the folder is no checkpoint.
Status copy_here(Host& host, const fs::path& from, const fs::path& to, const StopSignal& stop) {
  TRY(const std::string text, host.read(from / kIndex, kMostManifestBytes));
  TRY(const Index index, parse_index(text, "checkpoint " + from.string() + " on host " + host.name()));
  std::string there;
  if (read_index(to, &there) && there == text) return {};
  TRY(remove_tree(to));
  TRY(create_folders(to));
  TRY(host.get(from, index.files, to, kNoProgress, stop));
  TRY(host.get(from, {{kIndex, static_cast<int64_t>(text.size()), digest_of(text)}}, to, kNoProgress, stop));
  const auto epoch = parse_integer(to.filename().string());
  return keep_the_last_two(to.parent_path(), epoch.value_or(0), index.best_epoch);
}

Status send_there(Host& host, const fs::path& from, const fs::path& to, const StopSignal& stop) {
  std::string text;
  TRY(const Index index, read_index(from, &text));
  TRY(host.put(from, index.files, to, kNoProgress, stop));
  return host.put(from, {{kIndex, static_cast<int64_t>(text.size()), digest_of(text)}}, to, kNoProgress,
                  stop);
}

Status check_there(Host& host, const fs::path& folder, const StopSignal& stop) {
  TRY(const std::string text, host.read(folder / kIndex, kMostManifestBytes));
  TRY(const Index index, parse_index(text, "checkpoint " + folder.string() + " on host " + host.name()));
  TRY(const auto good, host.check(index.files, folder, false, stop));
  for (size_t i = 0; i < good.size(); ++i) {
    if (!good[i])
      return Error{Cause::bad_data, "file " + index.files[i].path + " of it is gone or has another size"};
  }
  return {};
}

}  // namespace

fs::path checkpoints_path(const std::string& step, const std::string& resume_key) {
  return fs::path("checkpoints") / step / resume_key;
}

std::vector<int64_t> complete_checkpoints(const fs::path& folder) {
  std::vector<int64_t> epochs;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const auto epoch = parse_integer(at->path().filename().string());
    if (epoch && *epoch > 0 && read_index(at->path())) epochs.push_back(*epoch);
  }
  std::sort(epochs.rbegin(), epochs.rend());
  return epochs;
}

struct Checkpoints::Search {
  std::string host;
  int64_t most_epochs = 0;
  std::function<void(Result<Found>)> then;
  Found found;
  std::optional<Error> error;
  int open = 0;

  void add(FoundCheckpoint checkpoint) {
    if (checkpoint.epoch > 0 && checkpoint.epoch <= most_epochs) found.push_back(std::move(checkpoint));
  }
  // Of equal ones the smaller is taken: what lies there already, a result that was verified, a copy here.
  int distance(const FoundCheckpoint& checkpoint) const {
    if (checkpoint.result) return 1;
    if (checkpoint.host == host) return 0;
    return checkpoint.host == kController ? 2 : 3;
  }
};

Checkpoints::Checkpoints(Workbench& bench, std::string step, std::string resume_key, int64_t most_bytes)
    : bench_(bench), step_(std::move(step)), resume_key_(std::move(resume_key)), most_bytes_(most_bytes) {}

fs::path Checkpoints::folder(const std::string& host) const { return bench_.pool.root(host) / path(); }

LocationRow Checkpoints::row(const std::string& host, bool verified) const {
  return {resume_key_, "checkpoints of " + step_, host, path().string(), verified};
}

std::vector<LocationRow> Checkpoints::rows() {
  auto all = bench_.read(bench_.store.locations_of(resume_key_)).value_or(std::vector<LocationRow>());
  std::erase_if(all, [&](const LocationRow& one) { return one.piece != row("", false).piece; });
  return all;
}

void Checkpoints::may_be_on(const std::string& host) {
  const auto all = rows();
  const bool there =
      std::any_of(all.begin(), all.end(), [&](const LocationRow& one) { return one.host == host; });
  if (!there) bench_.commit(bench_.store.set_location(row(host, false)));
}

void Checkpoints::made(const std::string& host, int64_t epoch, int64_t bytes) {
  if (known_.insert(host).second) bench_.commit(bench_.store.set_location(row(host, true)));
  if (host == kController || most_bytes_ == 0 || epoch <= newest_) return;
  if (bytes > most_bytes_) {
    if (!std::exchange(told_size_, true)) {
      bench_.observer.note(step_ + ": its checkpoints of " + format_bytes(static_cast<double>(bytes)) +
                           " stay on host " + host + " alone: `checkpoint_copy` is " +
                           format_bytes(static_cast<double>(most_bytes_)));
    }
    return;
  }
  newest_ = epoch;
  waiting_ = FoundCheckpoint{epoch, host, {}};
}

void Checkpoints::copy_next() {
  if (copying_ || !waiting_ || stop_->raised()) return;
  const FoundCheckpoint next = *std::exchange(waiting_, std::nullopt);
  copying_ = true;
  const std::string controller(kController);
  may_be_on(controller);
  const fs::path from = path() / std::to_string(next.epoch);
  bench_.pool.work<Status>(
      next.host,
      [from, to = bench_.pool.root(controller) / from, stop = stop_](Host& at) {
        return stop->raised() ? Status(Error{stop->cause(), "stopped"}) : copy_here(at, from, to, *stop);
      },
      [this, epoch = next.epoch](const Status& status) { copied(epoch, status); });
}

void Checkpoints::copied(int64_t epoch, const Status& status) {
  copying_ = false;
  const std::string controller(kController);
  if (status && known_.insert(controller).second)
    bench_.commit(bench_.store.set_location(row(controller, true)));
  // Most often it was removed there while it was read, because newer ones had come.
  if (!status) log_debug("{}: checkpoint of epoch {} not copied: {}", step_, epoch, status.error().message);
  if (when_idle_) return std::exchange(when_idle_, nullptr)();
  copy_next();
}

void Checkpoints::stop() { stop_->raise(); }

void Checkpoints::find(const std::string& host, int64_t most_epochs,
                       std::function<void(Result<Found>)> then) {
  auto search = std::make_shared<Search>();
  search->host = host;
  search->most_epochs = most_epochs;
  search->then = std::move(then);
  search->open = 1;
  out_of_reach_.clear();
  const std::string controller(kController);
  if (host != controller) {
    for (const int64_t epoch : complete_checkpoints(folder(controller))) search->add({epoch, controller, {}});
  }
  add_results(*search);
  for (const LocationRow& one : rows()) {
    if (one.host == host || one.host == controller) continue;
    out_of_reach_.insert(one.host);
    if (!bench_.pool.knows(one.host)) continue;
    ++search->open;
    bench_.pool.reach(one.host, [this, search, other = one.host](const Status& status) {
      if (status) return ask(search, other);
      log_debug("{}: checkpoints on host {}: {}", step_, other, status.error().message);
      answered(search);
    });
  }
  bench_.timers.after(kOthersLimit, [this, search] { finish(search); });
  ask(search, host);
}

void Checkpoints::ask(const SearchPtr& search, const std::string& host) {
  Message order;
  order.head["type"] = "checkpoints";
  order.head["step"] = step_;
  order.head["resume_key"] = resume_key_;
  bench_.pool.order(host, std::move(order), kAskLimit, [this, search, host](Result<Message> answer) {
    if (answer) {
      out_of_reach_.erase(host);
      const Json& list = answer->head.get("checkpoints");
      for (const Json& one : list.is_array() ? list.array() : Json::Array())
        search->add({one.integer_or("epoch", 0), host, {}});
    } else if (host == search->host) {
      search->error = std::move(answer).error();
    }
    answered(search);
  });
}

void Checkpoints::add_results(Search& search) {
  const auto earlier = bench_.read(bench_.store.succeeded_with_resume_key(step_, resume_key_));
  for (const AttemptRow& attempt : earlier.value_or(std::vector<AttemptRow>())) {
    const auto pieces = bench_.read(bench_.store.pieces_of(attempt.id));
    if (!pieces || pieces->empty()) continue;
    const auto copies = bench_.read(bench_.locations.of(pieces->front().digest, pieces->front().name));
    const bool there = copies && std::any_of(copies->begin(), copies->end(), [&](const LocationRow& copy) {
                         return bench_.pool.knows(copy.host) && bench_.locations.fault(copy).empty();
                       });
    if (!there) continue;
    search.add({epochs_in(attempt.metrics), "",
                Piece{pieces->front().name, pieces->front().digest, pieces->front().bytes}});
  }
}

void Checkpoints::answered(const SearchPtr& search) {
  if (--search->open == 0) finish(search);
}

void Checkpoints::finish(const SearchPtr& search) {
  if (!search->then) return;
  const auto then = std::exchange(search->then, nullptr);
  if (search->error) return then(*search->error);
  std::stable_sort(search->found.begin(), search->found.end(),
                   [&](const FoundCheckpoint& a, const FoundCheckpoint& b) {
                     if (a.epoch != b.epoch) return a.epoch > b.epoch;
                     return search->distance(a) < search->distance(b);
                   });
  then(std::move(search->found));
}

void Checkpoints::bring(const std::string& host, const FoundCheckpoint& checkpoint,
                        std::function<void(Result<fs::path>)> then) {
  if (checkpoint.result) return bring_result(host, *checkpoint.result, std::move(then));
  const fs::path there = folder(host) / std::to_string(checkpoint.epoch);
  if (checkpoint.host == host) return then(there);
  fetch(checkpoint, [=, this](Status fetched) {
    if (!fetched) return then(std::move(fetched).error());
    if (host == kController) return then(there);
    send(host, checkpoint.epoch,
         [then, there](Status sent) { sent ? then(there) : then(std::move(sent).error()); });
  });
}

// Where it is on that host already it may have been removed by hand since: looked at before it is relied on.
void Checkpoints::bring_result(const std::string& host, const Piece& piece,
                               std::function<void(Result<fs::path>)> then) {
  bench_.artifacts.bring(host, piece, [this, host, then](Result<fs::path> path) {
    if (!path) return then(std::move(path));
    const fs::path last = *path / "last";
    const fs::path below = last.lexically_relative(bench_.pool.root(host));
    bench_.pool.work<Status>(
        host, [below, stop = stop_](Host& at) { return check_there(at, below, *stop); },
        [then, last](Status good) { good ? then(last) : then(std::move(good).error()); });
  });
}

void Checkpoints::fetch(const FoundCheckpoint& checkpoint, std::function<void(Status)> then) {
  const std::string controller(kController);
  if (checkpoint.host == controller) return then(Status());
  may_be_on(controller);
  const fs::path from = path() / std::to_string(checkpoint.epoch);
  bench_.pool.work<Status>(
      checkpoint.host,
      [from, to = bench_.pool.root(controller) / from, stop = stop_](Host& at) {
        return copy_here(at, from, to, *stop);
      },
      std::move(then));
}

// What is there is not complete, else it would have been taken: it goes first, so that nothing of it counts.
void Checkpoints::send(const std::string& host, int64_t epoch, std::function<void(Status)> then) {
  may_be_on(host);
  const fs::path to = path() / std::to_string(epoch);
  Message order;
  order.head["type"] = "remove";
  order.head["path"] = to.string();
  bench_.pool.order(host, std::move(order), kRemoveLimit, [=, this](Result<Message> removed) {
    if (!removed) return then(std::move(removed).error());
    bench_.pool.work<Status>(
        host,
        [from = bench_.pool.root(std::string(kController)) / to, to, stop = stop_](Host& at) {
          return send_there(at, from, to, *stop);
        },
        then);
  });
}

bool Checkpoints::go_beyond(int64_t epochs) {
  const auto here = complete_checkpoints(folder(std::string(kController)));
  if (!here.empty() && here.front() > epochs) return true;
  const auto attempts = bench_.read(bench_.store.attempts());
  if (!attempts) return true;
  int64_t furthest = 0;  // of those too large to be copied here
  for (const AttemptRow& attempt : *attempts) {
    if (attempt.step != step_ || attempt.resume_key != resume_key_) continue;
    if (attempt.state != AttemptState::succeeded) {
      furthest = std::max(furthest, attempt.metrics.integer_or("checkpoint", 0));
    } else if (epochs_in(attempt.metrics) >= furthest) {
      furthest = 0;
    }
  }
  return furthest > epochs;
}

void Checkpoints::remove(int64_t epochs, std::function<void()> then) {
  stop();
  waiting_.reset();
  if (go_beyond(epochs)) return then();
  if (!copying_) return remove_rows_and_folders(then);
  when_idle_ = [this, then = std::move(then)] { remove_rows_and_folders(then); };
}

void Checkpoints::remove_rows_and_folders(const std::function<void()>& then) {
  auto open = std::make_shared<int>(1);
  const auto removed = [open, then] {
    if (--*open == 0) then();
  };
  for (const LocationRow& one : rows()) {
    const bool here = one.host == kController;
    if (!here && !(bench_.pool.knows(one.host) && bench_.pool.reached(one.host))) continue;
    bench_.commit(bench_.store.remove_location(one));
    ++*open;
    if (here) {
      bench_.pool.work<Status>(
          one.host, [folder = folder(one.host)](Host&) { return remove_tree(folder); },
          [removed](const Status&) { removed(); });
      continue;
    }
    Message order;
    order.head["type"] = "remove";
    order.head["path"] = one.path;
    bench_.pool.order(one.host, std::move(order), kRemoveLimit,
                      [removed](const Result<Message>&) { removed(); });
  }
  removed();
}

}  // namespace gnnflow
