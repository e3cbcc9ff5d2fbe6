// The loop of one run, from the lock that the caller holds to the goodbye to every daemon.
#include "orchestrator/engine/run_loop.h"

#include <algorithm>

#include "common/base/log.h"
#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kTick{100};
constexpr Milliseconds kLookForStop{500};
constexpr Milliseconds kAgain{500};
constexpr Milliseconds kGoodbyeSlack{10'000};

}  // namespace

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
  const bool telling = first == Cause::unreachable || first == Cause::bad_data ||
                       first == Cause::no_resources || first == Cause::temporary;
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
            happenings_, *setup_.clock),
      artifacts_(*setup_.store, pool_, locations_, halt_),
      bench_{workflow_,        kinds_,        *setup_.store, pool_, locations_, artifacts_, cores_,
             *setup_.observer, *setup_.clock, timers_,       made_, 0,          {}},
      decider_(workflow_, kinds_, setup_.store, locations_, digests_),
      plan_(plan_steps(workflow_, kinds_)) {
  for (const StepEntry& entry : workflow_.steps) {
    StepRun step;
    step.entry = &entry;
    step.kind = kinds_.at(entry.kind);
    steps_.push_back(std::move(step));
  }
  pool_.listen([this](const std::string& host, const Message& message) { event(host, message); },
               [this](const std::string& host, const std::string& why) { closed(host, why); });
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
  bench_.commit(setup_.store->set_step(row));
}

