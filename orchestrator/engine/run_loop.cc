// The loop of one run, from the lock that the caller holds to the goodbye to every daemon.
#include "orchestrator/engine/run_loop.h"

#include <algorithm>

#include "common/base/log.h"
#include "common/base/text.h"

namespace gnnflow {

std::vector<PlanStep> plan_steps(const Workflow& workflow, const StepKinds& kinds) {
  std::map<std::string, int> index;
  std::vector<PlanStep> steps;
  for (const StepEntry& entry : workflow.steps) {
    PlanStep step;
    step.name = entry.name;
    for (const std::string& need : entry.needs) {
      if (const auto found = index.find(need); found != index.end()) step.needs.push_back(found->second);
    }
    const auto service = index.find(kinds.at(entry.kind)->service(workflow, entry));
    if (service != index.end()) step.service = service->second;
    index[entry.name] = static_cast<int>(steps.size());
    steps.push_back(std::move(step));
  }
  return steps;
}

Locations::Roots roots_here(const Workflow& workflow, const std::vector<std::unique_ptr<Host>>& hosts) {
  Locations::Roots roots;
  for (const auto& host : hosts) {
    const HostEntry* entry = workflow.host(host->name());
    if (host->name() == kController || (entry && entry->address == "local"))
      roots[host->name()] = host->root();
  }
  return roots;
}

int exit_code_of(const std::vector<Cause>& failures) {
  if (failures.empty()) return 0;
  const Cause first = failures.front();
  const bool shared =
      std::all_of(failures.begin(), failures.end(), [&](Cause cause) { return cause == first; });
  const bool telling = first == Cause::bad_workflow || first == Cause::unreachable || first == Cause::unfit ||
                       first == Cause::bad_data || first == Cause::no_resources || first == Cause::temporary;
  return shared && telling ? exit_code(first) : exit_code(Cause::failed);
}

RunLoop::RunLoop(EngineSetup setup)
    : setup_(std::move(setup)),
      workflow_(*setup_.workflow),
      kinds_(*setup_.kinds),
      timers_(*setup_.clock),
      locations_(setup_.store, roots_here(workflow_, setup_.hosts)),
      digests_(setup_.store, *setup_.clock, setup_.stop),
      pool_(std::move(setup_.hosts),
            DaemonGreeting{setup_.store->epoch(), setup_.store->store_id(), workflow_.lease, workflow_.grace},
            happenings_, *setup_.clock, *setup_.stop),
      artifacts_(*setup_.store, pool_, locations_, halt_),
      network_(workflow_, pool_),
      bench_{workflow_, kinds_,           *setup_.store, pool_,   locations_, artifacts_, network_,
             cores_,    *setup_.observer, *setup_.clock, timers_, made_,      0,          {}},
      decider_(workflow_, kinds_, setup_.store, locations_, digests_),
      plan_(plan_steps(workflow_, kinds_)) {
  for (const StepEntry& entry : workflow_.steps) {
    StepRun step;
    step.entry = &entry;
    step.kind = kinds_.at(entry.kind);
    steps_.push_back(std::move(step));
  }
  began_ = setup_.clock->now();
  pool_.listen([this](const std::string& host, const Message& message) { event(host, message); },
               [this](const std::string& host, const std::string& why) { closed(host, why); },
               [this](const HostRow& row) {
                 Status status = setup_.store->set_host(row);
                 bench_.commit(status);
                 return status;
               });
  pool_.remember(bench_.read(setup_.store->hosts()).value_or(std::vector<HostRow>()));
}

RunLoop::~RunLoop() { halt_.raise(); }

int RunLoop::index_of(std::string_view step) const {
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i].entry->name == step) return static_cast<int>(i);
  }
  return -1;
}

void RunLoop::news(int index, std::string_view what, std::string_view detail) {
  const StepRun& step = steps_[index];
  StepNews news;
  news.step = step.entry->name;
  news.kind = step.entry->kind;
  news.what = what;
  news.detail = detail;
  if (step.began != Monotonic()) {
    news.seconds = std::chrono::duration<double>(setup_.clock->now() - step.began).count();
  }
  setup_.observer->step_news(news);
}

void RunLoop::set_step(int index, Decision decision, int64_t attempt, std::string_view reason) {
  RunStepRow row;
  row.run = bench_.run;
  row.step = steps_[index].entry->name;
  row.kind = steps_[index].entry->kind;
  row.decision = decision;
  row.attempt = attempt;
  row.reason = reason;
  steps_[index].attempt_stored = attempt;
  bench_.commit(setup_.store->set_step(row));
}

