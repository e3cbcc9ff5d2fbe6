// Files from the other end: it sends them all, what comes is gathered in parts and checked here.
#include <algorithm>
#include <future>
#include <set>

#include <fmt/format.h>

#include "common/base/incoming.h"
#include "common/wire/message_of.h"
#include "orchestrator/remote/arrivals.h"
#include "orchestrator/remote/far_talk.h"

namespace gnnflow {
namespace {

constexpr size_t kMostFiles = 128;
constexpr Milliseconds kStayAwake{15'000};  // the far end leaves after 60 s without a request

struct Coming {
  const HostFile* file;
  IncomingFile::Place place;
};

// A file that is not here yet.
struct Wanted {
  const HostFile* file;
  IncomingFile part;
};

class Get {
 public:
  Get(FarTalk& talk, const FarSource& source, Arrivals arrivals, const TransferProgress& progress,
      const StopSignal& stop)
      : talk_(talk), source_(source), arrivals_(std::move(arrivals)), progress_(progress), stop_(stop) {}
  Status run();

 private:
  Result<std::optional<IncomingFile>> begin(const IncomingFile::Place& place);
  Status stay_awake();
  Status fetch(std::vector<Wanted> list);
  Status receive(std::vector<Wanted>& list);
  Status take(std::vector<Wanted>& list, Message message);
  Status finish(std::vector<Wanted> list);
  void tell() const;

  FarTalk& talk_;
  const FarSource& source_;
  Arrivals arrivals_;
  const TransferProgress& progress_;
  const StopSignal& stop_;
  std::vector<Wanted> open_;
  Deadline awake_ = Deadline::after(kStayAwake);
  int64_t done_ = 0, arriving_ = 0;  // bytes of files that are here; of parts
  mutable int64_t most_ = 0;
};

void Get::tell() const {
  most_ = std::max(most_, done_ + arriving_);
  if (progress_) progress_(most_);
}

// A word now and then while nothing is asked for.
Status Get::stay_awake() {
  if (!awake_.passed()) return {};
  TRY(talk_.ask(message_of("hello"), &stop_));
  awake_ = Deadline::after(kStayAwake);
  return {};
}

// Another controller may fetch the same files: its parts are its own until it ends. What is here may take
// minutes to be digested.
Result<std::optional<IncomingFile>> Get::begin(const IncomingFile::Place& place) {
  const Deadline patience = Deadline::after(talk_.settings().patience);
  auto begun = std::async(std::launch::async, [&] {
    return IncomingFile::begin_when_free(place, patience, [this]() -> Status {
      if (stop_.raised()) return Error{stop_.cause(), "stopped while fetching"};
      return {};
    });
  });
  Status heard;
  do {
    heard = stay_awake();
  } while (heard && begun.wait_for(awake_.left()) != std::future_status::ready);
  Result<std::optional<IncomingFile>> part = begun.get();
  TRY(heard);
  return part;
}

Status Get::take(std::vector<Wanted>& list, Message message) {
  TRY(FileChunk chunk, read_chunk(std::move(message)));
  if (chunk.file >= static_cast<int64_t>(list.size()))
    return Error{Cause::bad_data, "gnnflow-receive sends an unknown file"};
  IncomingFile& part = list[static_cast<size_t>(chunk.file)].part;
  if (chunk.offset != part.size())
    return Error{Cause::bad_data, "gnnflow-receive sends another piece than the next"};
  TRY(part.write(std::as_bytes(std::span(chunk.bytes))));
  arriving_ += static_cast<int64_t>(chunk.bytes.size());
  tell();
  return {};
}

Status Get::receive(std::vector<Wanted>& list) {
  Json::Array rows;
  for (const Wanted& wanted : list) {
    Json row = json_of(*wanted.file);
    row["offset"] = wanted.part.size();
    rows.push_back(std::move(row));
  }
  const Message request = message_of(
      "get",
      {{"root", source_.from.root.string()}, {"from", source_.from.at.string()}, {"files", std::move(rows)}});
  TRY(talk_.send(request, &stop_));
  while (true) {
    TRY(Message message, talk_.next(&stop_));
    awake_ = Deadline::after(kStayAwake);
    if (message.type() != "chunk") return talk_.refusal(message);
    // What is still on its way can only be got rid of with the whole line.
    if (Status taken = take(list, std::move(message)); !taken) return talk_.broke(std::move(taken).error());
  }
}

Status Get::finish(std::vector<Wanted> list) {
  for (Wanted& wanted : list) {
    if (stop_.raised()) return Error{stop_.cause(), "stopped while fetching"};
    TRY(stay_awake());
    arriving_ -= wanted.part.size();
    std::string digest;
    if (wanted.part.whole()) {
      TRY(digest, wanted.part.digest());
    }
    if (digest == wanted.file->digest) {
      TRY(wanted.part.publish());
      done_ += wanted.file->bytes;
      continue;
    }
    TRY(wanted.part.clear());
    open_.push_back(std::move(wanted));
  }
  return {};
}

// What came damaged is asked for once more, from its start.
Status Get::fetch(std::vector<Wanted> list) {
  for (const Wanted& wanted : list) arriving_ += wanted.part.size();
  tell();
  TRY(receive(list));
  TRY(finish(std::move(list)));
  if (open_.empty()) return {};
  std::vector<Wanted> again = std::move(open_);
  open_.clear();
  TRY(receive(again));
  TRY(finish(std::move(again)));
  if (open_.empty()) return {};
  return Error{Cause::bad_data,
               fmt::format("{}: arrived damaged twice", open_[0].part.place().target.string())};
}

Status Get::run() {
  std::vector<Coming> left;
  for (const HostFile& file : source_.files) {
    TRY(IncomingFile::Place place, arrivals_.place_of(file));
    left.push_back({&file, std::move(place)});
  }
  while (!left.empty()) {
    std::set<std::string> digests;
    std::vector<Wanted> list;
    std::vector<Coming> later;
    for (Coming& coming : left) {
      if (list.size() >= kMostFiles || !digests.insert(coming.file->digest).second) {
        later.push_back(std::move(coming));
        continue;
      }
      TRY(std::optional<IncomingFile> part, begin(coming.place));
      if (part) {
        list.push_back({coming.file, std::move(*part)});
      } else {
        done_ += coming.file->bytes;
      }
    }
    if (!list.empty()) TRY(fetch(std::move(list)));
    left = std::move(later);
  }
  tell();
  return arrivals_.finish();
}

}  // namespace

Status get_files(FarTalk& talk, const FarSource& source, const TransferProgress& progress,
                 const StopSignal& stop) {
  TRY(Arrivals arrivals, Arrivals::in(source.to));
  return Get(talk, source, std::move(arrivals), progress, stop).run();
}

}  // namespace gnnflow
