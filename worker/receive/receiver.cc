// The table of requests, and the loop that answers them.
#include "worker/receive/receiver.h"

#include <array>
#include <cstdlib>
#include <thread>

#include <fmt/format.h>
#include <signal.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/incoming.h"
#include "worker/receive/bundle_folder.h"
#include "worker/receive/frames.h"
#include "worker/receive/get.h"
#include "worker/receive/put.h"
#include "worker/receive/wanted.h"

namespace gnnflow {
namespace {

constexpr int64_t kMostRead = 32 << 20;

struct Answer {
  Json members{Json::Object()};
  std::string body = {};
};

Result<fs::path> path_of(const Json& request) {
  TRY(fs::path root, root_of(request));
  return path_below(root, request.text_or("path", ""));
}

Result<Answer> hello(const Json&) {
  utsname system{};
  ::uname(&system);
  const char* home = std::getenv("HOME");
  Answer answer;
  answer.members["version"] = GNNFLOW_VERSION;
  answer.members["home"] = home ? home : "";
  answer.members["uid"] = static_cast<int64_t>(::getuid());
  answer.members["boot"] = boot_id();
  answer.members["machine"] = system.machine;
  answer.members["kernel"] = system.release;
  answer.members["cores"] = static_cast<int64_t>(std::thread::hardware_concurrency());
  return answer;
}

bool may_run(const fs::path& file) {
  std::error_code error;
  return (fs::status(file, error).permissions() & fs::perms::owner_exec) != fs::perms::none && !error;
}

Result<Answer> check(const Json& request) {
  TRY(fs::path root, root_of(request));
  TRY(std::vector<WantedFile> files, files_of(request, "at"));
  const bool digests = request.boolean_or("digests", true);
  Json::Array there;
  for (const WantedFile& file : files) {
    TRY(fs::path path, path_below(root, file.path));
    TRY(bool right, file_matches(path, file.bytes, digests ? file.digest : ""));
    there.push_back(right && (!file.executable || may_run(path)));
  }
  Answer answer;
  answer.members["there"] = std::move(there);
  return answer;
}

Result<Answer> read(const Json& request) {
  TRY(fs::path path, path_of(request));
  const int64_t limit = std::min(kMostRead, request.integer_or("limit", kMostRead));
  if (request.has("offset")) {
    TRY(std::string piece, read_piece(path, std::max<int64_t>(0, request.integer_or("offset", 0)), limit));
    return Answer{.body = std::move(piece)};
  }
  TRY(std::string content, read_file(path, limit));
  return Answer{.body = std::move(content)};
}

Result<Answer> held(const Json& request) {
  TRY(fs::path path, path_of(request));
  TRY(bool is_held, FileLock::is_held(path));
  Answer answer;
  answer.members["held"] = is_held;
  return answer;
}

Result<Answer> bundle(const Json& request) {
  TRY(Json members, look_at_bundle(request));
  return Answer{.members = std::move(members)};
}

struct Row {
  std::string_view type;
  Result<Answer> (*work)(const Json&);
};
constexpr std::array kRequests = {Row{"hello", hello}, Row{"check", check}, Row{"read", read},
                                  Row{"held", held}, Row{"bundle", bundle}};

Message reply_with(Answer answer) {
  Message message{std::move(answer.members), std::move(answer.body)};
  message.head["type"] = "reply";
  message.head["ok"] = true;
  return message;
}

Message answer_to(const Message& request) {
  for (const Row& row : kRequests) {
    if (row.type != request.type()) continue;
    Result<Answer> answer = row.work(request.head);
    return answer ? reply_with(std::move(*answer)) : refusal(answer.error());
  }
  return refusal({Cause::bad_data, fmt::format("unknown request '{}'", request.type())});
}

// False when nobody is there any more.
bool serve(Frames& frames, const Message& request) {
  Message reply;
  {
    Ticker ticker(frames);
    if (request.type() == "put" || request.type() == "get") {
      Told told = request.type() == "put" ? receive_files(frames, ticker, request.head)
                                          : send_files(frames, request.head);
      if (told.gone) return false;
      reply = told.status ? reply_with({}) : refusal(told.status.error());
    } else {
      reply = answer_to(request);
    }
  }
  return static_cast<bool>(frames.send(reply));
}

}  // namespace

int receiver_main(int in, int out) {
  ::signal(SIGPIPE, SIG_IGN);
  Frames frames(in, out);
  if (!frames.greet(kReadyLine)) return exit_code(Cause::unreachable);
  while (true) {
    Result<std::optional<Message>> request = frames.receive(kSilence);
    if (!request) return exit_code(request.error().cause);
    if (!*request) return 0;
    if (!serve(frames, **request)) return exit_code(Cause::unreachable);
  }
}

}  // namespace gnnflow
