// One run of a workflow: what follows from the end of an attempt.
#include <algorithm>

#include "common/base/text.h"
#include "orchestrator/engine/run_loop.h"

namespace gnnflow {
namespace {

// The same again would end the same way.
bool is_hopeless(Cause cause) {
  return cause == Cause::bad_usage || cause == Cause::bad_workflow || cause == Cause::bad_data ||
         cause == Cause::no_resources || cause == Cause::not_found || cause == Cause::bad_state ||
         cause == Cause::bug;
}

}  // namespace

void RunLoop::forget_tokens(const Attempt& attempt) {
  for (const std::string& token : attempt.tokens()) tokens_.erase(token);
}

void RunLoop::attempt_failing(Attempt& attempt) {
  const int index = index_of(attempt.step().name);
  if (index < 0 || steps_[index].attempt != &attempt || steps_[index].kind->nature() != Nature::service)
    return;
  AttemptEnd cause = attempt.end();
  cause.message = attempt.step().name + ": " + cause.message;
  for (int i = 0; i < plan_.size(); ++i) {
    StepRun& user = steps_[i];
    if (plan_.step(i).service == index && user.attempt && !user.attempt->over()) user.attempt->fail(cause);
  }
}

void RunLoop::attempt_ended(Attempt& attempt) {
  forget_tokens(attempt);
  const int index = index_of(attempt.step().name);
  if (index < 0) return;
  StepRun& step = steps_[index];
  if (step.old == &attempt) {
    step.old = nullptr;
    return;
  }
  if (step.joined == &attempt) {  // it had ended before it could be joined: a new one is made
    step.joined = nullptr;
    step.reason = "again, because " + attempt.end().message;
    return;
  }
  if (step.attempt != &attempt) return;
  step.attempt = nullptr;
  if (step.kind->nature() != Nature::service) return work_ended(index, attempt);
  const AttemptEnd& end = attempt.end();
  if (end.state == AttemptState::failed || end.state == AttemptState::lost) {
    step.fruitless = step.was_up ? 0 : step.fruitless + 1;
    step.error = Error{end.cause, step.entry->name + ": " + end.message};
  }
  news(index, end.state == AttemptState::cancelled ? "idle" : "failed",
       end.state == AttemptState::cancelled ? "" : end.message);
}

void RunLoop::work_ended(int index, Attempt& attempt) {
  StepRun& step = steps_[index];
  cores_.release(step.entry->name);
  if (attempt.end().state != AttemptState::succeeded)
    return ended_badly(index, attempt.end(), attempt.joined());
  auto made = bench_.read(decider_.made_by(*step.entry, attempt.row(), made_));
  if (!made) return;
  news(index, "succeeded", "");
  made_[step.entry->name] = *made;
  if (step.kind->comes_home()) return go_home(index);
  settle(index, std::move(*made));
}

void RunLoop::placement_ended(int index, PlacementRun& placement) {
  StepRun& step = steps_[index];
  step.placement = nullptr;
  if (placement.end().state != AttemptState::succeeded) return ended_badly(index, placement.end(), false);
  if (bench_.broken) return;  // nobody has written that it has
  news(index, "succeeded", placement.summary());
  auto made = bench_.read(decider_.made_by(*step.entry, placement.row(), made_));
  if (made) settle(index, std::move(*made));
}

void RunLoop::ended_badly(int index, const AttemptEnd& end, bool joined) {
  StepRun& step = steps_[index];
  const bool connection = end.state == AttemptState::lost || is_connection(end.cause);
  const bool lost_again = connection && step.losses < step.entry->lost_retries;
  const bool failed_again = !connection && !is_hopeless(end.cause) && step.failures < step.entry->retries;
  // What an earlier controller began ended without anybody to look after it: that counts as nothing.
  const bool again = joined || lost_again || failed_again;
  if (end.state == AttemptState::cancelled || (again && stopping_)) {
    step.phase = StepRun::Phase::stopped;
    return news(index, "cancelled", end.message);
  }
  if (!again) {
    stopped_by_.reset();  // it had failed before it was told to stop: that is the first cause
    return fail_step(index, end);
  }
  if (!joined) ++(connection ? step.losses : step.failures);
  try_again(index, end.message);
}

void RunLoop::try_again(int index, const std::string& why) {
  StepRun& step = steps_[index];
  step.reason = "again, because " + why;
  set_step(index, Decision::attempt, 0, step.reason);  // no attempt: one is due
  news(index, "retrying", why);
  step.phase = StepRun::Phase::decided;
  if (step.kind->nature() == Nature::placement) {
    step.phase = StepRun::Phase::waiting;
    timers_.after(Milliseconds(1000), [this, index] {
      if (!stopping_) start_placement(index);
    });
  } else if (plan_tasks(index)) {
    reach(index);
  }
}

void RunLoop::fail_step(int index, const AttemptEnd& end) {
  StepRun& step = steps_[index];
  step.phase = StepRun::Phase::stopped;
  step.failed = true;
  failures_.push_back(end.cause);
  news(index, "failed", end.message);
  setup_.observer->failure(step.entry->name, end.message, end.tail);
  bench_.commit(setup_.store->add_event(bench_.run, step.entry->name, "failed: " + end.message));
  if (end.cause == Cause::bad_data || end.cause == Cause::not_found) distrust_inputs(step);
  if (!stopping_) stop_all("'" + step.entry->name + "' failed");
}

// What could not begin is stored all the same: `status` shows why.
void RunLoop::fail_before_start(int index, const Error& error) {
  steps_[index].plans.clear();
  store_failure(index, error);
  fail_step(index, {AttemptState::failed, error.cause, error.message, ""});
}

void RunLoop::store_failure(int index, const Error& error) {
  StepRun& step = steps_[index];
  if (step.joined) return step.joined->fail({AttemptState::failed, error.cause, error.message, ""});
  // One at a time: there is none to make while an older one is still being ended.
  if (step.old) return set_step(index, Decision::skipped, 0, error.message);
  int64_t attempt = 0;
  if (step.unfinished) {
    attempt = std::exchange(step.unfinished, std::nullopt)->id;
    set_step(index, Decision::attempt, attempt, step.reason);
  } else {
    std::vector<TaskRow> none;
    if (auto row = begin_row(index, {}, none)) attempt = row->id;
  }
  if (attempt == 0) return;
  end_row(attempt, AttemptState::failed, error.cause, error.message);
}

// What a placement has brought may be what is damaged, or removed by hand on a far host: the next run
// compares it with its digests, and sends it again.
void RunLoop::distrust_inputs(const StepRun& step) {
  for (const auto& [name, made] : made_) {
    const StepEntry* from = workflow_.step(name);
    if (!from || kinds_.at(from->kind)->nature() != Nature::placement) continue;
    const std::string service = step.kind->service(workflow_, *step.entry);
    const StepEntry* user = workflow_.step(service.empty() ? step.entry->name : service);
    const auto& needs = user->needs;
    if (std::find(needs.begin(), needs.end(), name) == needs.end()) continue;
    for (const auto& [part, hosts] : made.holders) {
      const auto copies = bench_.read(locations_.of(made.digest, part_name(part)));
      for (LocationRow copy : copies.value_or(std::vector<LocationRow>())) {
        if (!copy.path.starts_with("data/")) continue;  // where it was made it is what its manifest says
        copy.verified = false;
        bench_.commit(setup_.store->set_location(copy));
      }
    }
  }
}

}  // namespace gnnflow
