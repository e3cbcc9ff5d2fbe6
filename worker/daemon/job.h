// One job of the daemon: its record, its process while it has one, and what it has said.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "common/base/child_process.h"
#include "common/base/json.h"
#include "common/wire/message.h"
#include "common/zmq/keys.h"
#include "worker/daemon/channel.h"
#include "worker/daemon/host_folder.h"
#include "worker/daemon/journal.h"
#include "worker/daemon/kept_reports.h"

namespace gnnflow {

// How often a server is started again: a count within a window.
class RestartBudget {
 public:
  RestartBudget(int64_t most, Milliseconds window) : most_(most), window_(window) {}
  bool take(Monotonic now);  // false: used up
  int64_t taken() const { return taken_; }

 private:
  const int64_t most_;
  const Milliseconds window_;
  std::deque<Monotonic> recent_;
  int64_t taken_ = 0;
};

// A graph server keeps who it is over its restarts.
struct ServerIdentity {
  KeyPair keys;
  int64_t port = 0;              // 0: not bound yet
  std::optional<Message> allow;  // the last one forwarded
  RestartBudget budget;
};

// Used by the daemon's loop alone.
struct Job {
  JobRecord record;
  Json spec;
  std::optional<ChildProcess> process;
  std::shared_ptr<Channel> channel;
  bool channel_ended = false;  // nothing more will come
  KeptReports kept;
  std::optional<ServerIdentity> server;

  bool cancelled = false;
  bool discarded = false;          // killed because its results are not wanted
  bool forget_when_ended = false;  // acknowledged before it was gone
  std::optional<Monotonic> kill_at;
  std::optional<Monotonic> killed_at;  // and it has not ended yet
  std::optional<Error> failure;        // its own report, or why the daemon has ended it
  std::optional<ExitState>
      end;  // ended, but what it left behind may still be swept, or the journal not be written

  // Something may still carry the token, or the end is not recorded.
  bool live() const { return process.has_value() || end.has_value(); }
};

// Starts the shim with a channel and tells it GO, for a server also its keys. The journal is the caller's.
// REQUIRES: the thread lives as long as the daemon.
Status spawn_shim(const HostFolder& host, Job& job, std::function<void()> wake);
Status tell_go(Job& job);
void kill_group(ChildProcess& process);

// The message of an event.
Message event_of(std::string_view token, std::string_view event);
Message report_event(std::string_view token, const Message& report);
Message exited_event(const HostFolder& host, const JobRecord& job);

}  // namespace gnnflow
