// One attempt of a step: its tasks on their hosts, from bringing the inputs to the published pieces. Taking
// up an attempt of an earlier controller is running the same code again with the same tokens.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/engine/checkpoints.h"
#include "orchestrator/engine/network.h"
#include "orchestrator/engine/rendezvous.h"
#include "orchestrator/engine/workbench.h"

namespace gnnflow {

class Attempt;

// How an attempt ended, or what it failed of first.
struct AttemptEnd {
  AttemptState state = AttemptState::failed;
  Cause cause = Cause::failed;
  std::string message, tail;  // first cause; last lines of that task's log
};

class AttemptOwner {
 public:
  virtual ~AttemptOwner() = default;
  // The first failure; its other tasks are being cancelled.
  virtual void attempt_failing(Attempt& attempt) = 0;
  // Its end is stored and nothing of it is left on the hosts. Not told of one whose success could not be
  // stored.
  virtual void attempt_ended(Attempt& attempt) = 0;
};

struct AttemptSetup {
  const StepEntry* step = nullptr;
  const Step* kind = nullptr;
  AttemptRow row;               // as stored
  std::vector<TaskPlan> plans;  // empty when it is only to be cancelled
  std::vector<TaskRow> tasks;   // as stored, with their tokens
  bool joined = false;          // an earlier controller made it: its tasks may have been started
};

// The engine's thread only. Lives until the run has ended: callbacks may still arrive when it is over.
class Attempt {
 public:
  Attempt(Workbench& bench, AttemptSetup setup, AttemptOwner& owner);

  // REQUIRES: the daemons of its hosts were reached.
  void begin();
  // The first failure, when it comes from outside: its service ended, its time is over. One that publishes
  // has done its work: what happens to others does not touch it any more.
  void fail(AttemptEnd first);
  void cancel(Cause cause, std::string why);  // ends as cancelled
  void kill();                                // without waiting for the time of grace

  void event(int task, const Message& event);
  void host_closed(const std::string& host);  // its tasks are unknown until it is back or lost
  void host_back(const std::string& host);
  void host_lost(const std::string& host, const std::string& why);
  void tick();  // its timeout

  bool over() const { return phase_ == Phase::over; }
  bool ending() const { return phase_ >= Phase::ending; }  // failed or cancelled, or its end is stored
  const AttemptRow& row() const { return row_; }
  const StepEntry& step() const { return *step_; }
  const AttemptEnd& end() const { return end_; }
  std::vector<std::string> tokens() const;
  std::vector<std::string> open_hosts() const;  // of tasks that have not ended
  bool joined() const { return joined_; }

  // Of a service.
  bool up() const { return phase_ == Phase::running && allow_.all_ready(); }
  int64_t allow(const std::vector<std::string>& keys);  // the length of the list that must be allowed
  bool all_allowed(int64_t upto) const { return allow_.all_allowed(upto); }
  Message peers() const { return allow_.peers(); }
  // Of ranks.
  bool ranks_ready() const;
  std::vector<std::string> rank_keys() const;
  void tell_peers(const Message& peers);
  int64_t awaited = 0;  // the length of the service's list that holds this one's keys; 0: not asked yet
  bool met = false;     // its ranks know their peers

 private:
  enum class Phase { fresh, preparing, running, publishing, ending, cleaning, over };
  struct Task {
    TaskPlan plan;
    TaskRow row;
    bool asked = false;     // START was sent, by this controller or an earlier one
    bool waiting = false;   // its answer, or that to ASK, is to come
    bool answered = false;  // the daemon that is connected now has it
    bool ended = false;
    bool good = false;
    bool lost = false;
    Cause cause = Cause::failed;
    Monotonic kill_began;  // when it was first told to be killed
    std::string message, tail, public_key;
    std::vector<Message> unsent;            // forwards that found no connection
    std::map<std::string, fs::path> local;  // brought local inputs, by name or target
  };

  // attempt_start.cc
  void prepare();
  void prepared(Result<fs::path> result);
  std::set<std::string> network_hosts() const;
  void choose_checkpoint();
  void resume_from(Checkpoints::Found found);
  void resume_from_next();
  void start_from_the_beginning();
  void start_all();
  void start(int index);
  void start_answered(int index, Result<Message> answer);
  void store_started(Task& task);
  Result<Json> spec_of(const Task& task) const;
  void add_network(const Task& task, Json& spec) const;
  Result<std::string> path_on(const std::string& host, std::string_view step, std::string_view output) const;
  int threads_of(const Task& task) const;

  // attempt_reports.cc
  void report(int index, const Json& head, const std::string& body);
  void server_ready(int index, const Json& head);
  void take_metrics(int index, const Json& head);
  void forward(int index, Message message);
  void send(int index, Message order);
  void send_again(int index);

  // attempt.cc
  void again(int index);
  void take_up(int index);
  void ask(int index);
  void ask_answered(int index, Result<Message> answer);
  bool has_ended(int index, const Json& said);
  void end_now(int index, const std::string& why);
  void gone_now(int index, const std::string& why);
  void task_ended(int index, int code, int signal, const Json& said);
  void task_lost(int index, const std::string& why);
  void after_end(int index);
  void stop_others();
  void stop_task(int index);
  void failing(AttemptEnd first);
  void publish();
  void store_publishing();
  void publish_task(int index);
  void published(int index, Result<Message> answer);
  void commit_success();
  void leave_publishing();
  std::string outputs_path() const;
  void conclude();
  AttemptEnd first_cause() const;
  void clean();
  void clean_order(const std::string& host, Message order);
  void cleaned();
  bool all_ended() const;
  std::string name_of_task(const Task& task) const;
  bool is_service() const { return kind_ && kind_->nature() == Nature::service; }

  Workbench& bench_;
  const StepEntry* step_;
  const Step* kind_;
  AttemptRow row_;
  std::vector<Task> tasks_;
  AttemptOwner& owner_;
  Phase phase_ = Phase::fresh;
  AttemptEnd end_;
  const bool joined_;
  bool end_fixed_ = false;  // end_ came from outside: no task's end explains it better
  int open_ = 0;            // answers that the phase waits for
  bool was_publishing_ = false;
  DataAddresses addresses_;
  std::optional<Checkpoints> checkpoints_;  // of a training
  Checkpoints::Found candidates_;           // to go on from, the best first
  bool passed_over_ = false;                // one of them could not be had
  std::string resume_path_, resumed_;
  std::vector<std::optional<Json>> published_;
  std::vector<int> order_of_ends_;
  Json metrics_;
  bool metrics_open_ = false;  // they go with the next commit
  KeyStore keys_;
  AllowList allow_;
  Monotonic began_, stopped_at_;
};

}  // namespace gnnflow
