// A job's end of the channel to its daemon (descriptor 3): beats, orders and announcements down; reports up.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/json.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "common/wire/message.h"
#include "common/wire/progress.h"

namespace gnnflow {

constexpr int kChannelDescriptor = 3;

// What a job is told to do: `--task FILE`, docs/protocol.md, "Tasks". Without a file and descriptor 3 (a
// person started the program by hand) channel calls do nothing and waits fail.
struct Task {
  std::string token, kind;
  Json spec;        // the whole task.json
  fs::path folder;  // tmp/<token>: the only place to write, beside spec's checkpoints
  static Result<Task> read(const fs::path& file);
};

// Open it on the first line of main. Its thread ends the process (exit 143) on end of file, when no beat came
// for the lease (told in the first beat), and `grace` after `cancel`; the stop signal is raised at `cancel`
// at once. Any thread may call anything.
class JobChannel {
 public:
  // On descriptor 3, when that is a Unix socket and GNNFLOW_TOKEN is set: else as detached(). `last_act` is
  // called on the channel's thread before it ends the process.
  static std::unique_ptr<JobChannel> open(std::function<void()> last_act = {});
  static std::unique_ptr<JobChannel> detached();  // no daemon: reports are dropped
  ~JobChannel();

  StopSignal& stop();
  void report(
      const Message& message);  // blocks at most a moment; a daemon that does not read is a dead daemon
  void progress(const Progress& progress);  // at most about 5 a second are sent; the last of a phase always
  // Maps: their members stand beside `type` in the message.
  void metrics(Json metrics);
  void checkpoint(Json checkpoint);
  void result(Json result);
  // Waits for a message of this type ("peers", ...) that the daemon sent or will send.
  Result<Message> wait_for(std::string_view type, Deadline deadline);
  // Called on the channel's thread for each message of the type from now on, and for those that wait already.
  void on(std::string_view type, std::function<void(const Message&)> handler);

  // Rendezvous through the controller: set is put; get blocks until a peer has set the key.
  Status store_set(std::string_view key, std::string_view value);
  Result<std::string> store_get(std::string_view key, Deadline deadline);

 private:
  struct State;
  explicit JobChannel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Writes {cause, message} as the last line of the log and reports it, so that the controller shows the first
// cause.
int report_failure(JobChannel& channel, const Error& error);  // returns the exit code

}  // namespace gnnflow
