// Files to the other end: a list, its plan, then all that is missing without waiting for answers.
#include <algorithm>
#include <deque>
#include <set>

#include <fmt/format.h>

#include "common/wire/message_of.h"
#include "orchestrator/remote/far_talk.h"

namespace gnnflow {
namespace {

constexpr size_t kMostFiles = 128;  // of one list: so many parts are held at a time

// One list of files, no two of them with the same digest.
class Put {
 public:
  Put(FarTalk& talk, std::vector<const FilePair*> files, const StopSignal& stop)
      : talk_(talk), files_(std::move(files)), stop_(stop), sent_(files_.size()), tries_(files_.size()) {}
  // `told` gets the bytes of all files of the list that are there.
  Status run(const FarFolder& to, const std::function<void(int64_t)>& told);

 private:
  Status ask_for_plan(const FarFolder& to);
  Status send_all();
  Status send_file(size_t index);
  Error give_up(size_t index, Error error);
  Status hear_all();
  Status hear(const Message& message);
  Status end(Status outcome);
  void tell();

  FarTalk& talk_;
  const std::vector<const FilePair*> files_;
  const StopSignal& stop_;
  std::function<void(int64_t)> told_;
  std::vector<int64_t> sent_;  // bytes of each file that are there, or on the way
  std::vector<int> tries_;
  std::deque<size_t> waiting_;  // to be sent
  std::set<size_t> open_;       // not stored yet
  Json::Array drop_;            // files whose source was changed
};

Status Put::ask_for_plan(const FarFolder& to) {
  Json::Array rows;
  for (const FilePair* file : files_) rows.push_back(json_of(file->there));
  const Message request = message_of("put", {{"root", to.root.string()},
                                             {"to", to.at.string()},
                                             {"patience_ms", int64_t{talk_.settings().patience.count()}},
                                             {"files", std::move(rows)}});
  TRY(talk_.send(request, &stop_));
  TRY(Message plan, talk_.next(&stop_));
  if (plan.type() != "plan") {
    TRY(talk_.refusal(plan));
    return talk_.broke({Cause::bad_data, "gnnflow-receive made no plan"});
  }
  const Json& offsets = plan.head.get("offsets");
  if (!offsets.is_array() || offsets.array().size() != files_.size())
    return talk_.broke({Cause::bad_data, "gnnflow-receive made a plan for other files"});
  for (size_t i = 0; i < files_.size(); ++i) {
    const Json& row = offsets.array()[i];
    const int64_t bytes = files_[i]->there.bytes, offset = row.is_integer() ? row.integer() : bytes + 1;
    if (offset < -1 || offset > bytes)
      return talk_.broke({Cause::bad_data, "gnnflow-receive made a plan that cannot be"});
    sent_[i] = offset < 0 ? bytes : offset;
    if (offset >= 0) open_.insert(i);
    if (offset >= 0 && offset < bytes) waiting_.push_back(i);
  }
  return {};
}

Status Put::hear(const Message& message) {
  const std::string type = message.type();
  if (type != "stored" && type != "damaged") {
    TRY(talk_.refusal(message));
    return talk_.broke(
        {Cause::bad_data, fmt::format("gnnflow-receive says '{}' while files are sent", type)});
  }
  const int64_t place = message.head.integer_or("file", -1);
  const size_t index = static_cast<size_t>(place);
  if (place < 0 || !open_.contains(index))
    return talk_.broke({Cause::bad_data, fmt::format("gnnflow-receive answers for file {}", place)});
  if (type == "stored") {
    open_.erase(index);
    return {};
  }
  // It may have been the beginning, which an earlier try had left there, or the way.
  if (++tries_[index] > 1) {
    return Error{Cause::bad_data,
                 fmt::format("{}: arrived damaged twice, its digest there is {} instead of {}",
                             files_[index]->here.string(), message.head.text_or("digest", "?"),
                             files_[index]->there.digest)};
  }
  sent_[index] = 0;
  waiting_.push_back(index);
  return {};
}

Status Put::hear_all() {
  while (true) {
    TRY(std::optional<Message> message, talk_.look());
    if (!message) return {};
    TRY(hear(*message));
  }
}

void Put::tell() {
  int64_t bytes = 0;
  for (int64_t sent : sent_) bytes += sent;
  told_(bytes);
}

Status Put::send_file(size_t index) {
  const FilePair& pair = *files_[index];
  Result<OutgoingFile> file =
      OutgoingFile::open({pair.here, pair.there.bytes, pair.there.digest}, sent_[index]);
  if (!file) return give_up(index, std::move(file).error());
  while (!file->at_end()) {
    if (stop_.raised()) return talk_.broke({stop_.cause(), "stopped while sending " + pair.here.string()});
    FileChunk chunk{static_cast<int64_t>(index), file->offset(), {}};
    Result<std::string> bytes = file->next();
    if (!bytes) return give_up(index, std::move(bytes).error());
    chunk.bytes = std::move(*bytes);
    TRY(talk_.send(talk_.packer.pack(std::move(chunk), system_clock().now()), &stop_));
    sent_[index] = file->offset();
    tell();
    TRY(hear_all());
  }
  return {};
}

// Of a file that was changed here nothing is worth keeping there.
Error Put::give_up(size_t index, Error error) {
  if (error.cause == Cause::bad_data) drop_.push_back(static_cast<int64_t>(index));
  return error;
}

Status Put::send_all() {
  tell();
  while (!open_.empty()) {
    if (waiting_.empty()) {
      TRY(Message message, talk_.next(&stop_));
      TRY(hear(message));
      continue;
    }
    const size_t index = waiting_.front();
    waiting_.pop_front();
    TRY(send_file(index));
  }
  tell();
  return {};
}

// Whatever happened, the far end lets go of its parts and answers once more; what it has to say comes first.
Status Put::end(Status outcome) {
  if (talk_.broken()) return outcome;
  TRY(talk_.send(message_of("done", {{"drop", std::move(drop_)}}), &stop_));
  while (true) {
    TRY(Message message, talk_.next(&stop_));
    if (message.type() != "reply") continue;
    Status refused = talk_.refusal(message);
    return outcome ? refused : outcome;
  }
}

Status Put::run(const FarFolder& to, const std::function<void(int64_t)>& told) {
  told_ = told;
  TRY(ask_for_plan(to));
  return end(send_all());
}

// Equal files have one part, so that one of them has to be whole before the next one is begun.
std::vector<std::vector<const FilePair*>> lists_of(const std::vector<FilePair>& files) {
  std::vector<std::vector<const FilePair*>> lists;
  std::vector<const FilePair*> left;
  for (const FilePair& file : files) left.push_back(&file);
  while (!left.empty()) {
    std::set<std::string> digests;
    std::vector<const FilePair*> list, later;
    for (const FilePair* file : left) {
      const bool fits = list.size() < kMostFiles && digests.insert(file->there.digest).second;
      (fits ? list : later).push_back(file);
    }
    lists.push_back(std::move(list));
    left = std::move(later);
  }
  return lists;
}

}  // namespace

Status put_files(FarTalk& talk, const std::vector<FilePair>& files, const FarFolder& to,
                 const TransferProgress& progress, const StopSignal& stop) {
  int64_t before = 0, most = 0;
  for (const std::vector<const FilePair*>& list : lists_of(files)) {
    const auto told = [&](int64_t bytes) {
      most = std::max(most, before + bytes);  // a file that is sent again does not turn it back
      if (progress) progress(most);
    };
    TRY(Put(talk, list, stop).run(to, told));
    for (const FilePair* file : list) before += file->there.bytes;
  }
  return {};
}

}  // namespace gnnflow
