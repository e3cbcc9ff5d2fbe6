// The scripted daemon: orders in, answers and events out, one thread per connection.
#include "tests/support/fake_host.h"

#include <algorithm>

#include <unistd.h>

#include "common/base/child_process.h"
#include "common/base/digest.h"

namespace gnnflow {
namespace {

const std::set<std::string> kLastOnly = {"ready", "allowed", "result", "progress"};

Json refused(const Error& error) {
  Json reply;
  reply["ok"] = false;
  reply["cause"] = name_of(error.cause);
  reply["message"] = error.message;
  return reply;
}

constexpr fs::perms kExecute = fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec;

bool is_executable(const fs::path& file) {
  return (fs::status(file).permissions() & fs::perms::owner_exec) != fs::perms::none;
}

std::string manifest_text(const fs::path& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) paths.push_back(entry.path().lexically_relative(folder).string());
  }
  std::sort(paths.begin(), paths.end());
  Json manifest;
  manifest["format"] = "gnnflow.manifest";
  manifest["version"] = 1;
  manifest["files"] = Json::Array{};
  for (const std::string& path : paths) {
    manifest["files"].push_back(Json::Object{{"path", path},
                                             {"bytes", static_cast<int64_t>(fs::file_size(folder / path))},
                                             {"digest", digest_of_file(folder / path).value()}});
    if (is_executable(folder / path)) manifest["files"].array().back()["executable"] = true;
  }
  return manifest.dump();
}

bool same_file(const fs::path& path, const HostFile& file, bool digests) {
  std::error_code error;
  if (static_cast<int64_t>(fs::file_size(path, error)) != file.bytes || error) return false;
  return !digests || digest_of_file(path).value_or("") == file.digest;
}

int64_t copy_files(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
                   const TransferProgress& progress) {
  int64_t copied = 0, bytes = 0;
  for (const HostFile& file : files) {
    if (!same_file(to / file.path, file, true)) {
      fs::create_directories((to / file.path).parent_path());
      fs::copy_file(from / file.path, to / file.path, fs::copy_options::overwrite_existing);
      fs::permissions(to / file.path, kExecute,
                      file.executable ? fs::perm_options::add : fs::perm_options::remove);
      ++copied;
    }
    bytes += file.bytes;
    if (progress) progress(bytes);
  }
  return copied;
}

}  // namespace

FakeHost::FakeHost(std::string name, const fs::path& workspace, std::string store)
    : name_(std::move(name)), root_(workspace / store / name_), store_(std::move(store)) {
  fs::create_directories(root_);
}

FakeHost::~FakeHost() {
  kill_daemon();
  if (thread_.joinable()) thread_.join();
}

void FakeHost::be_far(std::string address) { far_ = std::move(address); }

void FakeHost::on_start(Script script) {
  std::lock_guard lock(mutex_);
  script_ = std::move(script);
}

void FakeHost::on_order(Answer answer) {
  std::lock_guard lock(mutex_);
  answer_ = std::move(answer);
}

void FakeHost::refuse_daemons(std::optional<Error> error) {
  std::lock_guard lock(mutex_);
  refusal_ = std::move(error);
}

void FakeHost::answer_beats(bool answer) {
  std::lock_guard lock(mutex_);
  answers_beats_ = answer;
}

void FakeHost::say_preparation(std::string text) {
  std::lock_guard lock(mutex_);
  preparation_ = std::move(text);
}

std::string FakeHost::preparation() const {
  std::lock_guard lock(mutex_);
  return preparation_;
}

void FakeHost::keep_jobs(bool keep) {
  std::lock_guard lock(mutex_);
  keeps_jobs_ = keep;
}

void FakeHost::send(const Message& message) {
  if (link_) (void)link_->send(message, Deadline::after(Milliseconds(5000)));
}

void FakeHost::tell(const std::string& token, std::string_view event, Message message) {
  message.head["type"] = "event";
  message.head["token"] = token;
  message.head["event"] = event;
  send(message);
}

void FakeHost::tell_exit(const std::string& token, const Job& job) {
  Message message;
  message.head["state"] = job.state;
  message.head["code"] = job.code;
  message.head["signal"] = job.signal;
  if (!job.cause.empty()) message.head["cause"] = job.cause;
  if (!job.message.empty()) message.head["message"] = job.message;
  message.head["tail"] = job.tail;
  tell(token, "exited", std::move(message));
}

