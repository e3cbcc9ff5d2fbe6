// A real daemon in a folder of its own, and the controller's side of its socket.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <unistd.h>

#include "common/base/child_process.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/wire/message.h"

namespace gnnflow {

struct DaemonSettings {
  Milliseconds lease{60'000}, grace{2'000};
  bool near = false;
};

class DaemonUnderTest {
 public:
  explicit DaemonUnderTest(fs::path root, DaemonSettings settings = {});
  ~DaemonUnderTest();  // SIGKILL, and what is left of its socket

  void wait_until_up();
  void kill();
  std::optional<ExitState> wait(Milliseconds most);
  void terminate();
  int pid() const { return process_->pid(); }
  fs::path socket() const;

 private:
  fs::path root_;
  std::optional<ChildProcess> process_;
};

ChildOptions daemon_command(const fs::path& root, const DaemonSettings& settings = {});

MessageLink connect_to_daemon(const fs::path& root);

// Says hello when made. One thread.
class DaemonClient {
 public:
  explicit DaemonClient(const fs::path& root, int64_t epoch = 1, DaemonSettings settings = {});

  Message order(Json head, std::string body = "");  // the reply, good or not
  Message about(std::string_view token, std::string_view type) { return order(head_of(type, token)); }
  Message reply(int64_t to);  // to an order that was sent by send()
  static Json head_of(std::string_view type, std::string_view token = "");
  void send(Json head);
  // The next event of this kind for this token, or one with type "none" when it did not come in time.
  Message event(std::string_view token, std::string_view event, Milliseconds most = Milliseconds(10'000));
  const Json& greeting() const { return greeting_; }
  bool closed();  // by the daemon, within a second
  Message start_exec(const std::string& token, std::vector<std::string> command, Json more = Json::Object{});

 private:
  std::optional<Message> receive(Deadline deadline);
  MessageLink link_;
  int64_t epoch_, next_ = 1;
  std::deque<Message> events_;
  Json greeting_;
};

// Waits until it is so, at most that long.
template <typename Condition>
bool becomes_true(Condition condition, Milliseconds most = Milliseconds(10'000)) {
  Deadline deadline = Deadline::after(most);
  while (!condition()) {
    if (deadline.passed()) return false;
    ::usleep(5000);
  }
  return true;
}

}  // namespace gnnflow
