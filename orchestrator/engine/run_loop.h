// One run of a workflow: the loop that takes what happened, lets the plan say what is next, and does it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/stop_signal.h"
#include "orchestrator/engine/attempt.h"
#include "orchestrator/engine/decide.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/engine/placement_run.h"
#include "orchestrator/engine/plan.h"
#include "orchestrator/engine/workbench.h"

namespace gnnflow {

std::vector<PlanStep> plan_steps(const Workflow& workflow, const StepKinds& kinds);
// The folders of the hosts whose files this machine sees.
Locations::Roots roots_here(const Workflow& workflow, const std::vector<std::unique_ptr<Host>>& hosts);
// `run` and `retry` end with the first cause's code when it is one of those that say what to do, and all
// failed steps share it.
int exit_code_of(const std::vector<Cause>& failures);

class RunLoop : public AttemptOwner {
 public:
  explicit RunLoop(EngineSetup setup);
  ~RunLoop() override;
  int run();
  int end_leftovers();

  void attempt_failing(Attempt& attempt) override;
  void attempt_ended(Attempt& attempt) override;

 private:
  static constexpr Milliseconds kGoodbyeSlack{10'000};
  struct StepRun {
    enum class Phase {
      waiting,   // for steps before it
      decided,   // the verdict is there, nothing was done about it yet
      reaching,  // the daemons of its hosts
      queued,    // for cores, its service, or the end of an older attempt
      working,
      homing,  // succeeded; its pieces are copied to the controller
      done,
      stopped,   // failed, or the run ended before it
      left_out,  // not among what a retry was told to do
    };
    const StepEntry* entry = nullptr;
    const Step* kind = nullptr;
    Phase phase = Phase::waiting;
    Verdict verdict;
    std::string reason;
    std::vector<TaskPlan> plans;
    std::optional<AttemptRow> unfinished;  // of an earlier controller; joined or cancelled
    Attempt* joined = nullptr;             // that one, until it begins
    Attempt* old = nullptr;                // or while it is being cancelled
    Attempt* attempt = nullptr;
    PlacementRun* placement = nullptr;
    Monotonic began;
    int failures = 0, losses = 0;  // of this run
    int fruitless = 0;             // of a service: attempts in a row that ended before they were up
    bool stored = false;           // its decision is
    int64_t attempt_stored = 0;    // as `status` shows it; 0: none, or one is due
    bool failed = false;           // for good
    bool chosen = true;            // a retry may make it
    bool was_up = false;
    std::set<std::string> asked;  // hosts that are being reached for it
    bool reach_due = false;       // again, after a pause
    Milliseconds reach_pause{0};
    std::string waits;           // for what; as stored
    std::optional<Error> error;  // why nothing could be decided
  };

  // run_loop.cc
  int run_nothing();
  RunRow run_row() const;
  std::vector<RunStepRow> rows() const;
  std::optional<Error> survey();
  void take_up();
  bool nothing_to_do() const;
  void begin();
  void loop_once();
  bool finished() const;
  int finish();
  void store_not_begun();

  // run_results.cc
  std::string name_result(const StepRun& step, const Piece& piece, const std::string& name);
  std::string result_text(const StepRun& step);
  std::string place_of(const StepRun& step, const Piece& piece);
  std::string moved_text() const;
  std::string summary();

  // run_stop.cc
  void look_for_stop();
  void stop_all(const std::string& why);
  void hurry();
  bool copying() const;
  bool may_leave() const;
  void tell_left();

  // run_hosts.cc
  void event(const std::string& host, const Message& event);
  void closed(const std::string& host, const std::string& why);
  bool needed(const std::string& host) const;
  void recover(const std::string& host);
  void lose_in_time(const std::string& host);
  Milliseconds silence_of(const std::string& host) const;
  void lose(const std::string& host, const std::string& why);
  void look_again(const std::string& host, Milliseconds pause);
  void not_reached(const std::string& host, Milliseconds pause, const Error& error, const Result<bool>& held);
  void greeted(const std::string& host);
  std::set<std::string> hosts_of(int index);
  void reach(int index);
  void reached(int index, const std::string& host, Status status);
  void reach_if_cut_off(int index, const std::string& host, const Error& error);
  void out_of_reach(int index, const Error& error);
  void reach_later(int index);
  std::set<std::string> leftover_hosts() const;

  // run_retry.cc
  std::optional<Error> choose();
  std::optional<Error> check_chosen();
  void leave_out(int index);
  void tell_done();

  // run_steps.cc
  void advance();
  void decide(int index);
  void act(int index);
  void settle(int index, Made made);
  void go_home(int index);
  void start_placement(int index);
  bool plan_tasks(int index);
  void start_queued();
  std::string goes_first(int index) const;
  Claims claims_of(const StepRun& step) const;
  void start_attempt(int index);
  bool ensure_service(int index);
  bool still_ending(const StepRun& step) const;
  Attempt* make_attempt(int index);
  Attempt* add_attempt(AttemptSetup setup);
  void end_old(Attempt& attempt, const std::string& why);
  std::vector<TaskRow> task_rows(const StepRun& step, int number,
                                 const std::vector<std::string>& hosts) const;
  std::optional<AttemptRow> begin_row(int index, const std::vector<std::string>& hosts,
                                      std::vector<TaskRow>& tasks);
  bool can_join(int index);
  void cancel_old(const AttemptRow& row, std::string why);
  void end_row(int64_t attempt, AttemptState state, Cause cause, const std::string& why);
  void meet();
  void drain();

  // run_ends.cc
  void work_ended(int index, Attempt& attempt);
  void placement_ended(int index, PlacementRun& placement);
  void ended_badly(int index, const AttemptEnd& end, bool joined);
  void try_again(int index, const std::string& why);
  void fail_step(int index, const AttemptEnd& end);
  void fail_before_start(int index, const Error& error);
  void store_failure(int index, const Error& error);
  void distrust_inputs(const StepRun& step);

  void news(int index, std::string_view what, std::string_view detail);
  void set_step(int index, Decision decision, int64_t attempt, std::string_view reason);
  void set_waits(int index, std::string what);
  Scene scene(const StepRun& step) const { return {&workflow_, step.entry, &made_}; }
  int index_of(std::string_view step) const;
  void forget_tokens(const Attempt& attempt);

  EngineSetup setup_;
  const Workflow& workflow_;
  const StepKinds& kinds_;
  StopSignal halt_;  // raised when the run ends, however
  Happenings happenings_;
  Timers timers_;
  MadeSteps made_;
  Locations locations_;
  ContentDigests digests_;
  HostPool pool_;
  Artifacts artifacts_;
  Network network_;
  Cores cores_;
  Workbench bench_;
  Decider decider_;
  Plan plan_;
  std::vector<StepRun> steps_;
  std::deque<StepEntry> ghosts_;  // steps of old attempts that are only to be cancelled
  bool strangers_ = false;        // there are unfinished attempts of steps that the workflow has no more
  std::vector<std::unique_ptr<Attempt>> attempts_;
  std::vector<std::unique_ptr<PlacementRun>> placements_;
  std::map<std::string, std::pair<Attempt*, int>, std::less<>> tokens_;
  std::set<std::string> recovering_, greeted_, prepared_;
  std::vector<Cause> failures_;
  Monotonic began_;
  std::map<int64_t, std::vector<std::string>> moved_;  // names in results/, by the run whose result they name
  bool stopping_ = false;
  std::string why_stopping_;
  Monotonic stopped_at_;
  std::optional<Cause> stopped_by_;  // a signal or `gnnflow stop`, when nothing had failed before
  bool heard_stop_ = false, hurried_ = false;
  int signals_ = 0;  // that were there when the first was heard
  Monotonic looked_, hurried_at_;
};

}  // namespace gnnflow
