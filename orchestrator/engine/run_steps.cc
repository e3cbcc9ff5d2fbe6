// One run of a workflow: from a step's decision to its attempt.
#include <algorithm>

#include "common/base/text.h"
#include "orchestrator/engine/run_loop.h"

namespace gnnflow {
namespace {

constexpr int kMostFruitless = 2;  // attempts of a service in a row that were never up

std::vector<std::string> hosts_in(const Holders& parts) {
  std::vector<std::string> hosts;
  for (const auto& [part, holders] : parts) {
    for (const std::string& host : holders) {
      if (std::find(hosts.begin(), hosts.end(), host) == hosts.end()) hosts.push_back(host);
    }
  }
  return hosts;
}

// One on each host, in this order.
bool are_on(const std::vector<std::string>& hosts, const std::vector<TaskRow>& tasks) {
  return std::equal(hosts.begin(), hosts.end(), tasks.begin(), tasks.end(),
                    [](const std::string& host, const TaskRow& task) { return host == task.host; });
}

}  // namespace

void RunLoop::advance() {
  for (auto ready = plan_.take_ready(); !ready.empty(); ready = plan_.take_ready()) {
    for (const int index : ready) decide(index);
  }
}

// Reads the store and files of this machine only: act() does what follows from it.
void RunLoop::decide(int index) {
  StepRun& step = steps_[index];
  step.phase = StepRun::Phase::decided;
  auto verdict = decider_.decide(*step.entry, made_);
  if (!verdict) {
    step.error = std::move(verdict).error();
    return;
  }
  step.verdict = std::move(verdict).value();
  step.reason = step.verdict.reason;
  if (step.verdict.what == Verdict::What::run) {
    // What an earlier controller has left unfinished may live, and goes on.
    const bool goes_on = step.unfinished && step.unfinished->key == step.verdict.print.key;
    if (!step.chosen && !goes_on) return leave_out(index);
    decider_.remember(step.entry->name, step.reason);
    return;
  }
  made_[step.entry->name] = *step.verdict.made;
  if (!step.verdict.comes_home) plan_.set_done(index);
}

void RunLoop::act(int index) {
  StepRun& step = steps_[index];
  if (step.error) return fail_before_start(index, *step.error);
  for (const LocationRow& gone : step.verdict.gone) bench_.commit(setup_.store->remove_location(gone));
  if (step.verdict.what != Verdict::What::run) {
    if (!step.stored) set_step(index, Decision::cached, step.verdict.attempt, step.reason);
    step.phase = StepRun::Phase::done;
    if (step.verdict.what == Verdict::What::cached) news(index, "cached", step.reason);
    if (step.verdict.comes_home) go_home(index);
    return;
  }
  // Its row is written with its attempt, a moment from now.
  if (step.kind->nature() == Nature::placement) {
    start_placement(index);
  } else if (plan_tasks(index)) {
    reach(index);
  }
}

void RunLoop::settle(int index, Made made) {
  StepRun& step = steps_[index];
  made_[step.entry->name] = std::move(made);
  step.phase = StepRun::Phase::done;
  plan_.set_done(index);
  result_text(step);  // named as soon as it is there
}

void RunLoop::go_home(int index) {
  StepRun& step = steps_[index];
  step.phase = StepRun::Phase::homing;
  const auto pieces = made_.at(step.entry->name).pieces;
  auto open = std::make_shared<size_t>(pieces.size());
  if (pieces.empty()) return settle(index, made_.at(step.entry->name));
  for (const Piece& piece : pieces) {
    artifacts_.bring(std::string(kController), piece, [this, index, open](Result<fs::path> path) {
      StepRun& at = steps_[index];
      if (at.phase != StepRun::Phase::homing) return;
      if (!path && stopping_) {  // the next run brings it: it is published
        at.phase = StepRun::Phase::stopped;
      } else if (!path) {
        fail_step(index, {AttemptState::failed, path.error().cause,
                          "its result cannot be copied here: " + path.error().message, ""});
      } else if (--*open == 0) {
        settle(index, made_.at(at.entry->name));
      }
    });
  }
}

bool RunLoop::plan_tasks(int index) {
  StepRun& step = steps_[index];
  auto plans = step.kind->tasks(scene(step));
  if (!plans) {
    fail_before_start(index, plans.error());
    return false;
  }
  step.plans = std::move(plans).value();
  return true;
}

Claims RunLoop::claims_of(const StepRun& step) const {
  Claims claims;
  for (const TaskPlan& plan : step.plans) {
    const std::string machine(pool_.greeting(plan.host).text_or("boot", plan.host));
    int& claim = claims[machine];
    claim = plan.cores == kAllCores ? cores_.of(machine) : claim + plan.cores;
  }
  return claims;
}

void RunLoop::start_queued() {
  for (int i = 0; i < plan_.size(); ++i) {
    StepRun& step = steps_[i];
    if (step.phase != StepRun::Phase::queued) continue;
    if (still_ending(step)) {
      set_waits(i, "waits for its last attempt to end");
      continue;
    }
    const auto hosts = hosts_of(i);
    if (!std::all_of(hosts.begin(), hosts.end(),
                     [&](const std::string& host) { return pool_.reached(host); })) {
      reach(i);
      continue;
    }
    if (const std::string first = goes_first(i); !first.empty()) {
      set_waits(i, "waits for " + first + " to begin, which has not failed");
      continue;
    }
    const Claims claims = claims_of(step);
    if (!step.joined && !cores_.fits(claims)) {
      set_waits(i, "waits for cores that " + cores_.blocker(claims) + " uses");
      continue;
    }
    if (!ensure_service(i)) continue;
    cores_.claim(step.entry->name, claims);
    start_attempt(i);
  }
}

// A step whose last attempt failed gives way to those that take cores of its machines and could begin now:
// one that fails each time, and ends the run each time, would keep them from ever beginning.
std::string RunLoop::goes_first(int index) const {
  const auto has_failed = [](const StepRun& step) {
    return step.verdict.failed_before || step.failures + step.losses > 0;
  };
  if (steps_[index].joined || !has_failed(steps_[index])) return "";
  const Claims mine = claims_of(steps_[index]);
  for (const StepRun& other : steps_) {
    if (other.phase != StepRun::Phase::queued || has_failed(other) || still_ending(other)) continue;
    const Claims theirs = claims_of(other);
    if (Cores::meet(mine, theirs) && cores_.fits(theirs)) return other.entry->name;
  }
  return "";
}

void RunLoop::start_attempt(int index) {
  StepRun& step = steps_[index];
  Attempt* attempt = step.joined ? std::exchange(step.joined, nullptr) : make_attempt(index);
  if (!attempt) return;
  step.attempt = attempt;
  step.phase = StepRun::Phase::working;
  step.began = setup_.clock->now();
  set_waits(index, "");  // a new attempt has cleared it
  news(index, "running", step.reason);
  attempt->begin();
}

// An older attempt of the step has to end before a new one may begin.
bool RunLoop::still_ending(const StepRun& step) const {
  return (step.old && !step.old->over()) || (step.joined && step.joined->ending());
}

// True when it is up, or on its way up.
bool RunLoop::ensure_service(int index) {
  const int at = plan_.step(index).service;
  if (at < 0 || (steps_[index].joined && steps_[index].joined->row().state == AttemptState::publishing))
    return true;
  StepRun& service = steps_[at];
  const bool there = service.attempt && !service.attempt->over();
  if (there ? service.attempt->ending() : still_ending(service)) {
    set_waits(index, "waits for " + service.entry->name + " to end and begin again");
    return false;
  }
  if (there) return true;
  if (service.fruitless >= kMostFruitless) {
    fail_before_start(index, *service.error);
    return false;
  }
  auto plans = service.kind->tasks(scene(service));
  if (!plans) {
    fail_before_start(index, plans.error());
    return false;
  }
  service.plans = std::move(plans).value();
  service.reason = steps_[index].entry->name + " needs it";
  service.attempt = service.joined ? std::exchange(service.joined, nullptr) : make_attempt(at);
  if (!service.attempt) return false;
  service.began = setup_.clock->now();
  service.was_up = false;
  service.attempt->begin();
  return !service.attempt->ending();
}

std::vector<TaskRow> RunLoop::task_rows(const StepRun& step, int number,
                                        const std::vector<std::string>& hosts) const {
  std::vector<TaskRow> rows;
  for (size_t i = 0; i < hosts.size(); ++i) {
    TaskRow row;
    row.index = static_cast<int>(i);
    row.token = setup_.store->store_id() + "." + std::to_string(bench_.run) + "." + step.entry->name + "." +
                std::to_string(number) + "." + std::to_string(i);
    row.host = hosts[i];
    if (i < step.plans.size()) row.role = step.plans[i].role;
    rows.push_back(std::move(row));
  }
  return rows;
}

// The attempt with its tasks and tokens, stored before anything is done.
std::optional<AttemptRow> RunLoop::begin_row(int index, const std::vector<std::string>& hosts,
                                             std::vector<TaskRow>& tasks) {
  StepRun& step = steps_[index];
  const auto number = bench_.read(setup_.store->next_attempt_number(step.entry->name));
  if (!number) return std::nullopt;
  AttemptRow row;
  row.run = bench_.run;
  row.step = step.entry->name;
  row.kind = step.entry->kind;
  row.key = step.verdict.print.key;
  row.resume_key = step.verdict.print.resume_key;
  row.number = *number;
  row.reason = step.reason;
  row.inputs = step.verdict.print.parts;
  row.started_ms = setup_.clock->unix_milliseconds();
  tasks = task_rows(step, *number, hosts);
  step.waits.clear();
  bench_.together([&] {
    row.id = bench_.read(setup_.store->begin_attempt(row, tasks)).value_or(0);
    if (row.id != 0) set_step(index, Decision::attempt, row.id, step.reason);
  });
  if (bench_.broken) return std::nullopt;
  for (TaskRow& task : tasks) task.attempt = row.id;
  return row;
}

Attempt* RunLoop::make_attempt(int index) {
  StepRun& step = steps_[index];
  std::vector<std::string> hosts;
  for (const TaskPlan& plan : step.plans) hosts.push_back(plan.host);
  AttemptSetup setup;
  auto row = begin_row(index, hosts, setup.tasks);
  if (!row) return nullptr;
  setup.step = step.entry;
  setup.kind = step.kind;
  setup.row = *row;
  setup.plans = step.plans;
  return add_attempt(std::move(setup));
}

// Its tokens must be known before its hosts are reached: daemons repeat what jobs said right after hello.
Attempt* RunLoop::add_attempt(AttemptSetup setup) {
  attempts_.push_back(std::make_unique<Attempt>(bench_, std::move(setup), *this));
  Attempt* attempt = attempts_.back().get();
  int task = 0;
  for (const std::string& token : attempt->tokens()) tokens_[token] = {attempt, task++};
  return attempt;
}

bool RunLoop::can_join(int index) {
  StepRun& step = steps_[index];
  const bool service = step.verdict.what == Verdict::What::service && step.phase == StepRun::Phase::decided;
  if (!step.unfinished || step.phase != StepRun::Phase::decided ||
      step.verdict.print.key != step.unfinished->key)
    return false;
  if (service ? !plan_.wanted(index) : step.verdict.what != Verdict::What::run) return false;
  auto tasks = bench_.read(setup_.store->tasks_of(step.unfinished->id));
  if (!tasks) return false;
  if (step.kind->nature() == Nature::placement) return true;
  auto plans = step.kind->tasks(scene(step));
  if (!plans || plans->size() != tasks->size()) return false;
  for (size_t i = 0; i < plans->size(); ++i) {
    if ((*plans)[i].host != (*tasks)[i].host) return false;
  }
  AttemptSetup setup;
  setup.step = step.entry;
  setup.kind = step.kind;
  setup.row = *step.unfinished;
  setup.plans = std::move(plans).value();
  setup.tasks = std::move(*tasks);
  setup.joined = true;
  step.joined = add_attempt(std::move(setup));
  const Decision decision =
      step.unfinished->state == AttemptState::publishing ? Decision::adopted : Decision::attempt;
  step.reason = "goes on with attempt " + std::to_string(step.unfinished->number) + ", which had not ended";
  set_step(index, decision, step.unfinished->id, step.reason);
  step.unfinished.reset();
  return true;
}

void RunLoop::cancel_old(const AttemptRow& row, std::string why) {
  const int index = index_of(row.step);
  auto tasks = bench_.read(setup_.store->tasks_of(row.id));
  const auto kind = kinds_.find(row.kind);
  const bool placement = kind != kinds_.end() && kind->second->nature() == Nature::placement;
  if (!tasks || tasks->empty() || placement)
    return end_row(row.id, AttemptState::cancelled, Cause::stopped, why);
  ghosts_.push_back({});
  ghosts_.back().name = row.step;
  ghosts_.back().kind = row.kind;
  AttemptSetup setup;
  setup.step = &ghosts_.back();
  setup.row = row;
  setup.tasks = std::move(*tasks);
  setup.joined = true;
  Attempt* attempt = add_attempt(std::move(setup));
  if (index >= 0) steps_[index].old = attempt;
  end_old(*attempt, why);
}

// Of an attempt of which nothing runs anywhere, with its tasks; those that never began stay so.
void RunLoop::end_row(int64_t attempt, AttemptState state, Cause cause, const std::string& why) {
  auto tasks = bench_.read(setup_.store->tasks_of(attempt));
  bench_.together([&] {
    for (TaskRow& task : tasks.value_or(std::vector<TaskRow>())) {
      if (is_final(task.state)) continue;
      if (task.state != TaskState::intent) task.state = TaskState::killed;
      task.code = exit_code(cause);
      task.tail = why;
      bench_.commit(setup_.store->set_task(task));
    }
    bench_.commit(setup_.store->set_attempt(attempt, state, name_of(cause), why));
  });
}

// Of an attempt whose daemons may not be reached yet.
void RunLoop::end_old(Attempt& attempt, const std::string& why) {
  attempt.cancel(Cause::stopped, why);
  for (const std::string& host : attempt.open_hosts()) {
    if (!pool_.knows(host)) {
      attempt.host_lost(host, "it is no longer in the workflow");
    } else if (!pool_.reached(host)) {
      recover(host);
    }
  }
}

// Ranks are told where the servers are when all ranks are ready, all servers are, and all of these allow all
// of those.
void RunLoop::meet() {
  for (int i = 0; i < plan_.size(); ++i) {
    StepRun& step = steps_[i];
    if (step.kind->nature() == Nature::service && step.attempt && !step.was_up && step.attempt->up()) {
      step.was_up = true;
      news(i, "up", "");
    }
  }
  for (int i = 0; i < plan_.size(); ++i) {
    StepRun& step = steps_[i];
    const int at = plan_.step(i).service;
    if (at < 0 || !step.kind->has_ranks() || step.phase != StepRun::Phase::working || !step.attempt ||
        step.attempt->met)
      continue;
    Attempt* service = steps_[at].attempt;
    if (!step.attempt->ranks_ready()) continue;
    if (!service) {  // it ended before its user could be told so
      step.attempt->fail({AttemptState::lost, Cause::unreachable, plan_.step(at).name + " went down", ""});
    }
    if (!service || !service->up()) continue;
    if (step.attempt->awaited == 0) step.attempt->awaited = service->allow(step.attempt->rank_keys());
    if (!service->all_allowed(step.attempt->awaited)) continue;
    step.attempt->met = true;
    step.attempt->tell_peers(service->peers());
  }
}

// Services that no later step wants, and all of them when the run ends.
void RunLoop::drain() {
  for (int i = 0; i < plan_.size(); ++i) {
    StepRun& step = steps_[i];
    if (step.kind->nature() != Nature::service || (!stopping_ && plan_.wanted(i))) continue;
    if (step.attempt && !step.attempt->ending()) step.attempt->cancel(Cause::stopped, "drained");
    if (step.joined && !step.joined->ending()) end_old(*step.joined, "drained");
  }
}

void RunLoop::start_placement(int index) {
  StepRun& step = steps_[index];
  PlacementSetup setup;
  const std::string from = step.entry->references.front().step;
  const Made& partition = made_.at(from);
  auto made = decider_.made_by(*step.entry, {}, made_);
  if (!made || partition.pieces.empty()) {
    return fail_before_start(
        index, made ? Error{Cause::bad_state, "step " + from + " has published nothing"} : made.error());
  }
  setup.made = std::move(made).value();
  const std::vector<std::string> hosts = hosts_in(setup.made.holders);
  if (step.unfinished) {
    setup.row = *std::exchange(step.unfinished, std::nullopt);
    setup.tasks = bench_.read(setup_.store->tasks_of(setup.row.id)).value_or(std::vector<TaskRow>());
    if (!are_on(hosts, setup.tasks)) {
      end_row(setup.row.id, AttemptState::cancelled, Cause::stopped, "placed elsewhere");
      setup.row.id = 0;
    } else {
      set_step(index, Decision::attempt, setup.row.id, step.reason);
    }
  }
  if (setup.row.id == 0) {
    auto row = begin_row(index, hosts, setup.tasks);
    if (!row) return;
    setup.row = *row;
  }
  setup.step = step.entry;
  setup.partition = partition.pieces.front();
  setup.worker = setup_.worker;
  placements_.push_back(std::make_unique<PlacementRun>(
      bench_, std::move(setup), halt_,
      [this, index](PlacementRun& placement) { placement_ended(index, placement); }));
  step.placement = placements_.back().get();
  step.phase = StepRun::Phase::working;
  step.began = setup_.clock->now();
  news(index, "running", step.reason);
  step.placement->begin();
}

}  // namespace gnnflow
