// Orders of a controller, other than those about the connection itself: checked, done, answered.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "common/base/stop_signal.h"
#include "common/wire/message.h"
#include "worker/daemon/errands.h"
#include "worker/daemon/host_folder.h"
#include "worker/daemon/jobs.h"
#include "worker/daemon/probe.h"

namespace gnnflow {

// Called once, on the loop's thread. The head holds the members of the answer.
using Answer = std::function<void(Result<Message>)>;

// Use from the daemon's loop. What takes long runs on a thread of its own, one order at a time; short
// questions to the disk on another, so that a log can be read while something large is published.
class Orders {
 public:
  Orders(const HostFolder& host, Jobs& jobs, Probes& probes, Inbox& inbox, const Milliseconds& grace);
  ~Orders();

  void handle(const Message& order, Answer answer);

 private:
  using Work = std::function<Result<Message>()>;
  void later(Errands& errands, Work work, Answer answer);
  void start(const Message& order, Answer answer);
  void ask(const Message& order, Answer answer);
  void cancel(const Message& order, Answer answer);
  void forward(const Message& order, Answer answer);
  void publish_pieces(const Message& order, Answer answer);
  void discard(const Message& order, Answer answer);
  void acknowledge(const Message& order, Answer answer);
  void remove(const Message& order, Answer answer);
  void checkpoints(const Message& order, Answer answer);
  void log(const Message& order, Answer answer);
  void list_stored(const Message& order, Answer answer);
  void bundles(const Message& order, Answer answer);
  void route(const Message& order, Answer answer);
  void listen(const Message& order, Answer answer);
  void dial(const Message& order, Answer answer);
  void stop_publishing(std::string_view token);
  Status check_removable(std::string_view path) const;
  struct Row;
  static const std::vector<Row>& table();

  const HostFolder& host_;
  Jobs& jobs_;
  Probes& probes_;
  Inbox& inbox_;
  const Milliseconds& grace_;
  StopSignal stop_;  // raised when the daemon ends
  std::multimap<std::string, std::shared_ptr<StopSignal>, std::less<>> publishing_;  // by token
  Errands effects_, questions_;
};

Message error_reply(int64_t to, const Error& error);
Message reply_to(int64_t to, Message members);

}  // namespace gnnflow
