// The controller's side of the daemon's tests.
#include <csignal>

#include <gtest/gtest.h>

#include "tests/worker/daemon/daemon_client.h"

namespace gnnflow {

MessageLink connect_to_daemon(const fs::path& root) {
  Result<fs::path> socket = daemon_socket_path(root);
  if (!socket) bug(socket.error().message);
  Result<MessageLink> link = MessageLink::connect_unix(*socket);
  // The queue at its door may be full for a moment.
  becomes_true([&] {
    if (!link) link = MessageLink::connect_unix(*socket);
    return bool(link);
  });
  if (!link) bug(link.error().message);
  return *std::move(link);
}

ChildOptions daemon_command(const fs::path& root, const DaemonSettings& settings) {
  ChildOptions options;
  options.argv = {GNNFLOW_PROGRAMS_FOLDER "/gnnflow-worker",
                  "daemon",
                  "--root",
                  root.string(),
                  "--store",
                  "s1",
                  "--host",
                  "h1",
                  "--lease",
                  std::to_string(settings.lease.count()),
                  "--grace",
                  std::to_string(settings.grace.count())};
  if (settings.near) options.argv.push_back("--near");
  options.output = root.string() + ".out";
  return options;
}

DaemonUnderTest::DaemonUnderTest(fs::path root, DaemonSettings settings) : root_(std::move(root)) {
  Result<ChildProcess> started = ChildProcess::start(daemon_command(root_, settings));
  if (!started) bug(started.error().message);
  process_ = *std::move(started);
  wait_until_up();
}

DaemonUnderTest::~DaemonUnderTest() {
  fs::path path = socket();
  kill();
  std::error_code ignored;
  fs::remove_all(path.parent_path(), ignored);
}

fs::path DaemonUnderTest::socket() const {
  Result<fs::path> path = daemon_socket_path(root_);
  if (!path) bug(path.error().message);
  return *path;
}

void DaemonUnderTest::wait_until_up() {
  bool up = becomes_true([&] { return bool(MessageLink::connect_unix(socket())) || wait(Milliseconds(0)); });
  if (!up || wait(Milliseconds(0)))
    bug("the daemon did not come up: " + read_file(root_.string() + ".out").value_or(""));
}

void DaemonUnderTest::kill() {
  process_->signal(SIGKILL);
  process_->wait(Deadline::never());
}

void DaemonUnderTest::terminate() { process_->signal(SIGTERM); }

std::optional<ExitState> DaemonUnderTest::wait(Milliseconds most) {
  return process_->wait(Deadline::after(most));
}

DaemonClient::DaemonClient(const fs::path& root, int64_t epoch, DaemonSettings settings)
    : link_(connect_to_daemon(root)), epoch_(epoch) {
  Json hello = head_of("hello");
  hello["store"] = "s1";
  hello["host"] = "h1";
  hello["lease_ms"] = static_cast<int64_t>(settings.lease.count());
  hello["grace_ms"] = static_cast<int64_t>(settings.grace.count());
  greeting_ = order(std::move(hello)).head;
}

Json DaemonClient::head_of(std::string_view type, std::string_view token) {
  Json head;
  head["type"] = type;
  if (!token.empty()) head["token"] = token;
  return head;
}

void DaemonClient::send(Json head) {
  head["epoch"] = epoch_;
  Status sent = link_.send({std::move(head), ""}, Deadline::after(Milliseconds(5000)));
  EXPECT_TRUE(sent) << sent.error().message;
}

std::optional<Message> DaemonClient::receive(Deadline deadline) {
  Result<std::optional<Message>> message = link_.receive(deadline);
  return message ? *std::move(message) : std::nullopt;
}

Message DaemonClient::order(Json head, std::string body) {
  int64_t id = next_++;
  head["id"] = id;
  if (!head.has("epoch")) head["epoch"] = epoch_;
  Status sent = link_.send({std::move(head), std::move(body)}, Deadline::after(Milliseconds(10'000)));
  EXPECT_TRUE(sent) << sent.error().message;
  return reply(id);
}

Message DaemonClient::reply(int64_t to) {
  Deadline deadline = Deadline::after(Milliseconds(20'000));
  while (std::optional<Message> message = receive(deadline)) {
    if (message->type() == "reply" && message->head.integer_or("to", 0) == to) return *std::move(message);
    events_.push_back(*std::move(message));
  }
  ADD_FAILURE() << "no reply";
  return {};
}

Message DaemonClient::event(std::string_view token, std::string_view event, Milliseconds most) {
  Deadline deadline = Deadline::after(most);
  while (true) {
    for (auto found = events_.begin(); found != events_.end(); ++found) {
      if (found->head.text_or("token", "") != token || found->head.text_or("event", "") != event) continue;
      Message message = *std::move(found);
      events_.erase(found);
      return message;
    }
    std::optional<Message> message = receive(deadline);
    if (!message) return {head_of("none"), ""};
    events_.push_back(*std::move(message));
  }
}

bool DaemonClient::closed() {
  Deadline deadline = Deadline::after(Milliseconds(1000));
  while (true) {
    Result<std::optional<Message>> message = link_.receive(deadline);
    if (!message) return true;
    if (!*message) return false;
  }
}

Message DaemonClient::start_exec(const std::string& token, std::vector<std::string> command, Json more) {
  Json spec = std::move(more);
  spec["token"] = token;
  if (!spec.has("kind")) spec["kind"] = "exec";
  spec["command"] = Json::Array(command.begin(), command.end());
  Json head = head_of("start", token);
  head["program"] = "exec";
  head["spec"] = std::move(spec);
  return order(std::move(head));
}

}  // namespace gnnflow