void FakeHost::report(const std::string& token, const Message& message) {
  std::lock_guard lock(mutex_);
  Job& job = jobs_[token];
  if (kLastOnly.contains(message.type())) {
    std::erase_if(job.kept, [&](const Message& old) { return old.type() == message.type(); });
  }
  job.kept.push_back(message);
  tell(token, "report", Message{Json(Json::Object{{"message", message.head}}), message.body});
}

void FakeHost::end(const std::string& token, Job& job, int code, int signal) {
  job.code = code;
  job.signal = signal;
  job.state = signal ? "killed" : "exited";
  tell_exit(token, job);
}

void FakeHost::finish(const std::string& token, int code, int signal, std::string cause,
                      std::string message) {
  std::lock_guard lock(mutex_);
  auto found = jobs_.find(token);
  if (found == jobs_.end() || found->second.state != "started") return;
  found->second.cause = std::move(cause);
  found->second.message = std::move(message);
  end(token, found->second, code, signal);
}

void FakeHost::stop_serving() {
  std::lock_guard lock(mutex_);
  if (link_) link_->shut_down();
  link_.reset();
}

void FakeHost::cut() { stop_serving(); }

void FakeHost::kill_daemon() {
  std::lock_guard lock(mutex_);
  stop_serving();
  alive_ = false;
  for (auto& [token, job] : jobs_) {
    if (job.state == "started") job.state = "lost";
  }
}

std::vector<Message> FakeHost::orders() const {
  std::lock_guard lock(mutex_);
  return orders_;
}

std::vector<std::string> FakeHost::orders_of(const std::string& token) const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> types;
  for (const Message& order : orders_) {
    if (order.head.text_or("token", "") == token) types.push_back(order.type());
  }
  return types;
}

std::vector<std::string> FakeHost::started() const {
  std::lock_guard lock(mutex_);
  return started_;
}

std::vector<std::string> FakeHost::running() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> tokens;
  for (const auto& [token, job] : jobs_) {
    if (job.state == "started") tokens.push_back(token);
  }
  return tokens;
}

int FakeHost::refusals() const {
  std::lock_guard lock(mutex_);
  return refusals_;
}

int FakeHost::daemons_started() const {
  std::lock_guard lock(mutex_);
  return daemons_;
}

int64_t FakeHost::files_put() const {
  std::lock_guard lock(mutex_);
  return files_put_;
}

Status FakeHost::start_daemon(Milliseconds, Milliseconds, Deadline) {
  std::lock_guard lock(mutex_);
  if (refusal_) return ++refusals_, *refusal_;
  if (!alive_) ++daemons_;
  alive_ = true;
  return {};
}

Result<bool> FakeHost::daemon_alive() {
  std::lock_guard lock(mutex_);
  return alive_;
}

Result<MessageLink> FakeHost::connect(Deadline) {
  stop_serving();
  std::thread old;
  {
    std::lock_guard lock(mutex_);
    std::swap(old, thread_);
  }
  if (old.joinable()) old.join();
  std::lock_guard lock(mutex_);
  if (refusal_) return *refusal_;
  if (!alive_) return Error{Cause::unreachable, "host " + name_ + ": no daemon"};
  TRY(auto ends, make_socket_pair());
  link_ = std::make_shared<MessageLink>(std::move(ends.first));
  thread_ = std::thread([this] { serve(); });
  return MessageLink(std::move(ends.second));
}

void FakeHost::serve() {
  std::shared_ptr<MessageLink> link;
  {
    std::lock_guard lock(mutex_);
    link = link_;
  }
  while (link) {
    Result<std::optional<Message>> order = link->receive(Deadline::never());
    if (!order) break;
    std::lock_guard lock(mutex_);
    if (link_ != link) break;
    if (*order && ((*order)->type() != "beat" || (*order)->head.boolean_or("answer", false))) take(**order);
  }
}