// What the store alone can say. No host is asked, nothing is written.
std::optional<Error> RunLoop::survey() {
  for (const StepRun& step : steps_) {
    if (Status status = step.kind->check(workflow_, *step.entry); !status) {
      return std::move(status).error().within("step '" + step.entry->name + "'");
    }
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
  return bench_.broken;
}

bool RunLoop::nothing_to_do() const {
  return !strangers_ && std::all_of(steps_.begin(), steps_.end(), [](const StepRun& step) {
    return !step.unfinished && step.phase == StepRun::Phase::decided &&
           step.verdict.what != Verdict::What::run && !step.verdict.comes_home && step.verdict.gone.empty();
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
  if (setup_.store->made()) observer.note("new store " + setup_.store->store_id());
  if (auto error = survey()) {
    observer.failure("", error->message, "");
    observer.run_ended(exit_code(error->cause), error->message);
    return exit_code(error->cause);
  }
  if (nothing_to_do()) return run_nothing();
  begin();
  while (!finished()) loop_once();
  return finish();
}

// One commit, no host.
int RunLoop::run_nothing() {
  RunRow row;
  row.command = setup_.command;
  row.workflow = setup_.workflow_digest;
  row.params = workflow_.params;
  row.started_ms = row.ended_ms = setup_.clock->unix_milliseconds();
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
    if (steps_[i].verdict.what == Verdict::What::cached) news(i, "cached", steps_[i].verdict.reason);
  }
  // A controller that died after the last step may have left its daemons; looking at their locks asks nobody.
  pool_.goodbye(locations_.seen(), workflow_.grace + kGoodbyeSlack);
  setup_.observer->run_ended(0, row.summary);
  return 0;
}

void RunLoop::begin() {
  RunRow row;
  row.command = setup_.command;
  row.workflow = setup_.workflow_digest;
  row.params = workflow_.params;
  row.started_ms = setup_.clock->unix_milliseconds();
  if (auto run = bench_.read(setup_.store->begin_run(row, rows()))) bench_.run = *run;
  setup_.observer->run_began(bench_.run, workflow_.name, plan_.size());
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
  for (auto& happening : happenings_.take(kTick)) happening();
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
  const auto working = [](const auto& one) { return !one->over(); };
  if (std::any_of(attempts_.begin(), attempts_.end(), working)) return false;
  if (std::any_of(placements_.begin(), placements_.end(), working)) return false;
  if (pool_.reaching()) return false;
  if (!stopping_) return plan_.all_done();
  return std::none_of(steps_.begin(), steps_.end(),
                      [](const StepRun& step) { return step.phase == StepRun::Phase::homing; });
}

void RunLoop::look_for_stop() {
  if (bench_.broken && !stopping_) {
    failures_.push_back(bench_.broken->cause);
    setup_.observer->failure("", "the state cannot be written: " + bench_.broken->message, "");
    return stop_all("the state cannot be written");
  }
  const auto now = setup_.clock->now();
  if (!setup_.stop->raised() && now - looked_ >= kLookForStop) {
    looked_ = now;
    auto asked = bench_.read(setup_.store->stop_requested(bench_.run));
    if (asked.value_or(false)) setup_.stop->raise(Cause::stopped);
  }
  if (!setup_.stop->raised() || stopped_by_) return;
  stopped_by_ = setup_.stop->cause();
  const std::string why =
      *stopped_by_ == Cause::stopped ? "stopped by `gnnflow stop`" : "stopped by a signal";
  setup_.observer->note(why + "; ending what runs");
  stop_all(why);
}

void RunLoop::stop_all(const std::string& why) {
  stopping_ = true;
  halt_.raise(stopped_by_.value_or(Cause::stopped));
  for (size_t i = 0; i < attempts_.size(); ++i) {
    if (!attempts_[i]->over()) end_old(*attempts_[i], why);
  }
  for (auto& placement : placements_) placement->cancel(Cause::stopped, why);
}

void RunLoop::event(const std::string& host, const Message& event) {
  if (event.type() != "event") return;
  const auto found = tokens_.find(event.head.text_or("token", ""));
  if (found == tokens_.end()) return log_debug("host {}: an event of an unknown job", host);
  found->second.first->event(found->second.second, event);
}

Milliseconds RunLoop::lost_after() const {
  const auto length = workflow_.lease + workflow_.grace;
  return length + length / 10;
}

void RunLoop::closed(const std::string& host, const std::string& why) {
  log_debug("host {}: connection closed: {}", host, why);
  greeted_.erase(host);
  bool needed = false;
  for (size_t i = 0; i < attempts_.size(); ++i) {
    Attempt& attempt = *attempts_[i];
    if (attempt.over()) continue;
    attempt.host_closed(host);
    const auto open = attempt.open_hosts();
    needed |= std::find(open.begin(), open.end(), host) != open.end();
  }
  if (!needed) return;
  setup_.observer->note("host " + host + ": its daemon is gone or cut off; asking again");
  recover(host);
}

// Its daemon, or a new one that cleans up after it, answers for every job; only when nobody answers for as
// long as jobs may go on by themselves are they lost without that.
void RunLoop::recover(const std::string& host) {
  if (!recovering_.insert(host).second) return;
  pool_.reach(host, [this, host](Status status) {
    recovering_.erase(host);
    if (status) return greeted(host);
    const int64_t seen = pool_.last_seen(host);
    const Milliseconds silent(setup_.clock->unix_milliseconds() - seen);
    if (seen != 0 && silent < lost_after()) return timers_.after(kAgain, [this, host] { recover(host); });
    const std::string why =
        seen == 0 ? status.error().message : "last seen " + format_duration(silent) + " ago";
    for (size_t i = 0; i < attempts_.size(); ++i) {
      if (!attempts_[i]->over()) attempts_[i]->host_lost(host, why);
    }
  });
}

// After hello: attempts ask for what they missed, and what the host has of this store and nobody here knows
// is ended.
void RunLoop::greeted(const std::string& host) {
  if (!greeted_.insert(host).second) return;
  const Json& greeting = pool_.greeting(host);
  cores_.add_machine(std::string(greeting.text_or("boot", host)),
                     static_cast<int>(greeting.integer_or("cores", 1)));
  for (size_t i = 0; i < attempts_.size(); ++i) {
    if (!attempts_[i]->over()) attempts_[i]->host_back(host);
  }
  const Json& jobs = greeting.get("jobs");
  if (!jobs.is_array()) return;
  for (const Json& job : jobs.array()) {
    const std::string token = job.text_or("token", "");
    if (tokens_.count(token) != 0) continue;
    for (const char* type : {"discard", "acknowledge"}) {
      Message order;
      order.head["type"] = type;
      order.head["token"] = token;
      pool_.order(host, std::move(order), Milliseconds(30'000), [](Result<Message>) {});
    }
  }
}

std::string RunLoop::summary() const {
  std::vector<std::string> lines;
  for (const StepRun& step : steps_) {
    const auto made = made_.find(step.entry->name);
    if (!step.kind->comes_home() || made == made_.end() || made->second.pieces.empty()) continue;
    const Piece& piece = made->second.pieces.front();
    auto path = const_cast<Locations&>(locations_).on(std::string(kController), piece.digest, piece.name);
    if (!path || !*path) continue;
    lines.push_back(step.entry->name + ": " +
                    step.kind->headline(made->second, pool_.root(std::string(kController)) / **path));
  }
  return join(lines, "\n");
}

int RunLoop::finish() {
  halt_.raise();
  // Asking whether an earlier controller's daemon still lives costs nothing on this machine; elsewhere its
  // lease ends it.
  pool_.goodbye(locations_.seen(), workflow_.grace + kGoodbyeSlack);
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
  if (Status ended = setup_.store->end_run(bench_.run, code, text); !ended && code == 0) {
    setup_.observer->failure("", ended.error().message, "");
    code = exit_code(ended.error().cause);
  }
  setup_.observer->run_ended(code, text);
  return code;
}

}  // namespace gnnflow
