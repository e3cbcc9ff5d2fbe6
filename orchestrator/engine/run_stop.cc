// One run of a workflow: how it is ended before its time, and what is left then.
#include <algorithm>

#include "common/base/text.h"
#include "orchestrator/engine/run_loop.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kLookForStop{500};
constexpr Milliseconds kLeaveSlack{20'000};  // beyond grace, for jobs that a daemon has to kill
constexpr Milliseconds kCopySlack{60'000};   // beyond that, for a copy whose host says nothing
constexpr Milliseconds kKillLimit{15'000};

}  // namespace

void RunLoop::look_for_stop() {
  if (bench_.broken && !stopping_) {
    failures_.push_back(bench_.broken->cause);
    setup_.observer->failure("", "the state cannot be written: " + bench_.broken->message, "");
    return stop_all("the state cannot be written");
  }
  StopSignal& stop = *setup_.stop;
  const auto now = setup_.clock->now();
  if (!stop.raised() && bench_.run != 0 && now - looked_ >= kLookForStop) {
    looked_ = now;
    auto asked = bench_.read(setup_.store->stop_requested(bench_.run));
    if (asked.value_or(false)) stop.raise(Cause::stopped);
  }
  if (!stop.raised()) return;
  if (heard_stop_) {
    if (setup_.signals() > signals_ && !hurried_) hurry();
    return;
  }
  heard_stop_ = true;
  const bool asked = stop.cause() == Cause::stopped;
  signals_ = asked ? setup_.signals() : 1;
  if (stopping_) return setup_.observer->note("ending already; once more kills what still runs");
  stopped_by_ = stop.cause();
  const std::string why = asked ? "stopped by `gnnflow stop`" : "stopped by a signal";
  setup_.observer->note(why + "; ending what runs");
  stop_all(why);
}

void RunLoop::stop_all(const std::string& why) {
  stopping_ = true;
  why_stopping_ = why;
  stopped_at_ = setup_.clock->now();
  pool_.wind_up();  // first: what `halt_` ends makes way for what waits behind it
  halt_.raise(stopped_by_.value_or(Cause::stopped));
  for (size_t i = 0; i < attempts_.size(); ++i) {
    if (!attempts_[i]->over()) end_old(*attempts_[i], why);
  }
  for (auto& placement : placements_) placement->cancel(Cause::stopped, why);
  pool_.give_up();  // after these know that they end: what they are told now is no failure
}

// The user does not want to wait for the time of grace.
void RunLoop::hurry() {
  hurried_ = true;
  hurried_at_ = setup_.clock->now();
  setup_.observer->note("a second signal: killing what still runs; further ones change nothing");
  for (size_t i = 0; i < attempts_.size(); ++i) attempts_[i]->kill();
}

// Copies hear that the run ends; one that hangs does not.
bool RunLoop::copying() const {
  return std::any_of(placements_.begin(), placements_.end(),
                     [](const auto& placement) { return !placement->over(); }) ||
         std::any_of(steps_.begin(), steps_.end(),
                     [](const StepRun& step) { return step.phase == StepRun::Phase::homing; });
}

// What cannot be asked is not waited for when the run ends: its rows stay unfinished, the lease of its daemon
// ends it, and the next run looks what became of it.
bool RunLoop::may_leave() const {
  if (!stopping_) return false;
  const auto now = setup_.clock->now();
  const bool late = now - stopped_at_ >= workflow_.grace + kLeaveSlack;
  if (hurried_ && now - hurried_at_ >= kKillLimit) return true;
  if (!late || (copying() && now - stopped_at_ < workflow_.grace + kLeaveSlack + kCopySlack)) return false;
  return std::all_of(attempts_.begin(), attempts_.end(), [&](const auto& attempt) {
    if (attempt->over()) return true;
    const auto open = attempt->open_hosts();
    return !open.empty() && std::none_of(open.begin(), open.end(),
                                         [&](const std::string& host) { return pool_.reached(host); });
  });
}

void RunLoop::tell_left() {
  std::set<std::string> hosts;
  for (const auto& attempt : attempts_) {
    if (attempt->over()) continue;
    for (const std::string& host : attempt->open_hosts()) hosts.insert(host);
  }
  for (const std::string& host : hosts) {
    setup_.observer->note("host " + host +
                          " cannot be asked: what may still run there ends with its lease of " +
                          format_duration(workflow_.lease) + "; the next run looks");
  }
  for (const auto& placement : placements_) {
    if (placement->over()) continue;
    setup_.observer->note("step " + placement->step().name +
                          ": a host has not said that sending has ended; the next run goes on with it");
  }
  for (const StepRun& step : steps_) {
    if (step.phase != StepRun::Phase::homing) continue;
    setup_.observer->note("step " + step.entry->name +
                          ": a host has not sent its result here; the next run asks for it");
  }
}

int RunLoop::end_leftovers() {
  const std::string why = "stopped by `gnnflow stop`";
  const auto unfinished = bench_.read(setup_.store->unfinished_attempts());
  std::set<int64_t> runs;
  heard_stop_ = stopping_ = true;
  signals_ = setup_.signals();
  stopped_at_ = setup_.clock->now();
  pool_.wind_up();
  for (const AttemptRow& row : unfinished.value_or(std::vector<AttemptRow>())) {
    bench_.run = row.run;
    runs.insert(row.run);
    cancel_old(row, why);
  }
  while (!finished()) loop_once();
  tell_left();
  pool_.goodbye(leftover_hosts(), workflow_.grace + kGoodbyeSlack);
  if (bench_.broken) {
    setup_.observer->failure("", bench_.broken->message, "");
    return exit_code(bench_.broken->cause);
  }
  const auto left = bench_.read(setup_.store->unfinished_attempts());
  if (!left || !left->empty()) return exit_code(Cause::unreachable);
  // A run that had ended before, without knowing what became of its tasks, keeps its own end.
  for (const int64_t run : runs) (void)setup_.store->end_run(run, exit_code(Cause::stopped), "stopped");
  return 0;
}

}  // namespace gnnflow