// For what a step waits that could begin otherwise.
void RunLoop::set_waits(int index, std::string what) {
  StepRun& step = steps_[index];
  if (step.waits == what) return;
  step.waits = std::move(what);
  bench_.commit(setup_.store->set_waits(bench_.run, step.entry->name, step.waits));
}

// What the store alone can say. No host is asked, nothing is written.
std::optional<Error> RunLoop::survey() {
  if (auto error = choose()) return error;
  for (const StepRun& step : steps_) {
    if (Status status = decider_.check(*step.entry); !status) return std::move(status).error();
  }
  // All of them now: a missing one is told before anything runs, and a long one keeps nobody waiting later.
  for (const StepRun& step : steps_) {
    if (auto digests = decider_.digests_of(*step.entry); !digests) return std::move(digests).error();
  }
  auto unfinished = setup_.store->unfinished_attempts();
  if (!unfinished) return std::move(unfinished).error();
  for (AttemptRow& row : *unfinished) {
    const int index = index_of(row.step);
    if (index >= 0 && steps_[index].entry->kind == row.kind) {
      steps_[index].unfinished = std::move(row);
    } else {
      strangers_ = true;
    }
  }
  advance();
  for (StepRun& step : steps_) {
    if (step.error) return std::move(*step.error);
    step.stored = step.phase == StepRun::Phase::decided;
  }
  if (auto error = check_chosen()) return error;
  return bench_.broken;
}

bool RunLoop::nothing_to_do() const {
  return !strangers_ && std::all_of(steps_.begin(), steps_.end(), [](const StepRun& step) {
    if (step.unfinished) return false;
    if (step.phase == StepRun::Phase::left_out) return true;
    return step.phase == StepRun::Phase::decided && step.verdict.what != Verdict::What::run &&
           !step.verdict.comes_home && step.verdict.gone.empty();
  });
}

