// Requests and their answers; streams of files are in far_put.cc and far_get.cc.
#include "orchestrator/remote/far_files.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/incoming.h"
#include "common/wire/message_of.h"
#include "orchestrator/remote/far_talk.h"

namespace gnnflow {
namespace {

constexpr size_t kMostFilesOfCheck = 2000;
constexpr Milliseconds kNoSign{10'000};  // it says every 2 s that it works

Message request_at(std::string_view type, const FarFolder& folder, const fs::path& path) {
  return message_of(type, {{"root", folder.root.string()}, {"path", (folder.at / path).string()}});
}

}  // namespace

Json json_of(const HostFile& file) {
  Json row;
  row["path"] = file.path;
  row["bytes"] = file.bytes;
  row["digest"] = file.digest;
  if (file.executable) row["executable"] = true;
  return row;
}

// A broken conversation stays so: half a frame may lie on the line, or an answer that nobody waits for.
Error FarTalk::broke(Error error) {
  if (!broken_) link_.shut_down();
  broken_ = true;
  return error;
}

Status FarTalk::send(const Message& message, const StopSignal* stop) {
  if (broken_) return Error{Cause::unreachable, "the conversation with gnnflow-receive is over"};
  Status sent = link_.send(message, Deadline::after(settings_.silence), stop);
  return sent ? sent : Status(broke(std::move(sent).error()));
}

Result<std::optional<Message>> FarTalk::look() {
  while (true) {
    Result<std::optional<Message>> message = link_.receive(Deadline::after(Milliseconds(0)));
    if (!message) return broke(std::move(message).error());
    if (!*message || !is_only_alive(**message)) return message;
  }
}

Result<Message> FarTalk::next(const StopSignal* stop) {
  if (broken_) return Error{Cause::unreachable, "the conversation with gnnflow-receive is over"};
  const Milliseconds silence = std::min(settings_.silence, kNoSign);
  while (true) {
    Result<std::optional<Message>> message = link_.receive(Deadline::after(silence), stop);
    if (!message) return broke(std::move(message).error());
    if (!*message) {
      return broke(
          {Cause::unreachable, fmt::format("gnnflow-receive has said nothing for {} ms", silence.count())});
    }
    if (!is_only_alive(**message)) return std::move(**message);
  }
}

bool FarTalk::is_only_alive(const Message& message) {
  if (message.type() != "working") return false;
  const std::string waits = message.head.text_or("waits", "");
  if (!waits.empty() && waits != waits_ && settings_.notice) settings_.notice("waiting " + waits);
  waits_ = waits;
  return true;
}

Status FarTalk::refusal(const Message& reply) {
  if (reply.type() == "reply" && reply.head.boolean_or("ok", false)) return {};
  if (reply.type() != "reply" && reply.type() != "failed")
    return broke({Cause::bad_data, fmt::format("gnnflow-receive says '{}' out of turn", reply.type())});
  return Error{cause_named(reply.head.text_or("cause", "")).value_or(Cause::failed),
               reply.head.text_or("message", "it did not say why")};
}

Result<Message> FarTalk::ask(const Message& request, const StopSignal* stop) {
  TRY(send(request, stop));
  TRY(Message reply, next(stop));
  TRY(refusal(reply));
  return reply;
}

struct FarFiles::State {
  FarTalk talk;
  FarGreeting greeting;
};

FarFiles::FarFiles(std::unique_ptr<State> state) : state_(std::move(state)) {}
FarFiles::FarFiles(FarFiles&&) noexcept = default;
FarFiles& FarFiles::operator=(FarFiles&&) noexcept = default;
FarFiles::~FarFiles() = default;

Result<FarFiles> FarFiles::open(MessageLink link, Deadline deadline, FarFilesSettings settings,
                                const StopSignal* stop) {
  // Its deadline is that of a greeting, not that of work.
  FarFilesSettings first = settings;
  first.silence = std::min(settings.silence, deadline.left());
  FarTalk talk(std::move(link), std::move(first));
  TRY(Message reply, talk.ask(message_of("hello"), stop).within("greeting gnnflow-receive"));
  talk.set_settings(std::move(settings));
  const Json& head = reply.head;
  FarGreeting greeting{.version = head.text_or("version", ""),
                       .home = head.text_or("home", ""),
                       .boot = head.text_or("boot", ""),
                       .machine = head.text_or("machine", ""),
                       .kernel = head.text_or("kernel", ""),
                       .uid = head.integer_or("uid", -1),
                       .cores = head.integer_or("cores", 1)};
  return FarFiles(std::make_unique<State>(State{std::move(talk), std::move(greeting)}));
}

const FarGreeting& FarFiles::greeting() const { return state_->greeting; }
bool FarFiles::broken() const { return state_->talk.broken(); }
int64_t FarFiles::bytes_sent() const { return state_->talk.packer.bytes_in(); }
int64_t FarFiles::bytes_on_the_way() const { return state_->talk.packer.bytes_out(); }

Result<Message> FarFiles::ask(Message request, const StopSignal* stop) {
  return state_->talk.ask(request, stop);
}

Status FarFiles::put(const std::vector<FilePair>& files, const FarFolder& to,
                     const TransferProgress& progress, const StopSignal& stop) {
  return put_files(state_->talk, files, to, progress, stop);
}

Status FarFiles::put(const fs::path& from, const std::vector<HostFile>& files, const FarFolder& to,
                     const TransferProgress& progress, const StopSignal& stop) {
  std::vector<FilePair> pairs;
  for (const HostFile& file : files) pairs.push_back({from / file.path, file});
  return put(pairs, to, progress, stop);
}

Status FarFiles::get(const FarFolder& from, const std::vector<HostFile>& files, const fs::path& to,
                     const TransferProgress& progress, const StopSignal& stop) {
  return get_files(state_->talk, {from, files, to}, progress, stop);
}

Result<std::vector<bool>> FarFiles::check(const FarFolder& at, const std::vector<HostFile>& files,
                                          bool digests, const StopSignal& stop) {
  std::vector<bool> there;
  for (size_t begin = 0; begin < files.size(); begin += kMostFilesOfCheck) {
    Message request = message_of("check");
    request.head["root"] = at.root.string();
    request.head["at"] = at.at.string();
    request.head["digests"] = digests;
    Json::Array rows;
    const size_t end = std::min(files.size(), begin + kMostFilesOfCheck);
    for (size_t i = begin; i < end; ++i) rows.push_back(json_of(files[i]));
    request.head["files"] = std::move(rows);
    TRY(Message reply, ask(std::move(request), &stop));
    const Json& answers = reply.head.get("there");
    if (!answers.is_array() || answers.array().size() != end - begin)
      return state_->talk.broke(
          {Cause::bad_data, "gnnflow-receive answers for other files than it was asked for"});
    for (const Json& answer : answers.array()) there.push_back(answer.is_bool() && answer.boolean());
  }
  return there;
}

Result<std::string> FarFiles::read(const FarFolder& folder, const fs::path& path, int64_t limit) {
  Message request = request_at("read", folder, path);
  request.head["limit"] = limit;
  TRY(Message reply, ask(std::move(request)));
  return std::move(reply.body);
}

Result<std::string> FarFiles::read_from(const FarFolder& folder, const fs::path& path, int64_t offset,
                                        int64_t limit) {
  Message request = request_at("read", folder, path);
  request.head["limit"] = limit;
  request.head["offset"] = offset;
  TRY(Message reply, ask(std::move(request)));
  return std::move(reply.body);
}

Result<bool> FarFiles::held(const FarFolder& folder, const fs::path& path) {
  TRY(Message reply, ask(request_at("held", folder, path)));
  return reply.head.boolean_or("held", false);
}

}  // namespace gnnflow
