// A host with its daemon inside the test: the control protocol over a socket pair, jobs that are a few lines
// of script, files in a folder of the test's own. docs/protocol.md, "Control".
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/wire/message_of.h"
#include "orchestrator/remote/host.h"

namespace gnnflow {

// What a job does once it is started.
struct FakeJob {
  std::vector<Message> reports;  // said after `started`; the head of a report, e.g. {"type":"ready",...}
  std::map<std::string, std::string>
      files;                    // path below out/ -> content: "graph/graph.json" makes the piece `graph`
  std::optional<int> code = 0;  // nothing: it runs until finish(), a cancel, or the daemon's end
  int signal = 0;
  std::string cause, message, tail;  // of its failure report
};

// The host and its folder outlive daemons, as real ones do: kill_daemon() and start_daemon() again.
// Any thread may call; scripts are called on the daemon's thread.
class FakeHost : public Host {
 public:
  using Script = std::function<FakeJob(const Json& order)>;  // the `start` order: token, program, spec
  using Answer = std::function<std::optional<Message>(const Message& order)>;

  // root() is workspace/store/name, made at once.
  FakeHost(std::string name, const fs::path& workspace, std::string store = std::string(32, 'a'));
  ~FakeHost() override;

  // As on another machine: it is reached at `address`, it has a boot id of its own, and root() names a folder
  // that is not there for us.
  void be_far(std::string address);
  fs::path files() const { return root_; }  // what root() names on that machine

  // Without a script every job ends at once with 0 and makes nothing.
  void on_start(Script script);
  // Asked first for every order: a message is the answer (its `to` is filled in), nothing means the usual
  // one.
  void on_order(Answer answer);
  void report(const std::string& token, const Message& message);
  void finish(const std::string& token, int code, int signal = 0, std::string cause = "",
              std::string message = "");
  void cut();          // the connection ends; daemon and jobs go on
  void kill_daemon();  // and its jobs with it: the next daemon answers `lost` for them
  void refuse_daemons(std::optional<Error> error);  // start_daemon and connect fail so from now on
  void answer_beats(bool answer);  // one that does not is frozen, as far as the controller can see
  void say_preparation(std::string text);
  void keep_jobs(bool keep);  // they do not end when told to; `discard` still kills them

  std::vector<Message> orders() const;                                 // all but beats, as they came
  std::vector<std::string> orders_of(const std::string& token) const;  // their types
  std::vector<std::string> started() const;  // tokens, in order; a repeated START of one adds nothing
  std::vector<std::string> running() const;  // tokens of jobs that have not ended
  int daemons_started() const;
  int refusals() const;       // of start_daemon
  int64_t files_put() const;  // files really copied by put()

  const std::string& name() const override { return name_; }
  fs::path root() const override { return far_.empty() ? root_ : "/far" / root_.relative_path(); }
  std::string address() const override { return far_; }
  Status start_daemon(Milliseconds lease, Milliseconds grace, Deadline deadline) override;
  Result<bool> daemon_alive() override;
  Result<MessageLink> connect(Deadline deadline) override;
  Status put(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
             const TransferProgress& progress, const StopSignal& stop) override;
  Status get(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
             const TransferProgress& progress, const StopSignal& stop) override;
  Result<std::vector<bool>> check(const std::vector<HostFile>& files, const fs::path& at, bool digests,
                                  const StopSignal& stop) override;
  Result<std::string> read(const fs::path& path, int64_t limit) override;
  Result<std::string> read_from(const fs::path& path, int64_t offset, int64_t limit) override {
    return read_piece(root() / path, offset, limit);
  }
  std::string preparation() const override;

 private:
  struct Job {
    std::string kind, state = "started";
    int code = 0, signal = 0;
    std::string cause, message, tail;
    std::vector<Message> kept;  // reports that a later hello hears again
  };
  void serve();
  void take(const Message& order);
  Json answer(const Message& order, Message& reply);
  Json greeting(const Message& order);
  Json start(const Message& order);
  Json ask(const Message& order) const;
  Json publish(const Message& order);
  Json log_of(const Message& order, Message& reply) const;
  void run(const std::string& token, const FakeJob& script);
  void end(const std::string& token, Job& job, int code, int signal);
  void tell(const std::string& token, std::string_view event, Message message);
  void tell_exit(const std::string& token, const Job& job);
  void send(const Message& message);
  void stop_serving();

  const std::string name_;
  const fs::path root_;
  const std::string store_;
  std::string far_;                     // its address; set before it is used
  mutable std::recursive_mutex mutex_;  // scripts may call us
  Script script_;                       // guarded by mutex_, as all below
  Answer answer_;
  std::optional<Error> refusal_;
  std::map<std::string, Job> jobs_;  // the journal: outlives a daemon
  std::vector<std::string> started_;
  std::vector<Message> orders_;
  int64_t epoch_ = 0;
  bool alive_ = false, ended_well_ = false;
  std::string preparation_;
  bool answers_beats_ = true, keeps_jobs_ = false;
  int daemons_ = 0, refusals_ = 0;
  int64_t files_put_ = 0;
  std::shared_ptr<MessageLink> link_;
  std::thread thread_;
};

}  // namespace gnnflow