std::vector<RunStepRow> RunLoop::rows() const {
  std::vector<RunStepRow> rows;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const StepRun& step = steps_[i];
    RunStepRow row;
    row.step = step.entry->name;
    row.kind = step.entry->kind;
    if (step.phase == StepRun::Phase::decided) {
      row.decision = step.verdict.what == Verdict::What::run ? Decision::attempt : Decision::cached;
      row.attempt = step.verdict.attempt;
      row.reason = step.verdict.reason;
    } else if (step.phase == StepRun::Phase::left_out) {
      row.decision = Decision::skipped;
      row.reason = "not retried";
    } else {
      std::vector<std::string> open;
      for (const int need : plan_.step(static_cast<int>(i)).needs) {
        if (!plan_.done(need)) open.push_back(plan_.step(need).name);
      }
      row.reason = "waits for " + join(open, ", ");
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

int RunLoop::run() {
  RunObserver& observer = *setup_.observer;
  if (setup_.store->made()) log_debug("new store {}", setup_.store->store_id());
  if (auto error = survey()) {
    observer.failure("", error->message, "");
    observer.run_ended(exit_code(error->cause), "failed before anything ran");
    return exit_code(error->cause);
  }
  if (nothing_to_do()) return run_nothing();
  begin();
  while (!finished()) loop_once();
  return finish();
}

RunRow RunLoop::run_row() const {
  RunRow row;
  row.command = setup_.command;
  row.workflow = setup_.workflow_digest;
  row.params = workflow_.params;
  row.started_ms = setup_.clock->unix_milliseconds();
  return row;
}

// One commit, no host.
int RunLoop::run_nothing() {
  RunRow row = run_row();
  row.ended_ms = row.started_ms;
  const std::string result = summary();
  row.summary = "nothing to do" + (result.empty() ? "" : "\n" + result);
  auto run = setup_.store->begin_run(row, rows());
  if (!run) {
    setup_.observer->failure("", run.error().message, "");
    return exit_code(run.error().cause);
  }
  bench_.run = *run;
  setup_.observer->run_began(*run, workflow_.name, plan_.size());
  for (int i = 0; i < plan_.size(); ++i) {
    const StepRun& step = steps_[i];
    if (step.phase == StepRun::Phase::left_out) continue;
    if (step.verdict.what == Verdict::What::cached) news(i, "cached", step.verdict.reason);
  }
  tell_done();
  // A controller that died after the last step may have left its daemons; looking at their locks asks nobody.
  pool_.goodbye(locations_.seen(), workflow_.grace + kGoodbyeSlack);
  setup_.observer->run_ended(0, row.summary);
  return 0;
}

void RunLoop::begin() {
  if (auto run = bench_.read(setup_.store->begin_run(run_row(), rows()))) bench_.run = *run;
  for (StepRun& step : steps_) step.attempt_stored = step.stored ? step.verdict.attempt : 0;
  setup_.observer->run_began(bench_.run, workflow_.name, plan_.size());
  tell_done();
  take_up();
  for (int i = 0; i < plan_.size(); ++i) {
    if (steps_[i].phase == StepRun::Phase::decided) act(i);
  }
}

// What an earlier controller has left unfinished is joined when this run wants just that, and ended when not.
void RunLoop::take_up() {
  const auto unfinished = bench_.read(setup_.store->unfinished_attempts());
  for (const AttemptRow& old : unfinished.value_or(std::vector<AttemptRow>())) {
    const int index = index_of(old.step);
    if (index < 0 || steps_[index].entry->kind != old.kind) {
      cancel_old(old, "step " + old.step + " is no longer in the workflow");
    } else if (!can_join(index)) {
      steps_[index].unfinished.reset();
      cancel_old(old, "this run does not want it as it was");
    }
  }
}

void RunLoop::loop_once() {
  const auto happened = happenings_.take(setup_.tick);
  look_for_stop();  // first: what the signal has ended on other threads is no failure
  for (const auto& happening : happened) happening();
  pool_.tick();
  timers_.run_due();
  for (size_t i = 0; i < attempts_.size(); ++i) attempts_[i]->tick();
  look_for_stop();
  if (!stopping_) {
    advance();
    for (int i = 0; i < plan_.size(); ++i) {
      if (steps_[i].phase == StepRun::Phase::decided) act(i);
    }
    start_queued();
    meet();
  }
  drain();
  setup_.observer->tick();
}

bool RunLoop::finished() const {
  if (may_leave()) return true;
  const auto working = [](const auto& one) { return !one->over(); };
  if (std::any_of(attempts_.begin(), attempts_.end(), working)) return false;
  if (std::any_of(placements_.begin(), placements_.end(), working)) return false;
  if (pool_.reaching()) return false;
  if (!stopping_) return plan_.all_done();
  return std::none_of(steps_.begin(), steps_.end(),
                      [](const StepRun& step) { return step.phase == StepRun::Phase::homing; });
}

// What the run's end leaves undone shows why in place of why it was wanted.
void RunLoop::store_not_begun() {
  for (int i = 0; i < plan_.size(); ++i) {
    StepRun& step = steps_[i];
    const bool service = step.kind->nature() == Nature::service && step.phase != StepRun::Phase::waiting;
    if (plan_.done(i) || plan_.left_out(i) || step.failed || step.attempt_stored != 0 || service) continue;
    const std::string again = step.failures + step.losses > 0 ? " again" : "";
    const std::string reason = "not begun" + again + ": " + why_stopping_;
    set_waits(i, "");
    set_step(i, Decision::attempt, 0, reason);
    if (step.kind->nature() != Nature::service) news(i, "skipped", reason);
  }
}

int RunLoop::finish() {
  halt_.raise();
  tell_left();
  pool_.goodbye(leftover_hosts(), workflow_.grace + kGoodbyeSlack);
  int code = exit_code_of(failures_);
  if (stopped_by_) code = exit_code(*stopped_by_);
  if (bench_.broken && !stopped_by_) code = exit_code(bench_.broken->cause);
  std::string text;
  if (stopped_by_) {
    text = "stopped";
  } else if (code == 0) {
    text = summary();
    if (text.empty()) text = "done";
  } else {
    std::vector<std::string> failed;
    for (const StepRun& step : steps_) {
      if (step.failed) failed.push_back(step.entry->name);
    }
    text = failed.empty() ? "failed" : "failed: " + join(failed, ", ");
  }
  Status ended = setup_.store->together([&]() -> Status {
    if (!bench_.broken) store_not_begun();
    return setup_.store->end_run(bench_.run, code, text);
  });
  if (!ended && code == 0) {
    setup_.observer->failure("", ended.error().message, "");
    code = exit_code(ended.error().cause);
  }
  setup_.observer->run_ended(code, text);
  return code;
}

}  // namespace gnnflow
