// One run of a workflow: reaching its hosts, what they say, and what follows when they say nothing any more.
#include <algorithm>

#include "common/base/log.h"
#include "common/base/text.h"
#include "common/wire/message_of.h"
#include "orchestrator/engine/run_loop.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kOrderLimit{30'000};

}  // namespace

void RunLoop::event(const std::string& host, const Message& event) {
  if (event.type() != "event") return;
  const auto found = tokens_.find(event.head.text_or("token", ""));
  if (found == tokens_.end()) return log_debug("host {}: an event of an unknown job", host);
  found->second.first->event(found->second.second, event);
}

// Something that may still run is there, or something to be published.
bool RunLoop::needed(const std::string& host) const {
  return std::any_of(attempts_.begin(), attempts_.end(), [&](const auto& attempt) {
    if (attempt->over()) return false;
    const auto open = attempt->open_hosts();
    return std::find(open.begin(), open.end(), host) != open.end();
  });
}

void RunLoop::closed(const std::string& host, const std::string& why) {
  log_debug("host {}: connection closed: {}", host, why);
  greeted_.erase(host);
  for (size_t i = 0; i < attempts_.size(); ++i) {
    if (!attempts_[i]->over()) attempts_[i]->host_closed(host);
  }
  if (!needed(host)) return;
  setup_.observer->note("host " + host + ": its daemon is gone or cut off; asking again");
  recover(host);
}

// Its daemon, or a new one that cleans up after it, answers for every job; only when nobody answers for as
// long as jobs may go on by themselves are they lost without that.
void RunLoop::recover(const std::string& host) {
  if (!recovering_.insert(host).second) return;
  look_again(host, HostPool::kFirstPause);
  lose_in_time(host);
}

// A try to reach it may take longer than anything lives there.
void RunLoop::lose_in_time(const std::string& host) {
  timers_.after(std::max(pool_.lost_after() - silence_of(host), HostPool::kFirstPause), [this, host] {
    if (recovering_.count(host) == 0 || !needed(host)) return;
    if (silence_of(host) < pool_.lost_after()) return lose_in_time(host);
    lose(host, "last seen " + format_duration(silence_of(host)) + " ago: it cannot be reached");
  });
}

// Whoever was here before us may have beaten until we took the lock: that counts as an answer. By the clock
// that leases go by: the time of day may be set.
Milliseconds RunLoop::silence_of(const std::string& host) const {
  const Monotonic heard = std::max(pool_.last_heard(host).value_or(began_), began_);
  return std::chrono::duration_cast<Milliseconds>(setup_.clock->now() - heard);
}

void RunLoop::lose(const std::string& host, const std::string& why) {
  for (size_t i = 0; i < attempts_.size(); ++i) {
    if (!attempts_[i]->over()) attempts_[i]->host_lost(host, why);
  }
}

void RunLoop::look_again(const std::string& host, Milliseconds pause) {
  pool_.reach(host, [this, host, pause](Status status) {
    if (status) {
      recovering_.erase(host);
      setup_.observer->note("host " + host + ": its daemon answers");
      return greeted(host);
    }
    pool_.ask_lock(host, [this, host, pause, error = status.error()](const Result<bool>& held) {
      not_reached(host, pause, error, held);
    });
  });
}

void RunLoop::not_reached(const std::string& host, Milliseconds pause, const Error& error,
                          const Result<bool>& held) {
  const Milliseconds silent = silence_of(host);
  const bool gone = held && !*held;  // its lock is free: with the daemon its jobs have gone
  if (needed(host) && !gone && silent < pool_.lost_after()) {
    return timers_.after(
        pause, [this, host, pause] { look_again(host, std::min(pause * 2, HostPool::kLongestPause)); });
  }
  recovering_.erase(host);
  lose(host, gone ? error.message : "last seen " + format_duration(silent) + " ago: " + error.message);
}

