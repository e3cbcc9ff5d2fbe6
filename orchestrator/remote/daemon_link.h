// The controller's end of one daemon connection: orders with answers, events on a thread of its own, beats
// every 2 s.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "common/base/json.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "common/wire/message.h"
#include "orchestrator/remote/host.h"

namespace gnnflow {

struct DaemonGreeting {
  int64_t epoch = 0;
  std::string store;
  Milliseconds lease{600'000}, grace{10'000};
};

// Any thread may send orders. Events come on the link's thread: the sink only puts them into a queue, and
// never waits for whoever may destroy the link. When the connection ends the sink gets one
// {"type":"closed","message":...} and every order fails with `unreachable`; not when the owner ends it. Once
// the destructor has returned nothing is called any more.
class DaemonLink {
 public:
  using Sink = std::function<void(const std::string& host, Message event)>;

  // Connects and says hello. A daemon that turns out to be ending is replaced by a new one. Events may come
  // before it has returned.
  static Result<std::unique_ptr<DaemonLink>> open(Host& host, const DaemonGreeting& greeting, Sink sink,
                                                  Deadline deadline);
  ~DaemonLink();

  const Json& greeting() const;  // the daemon's answer to hello
  Result<Message> order(Message order, Deadline deadline);
  // Without waiting, also for a daemon that does not read: `done` is called on one of the link's threads, or
  // on any when the link ended, or when so many orders are unread that this one is refused.
  void order_later(Message order, std::function<void(Result<Message>)> done);

 private:
  struct State;
  explicit DaemonLink(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace gnnflow