void FakeHost::take(const Message& order) {
  const bool beat = order.type() == "beat";
  if (beat && !answers_beats_) return;
  if (!beat) orders_.push_back(order);
  Message reply;
  std::optional<Message> scripted = answer_ ? answer_(order) : std::nullopt;
  if (scripted) {
    reply = std::move(*scripted);
  } else {
    reply.head = answer(order, reply);
  }
  reply.head["type"] = "reply";
  reply.head["to"] = order.head.get("id");
  if (!reply.head.has("ok")) reply.head["ok"] = true;
  const bool good = reply.head.boolean_or("ok", false);
  send(reply);
  if (!good) return;
  const std::string token = order.head.text_or("token", "");
  if (order.type() == "hello") {
    for (const auto& [known, job] : std::map(jobs_)) {
      for (const Message& kept : job.kept) {
        tell(known, "report", Message{Json(Json::Object{{"message", kept.head}}), kept.body});
      }
      if (job.state != "started") tell_exit(known, job);
    }
  } else if (order.type() == "start" && !scripted && reply.head.boolean_or("new", false)) {
    run(token, script_ ? script_(order.head) : FakeJob{});
  } else if (order.type() == "cancel" && !scripted && !keeps_jobs_) {
    if (auto job = jobs_.find(token); job != jobs_.end() && job->second.state == "started")
      end(token, job->second, 0, 15);
  } else if (order.type() == "forward" && !scripted &&
             order.head.get("message").text_or("type", "") == "allow") {
    report(token,
           message_of("allowed", {{"count", int64_t(order.head.get("message").get("keys").is_array()
                                                        ? order.head.get("message").get("keys").array().size()
                                                        : 0)}}));
  } else if (order.type() == "goodbye") {
    alive_ = false;
    stop_serving();
  }
}

Json FakeHost::answer(const Message& order, Message& reply) {
  const int64_t epoch = order.head.integer_or("epoch", 0);
  if (epoch < epoch_) return refused({Cause::locked, "a controller with a higher epoch was here"});
  epoch_ = epoch;
  const std::string type = order.type(), token = order.head.text_or("token", "");
  if (type == "hello") return greeting(order);
  if (type == "start") return start(order);
  if (type == "ask") return ask(order);
  if (type == "publish") return publish(order);
  if (type == "log") return log_of(order, reply);
  if (type == "discard") {
    if (auto job = jobs_.find(token); job != jobs_.end() && job->second.state == "started")
      end(token, job->second, 0, 9);
    fs::remove_all(root_ / "tmp" / token);
  } else if (type == "acknowledge") {
    jobs_.erase(token);
  } else if (type == "remove") {
    fs::remove_all(root_ / order.head.text_or("path", "data/none"));
  } else if (type == "checkpoints") {
    Json reply_head;
    reply_head["checkpoints"] = Json::Array{};
    const fs::path folder =
        root_ / "checkpoints" / order.head.text_or("step", "") / order.head.text_or("resume_key", "");
    if (!fs::is_directory(folder)) return reply_head;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (!fs::exists(entry.path() / "checkpoint.json")) continue;
      reply_head["checkpoints"].push_back(Json::Object{{"epoch", std::stoi(entry.path().filename().string())},
                                                       {"path", entry.path().string()},
                                                       {"bytes", bytes_of_tree(entry.path()).value_or(0)}});
    }
    return reply_head;
  } else if (type != "cancel" && type != "forward" && type != "goodbye" && type != "beat") {
    return refused({Cause::bad_data, "unknown order '" + type + "'"});
  }
  return Json(Json::Object{{"ok", true}});
}

Json FakeHost::greeting(const Message&) {
  Json reply;
  reply["pid"] = static_cast<int64_t>(::getpid());
  reply["start_time"] = int64_t{daemons_};
  reply["boot"] = far_.empty() ? boot_id() : "boot of " + name_;
  reply["root"] = root().string();
  reply["version"] = "fake";
  reply["cores"] = 2;
  reply["jobs"] = Json::Array{};
  for (const auto& [token, job] : jobs_) {
    reply["jobs"].push_back(
        Json::Object{{"token", token}, {"state", job.state}, {"code", job.code}, {"signal", job.signal}});
  }
  return reply;
}