// After hello: attempts ask for what they missed, and what the host has of this store and nobody here knows
// is ended.
void RunLoop::greeted(const std::string& host) {
  if (!greeted_.insert(host).second) return;
  const Json& greeting = pool_.greeting(host);
  const std::string preparation = pool_.preparation(host);
  if (!preparation.empty() && prepared_.insert(host).second)
    setup_.observer->note("host " + host + ": " + preparation);
  if (const std::string leftovers = greeting.text_or("leftovers", ""); !leftovers.empty())
    setup_.observer->note("host " + host + ": what earlier jobs left could not be deleted: " + leftovers);
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
      pool_.order(host, message_of(type, {{"token", token}}), kOrderLimit, [](Result<Message>) {});
    }
  }
}

// Of its tasks, and of the service that it uses.
std::set<std::string> RunLoop::hosts_of(int index) {
  std::set<std::string> hosts;
  for (const TaskPlan& plan : steps_[index].plans) hosts.insert(plan.host);
  const int service = plan_.step(index).service;
  if (service < 0) return hosts;
  if (auto plans = steps_[service].kind->tasks(scene(steps_[service]))) {
    for (const TaskPlan& plan : *plans) hosts.insert(plan.host);
  }
  return hosts;
}

void RunLoop::reach(int index) {
  StepRun& step = steps_[index];
  step.phase = StepRun::Phase::reaching;
  for (const std::string& host : hosts_of(index)) {
    if (!pool_.reached(host)) set_waits(index, "waits for host " + host + " to answer");
    if (!step.asked.insert(host).second) continue;
    pool_.reach(host, [this, index, host](Status status) { reached(index, host, std::move(status)); });
  }
}

void RunLoop::reached(int index, const std::string& host, Status status) {
  StepRun& step = steps_[index];
  step.asked.erase(host);
  if (status) greeted(host);
  if (step.phase != StepRun::Phase::reaching || stopping_ || bench_.broken) return;
  if (!status) {
    const bool lost = status.error().cause == Cause::unreachable || status.error().cause == Cause::temporary;
    if (lost && step.joined) recover(host);
    if (lost && (step.joined || pool_.may_come_back(host)))
      return reach_if_cut_off(index, host, status.error());
    return out_of_reach(index, status.error());
  }
  const auto hosts = hosts_of(index);
  const bool all =
      std::all_of(hosts.begin(), hosts.end(), [&](const std::string& name) { return pool_.reached(name); });
  if (!all) return;
  step.phase = StepRun::Phase::queued;
  step.reach_pause = Milliseconds(0);
}

// It was there a while ago: what may run there is not lost, and neither is the step; but a host that answers
// and whose daemon does not start is of no use.
void RunLoop::reach_if_cut_off(int index, const std::string& host, const Error& error) {
  pool_.ask_lock(host, [this, index, error](const Result<bool>& held) {
    const StepRun& step = steps_[index];
    if (step.phase != StepRun::Phase::reaching || stopping_) return;
    held && !*held && !step.joined ? out_of_reach(index, error) : reach_later(index);
  });
}

void RunLoop::out_of_reach(int index, const Error& error) {
  StepRun& step = steps_[index];
  const bool lost = error.cause == Cause::unreachable || error.cause == Cause::temporary;
  if (!lost || step.losses >= step.entry->lost_retries) {
    step.phase = StepRun::Phase::decided;
    return fail_before_start(index, error);
  }
  ++step.losses;
  step.reason = "again, because " + error.message;
  news(index, "retrying", error.message);
  reach_later(index);
}

void RunLoop::reach_later(int index) {
  StepRun& step = steps_[index];
  if (std::exchange(step.reach_due, true)) return;
  step.reach_pause =
      std::clamp(step.reach_pause * 2, HostPool::kFirstPause, Milliseconds(HostPool::kLongestPause));
  timers_.after(step.reach_pause, [this, index] {
    steps_[index].reach_due = false;
    if (steps_[index].phase == StepRun::Phase::reaching && !stopping_) reach(index);
  });
}

// Hosts where an earlier controller's daemon may live. On this machine looking costs nothing; elsewhere only
// where the store knows of one.
std::set<std::string> RunLoop::leftover_hosts() const {
  std::set<std::string> hosts = locations_.seen();
  for (const std::string& host : pool_.stored_up()) hosts.insert(host);
  return hosts;
}

}  // namespace gnnflow