Json FakeHost::start(const Message& order) {
  const std::string token = order.head.text_or("token", "");
  Json reply;
  if (auto known = jobs_.find(token); known != jobs_.end()) {
    reply["state"] = known->second.state;
    return reply;
  }
  jobs_[token].kind = order.head.get("spec").text_or("kind", "");
  started_.push_back(token);
  fs::create_directories(root_ / "tmp" / token / "out");
  reply["state"] = "started";
  reply["new"] = true;
  return reply;
}

void FakeHost::run(const std::string& token, const FakeJob& script) {
  tell(token, "started", message_of("", {{"pid", int64_t{4711}}, {"start_time", int64_t{1}}}));
  for (const auto& [path, content] : script.files) {
    const fs::path file = root_ / "tmp" / token / "out" / path;
    fs::create_directories(file.parent_path());
    if (Status written = write_file_atomically(file, content); !written) bug(written.error().message);
  }
  for (const Message& message : script.reports) report(token, message);
  Job& job = jobs_[token];
  job.cause = script.cause;
  job.message = script.message;
  job.tail = script.tail;
  if (script.code && job.state == "started") end(token, job, *script.code, script.signal);
}

Json FakeHost::ask(const Message& order) const {
  Json reply;
  auto found = jobs_.find(order.head.text_or("token", ""));
  reply["known"] = found != jobs_.end();
  reply["gone"] = found == jobs_.end() || found->second.state != "started";
  if (found == jobs_.end()) return reply;
  reply["state"] = found->second.state;
  reply["code"] = found->second.code;
  reply["signal"] = found->second.signal;
  return reply;
}

Json FakeHost::publish(const Message& order) {
  Json reply;
  reply["pieces"] = Json::Array{};
  const fs::path to = root_ / order.head.text_or("to", "");
  for (const Json& name : order.head.get("pieces").array()) {
    const fs::path made = root_ / "tmp" / order.head.text_or("token", "") / "out" / name.string();
    const fs::path published = to / name.string(), manifest = published.string() + ".manifest.json";
    if (!fs::exists(published)) {
      if (!fs::exists(made))
        return refused({Cause::not_found, "output '" + name.string() + "' is not there"});
      fs::create_directories(to);
      if (Status written = write_file_atomically(manifest, manifest_text(made)); !written)
        return refused(written.error());
      fs::rename(made, published);
    }
    const std::string text = read_file(manifest).value();
    const Json parsed = Json::parse(text).value();
    int64_t bytes = 0;
    for (const Json& file : parsed.get("files").array()) bytes += file.integer_or("bytes", 0);
    reply["pieces"].push_back(Json::Object{{"name", name.string()},
                                           {"digest", digest_of(text)},
                                           {"bytes", bytes},
                                           {"files", int64_t(parsed.get("files").array().size())}});
  }
  return reply;
}

Json FakeHost::log_of(const Message& order, Message& reply) const {
  const std::string text =
      read_file(root_ / "logs" / (order.head.text_or("token", "") + ".log")).value_or("");
  const size_t offset = std::min<size_t>(text.size(), size_t(order.head.integer_or("offset", 0)));
  reply.body = text.substr(offset, size_t(order.head.integer_or("limit", 1 << 20)));
  return Json(Json::Object{{"size", int64_t(text.size())}});
}

Status FakeHost::put(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
                     const TransferProgress& progress, const StopSignal& stop) {
  if (stop.raised()) return Error{stop.cause(), "stopped"};
  const int64_t copied = copy_files(from, files, root_ / to, progress);
  std::lock_guard lock(mutex_);
  files_put_ += copied;
  return {};
}

Status FakeHost::get(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
                     const TransferProgress& progress, const StopSignal& stop) {
  if (stop.raised()) return Error{stop.cause(), "stopped"};
  copy_files(root_ / from, files, to, progress);
  return {};
}

Result<std::vector<bool>> FakeHost::check(const std::vector<HostFile>& files, const fs::path& at,
                                          bool digests, const StopSignal& stop) {
  if (stop.raised()) return Error{stop.cause(), "stopped"};
  std::vector<bool> good;
  for (const HostFile& file : files) good.push_back(same_file(root_ / at / file.path, file, digests));
  return good;
}

Result<std::string> FakeHost::read(const fs::path& path, int64_t limit) {
  return read_file(root_ / path, limit);
}

}  // namespace gnnflow
