// One attempt of a step: how it runs, ends, and is cleaned up after.
#include "orchestrator/engine/attempt.h"

#include <algorithm>

#include "common/base/text.h"
#include "common/wire/message_of.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kOrderLimit{30'000};
constexpr Milliseconds kAgain{200}, kKillAgain{5'000};
constexpr Milliseconds kPublishLimit{3'600'000};  // digests and fsync of everything that it made
constexpr Milliseconds kEndSlack{15'000};         // beyond grace, until a task that was told to end is killed

Message order_for(std::string_view type, const std::string& token) {
  return message_of(type, {{"token", token}});
}

// A task that was told to end says so in one of these ways.
bool ended_as_told(int code, int signal) {
  return signal == 15 || code == exit_code(Cause::terminated) || code == exit_code(Cause::interrupted) ||
         code == exit_code(Cause::stopped);
}

}  // namespace

Attempt::Attempt(Workbench& bench, AttemptSetup setup, AttemptOwner& owner)
    : bench_(bench),
      step_(setup.step),
      kind_(setup.kind),
      row_(std::move(setup.row)),
      owner_(owner),
      joined_(setup.joined),
      published_(setup.tasks.size()),
      metrics_(row_.metrics.is_object() ? row_.metrics : Json(Json::Object{})),
      allow_(static_cast<int>(setup.tasks.size())),
      began_(bench.clock.now()) {
  for (size_t i = 0; i < setup.tasks.size(); ++i) {
    Task task;
    task.row = std::move(setup.tasks[i]);
    if (i < setup.plans.size()) task.plan = std::move(setup.plans[i]);
    task.plan.host = task.row.host;
    task.asked = joined_;
    task.ended = task.row.state == TaskState::exited || task.row.state == TaskState::killed ||
                 task.row.state == TaskState::lost;
    task.good = task.row.state == TaskState::exited && task.row.code == 0;
    tasks_.push_back(std::move(task));
  }
  was_publishing_ = row_.state == AttemptState::publishing;
  // One that is only to be cancelled: its hosts must be reached to take away what it may have published.
  if (was_publishing_ && setup.plans.empty()) {
    for (Task& task : tasks_) task.ended = false;
  }
  if (kind_ && !row_.resume_key.empty()) {
    const int64_t most = step_->options.integer_or("checkpoint_copy", bench.workflow.checkpoint_copy);
    checkpoints_.emplace(bench, row_.step, row_.resume_key, most);
  }
}

std::vector<std::string> Attempt::tokens() const {
  std::vector<std::string> tokens;
  for (const Task& task : tasks_) tokens.push_back(task.row.token);
  return tokens;
}

std::vector<std::string> Attempt::open_hosts() const {
  std::vector<std::string> hosts;
  for (const Task& task : tasks_) {
    if (!task.ended || phase_ == Phase::publishing) hosts.push_back(task.row.host);
  }
  return hosts;
}

std::string Attempt::name_of_task(const Task& task) const {
  return (task.row.role.empty() ? "its task" : task.row.role) + " on " + task.row.host;
}

bool Attempt::all_ended() const {
  return std::all_of(tasks_.begin(), tasks_.end(), [](const Task& task) { return task.ended; });
}

void Attempt::begin() {
  if (phase_ != Phase::fresh) return;
  began_ = bench_.clock.now();
  if (row_.state == AttemptState::publishing) {
    phase_ = Phase::publishing;
    for (Task& task : tasks_) task.ended = task.good = true;
    return publish();
  }
  for (const Task& task : tasks_) {
    if (!task.ended || task.good) continue;
    failing({AttemptState::failed, Cause::failed, name_of_task(task) + " had ended badly", task.row.tail});
    if (all_ended()) conclude();
    return;
  }
  prepare();
}

void Attempt::fail(AttemptEnd first) {
  if (ending() || phase_ == Phase::publishing) return;
  end_fixed_ = true;
  failing(std::move(first));
  if (all_ended()) conclude();
}

void Attempt::cancel(Cause cause, std::string why) {
  if (ending()) return;
  end_fixed_ = true;
  end_ = {AttemptState::cancelled, cause, std::move(why), ""};
  phase_ = Phase::ending;
  stop_others();
  if (all_ended()) conclude();
}

void Attempt::failing(AttemptEnd first) {
  end_ = std::move(first);
  phase_ = Phase::ending;
  stop_others();
  owner_.attempt_failing(*this);
}

void Attempt::stop_others() {
  stopped_at_ = bench_.clock.now();
  if (checkpoints_) checkpoints_->stop();
  for (size_t i = 0; i < tasks_.size(); ++i) {
    if (!tasks_[i].ended) stop_task(static_cast<int>(i));
  }
  // Of a host that cannot be asked nothing can be said: it comes back, or is lost in its time.
  bench_.timers.after(bench_.workflow.grace + kEndSlack, [this] {
    if (phase_ == Phase::ending) kill();
  });
}

void Attempt::kill() {
  for (size_t i = 0; i < tasks_.size() && !over(); ++i) {
    if (!tasks_[i].ended && tasks_[i].asked) end_now(static_cast<int>(i), "it did not end when told to");
  }
}

// The daemon kills whatever carries the token, and answers when nothing does: then the task has ended, or is
// lost.
void Attempt::end_now(int index, const std::string& why) {
  Task& task = tasks_[index];
  if (task.kill_began == Monotonic()) task.kill_began = bench_.clock.now();
  bench_.pool.order(task.row.host, order_for("discard", task.row.token), bench_.workflow.grace + kOrderLimit,
                    [this, index, why](Result<Message> answer) {
                      Task& at = tasks_[index];
                      // An unknown host is asked when it is back.
                      if (at.ended || (!answer && answer.error().cause == Cause::unreachable)) return;
                      if (answer) return gone_now(index, why);
                      if (bench_.clock.now() - at.kill_began >= bench_.pool.lost_after())
                        return task_lost(index, why + ": " + answer.error().message);
                      bench_.timers.after(kKillAgain, [this, index, why] {
                        if (!tasks_[index].ended) end_now(index, why);
                      });
                    });
}

// Nothing of it runs any more. Its end may be on its way as an event: the journal has it first.
void Attempt::gone_now(int index, const std::string& why) {
  bench_.pool.order(tasks_[index].row.host, order_for("ask", tasks_[index].row.token), kOrderLimit,
                    [this, index, why](Result<Message> answer) {
                      // An unknown host is asked when it is back.
                      if (!answer && answer.error().cause == Cause::unreachable) return;
                      if (tasks_[index].ended || (answer && has_ended(index, answer->head))) return;
                      task_lost(index, why);
                    });
}

void Attempt::stop_task(int index) {
  Task& task = tasks_[index];
  if (!task.asked) {  // never started: there is nothing to end
    task.ended = true;
    return;
  }
  // An answer that is to come is followed by this; an unknown host is asked when it is back.
  if (task.waiting) return;
  if (!task.answered) return ask(index);
  bench_.pool.order(task.row.host, order_for("cancel", task.row.token), kOrderLimit,
                    [this, index](Result<Message> answer) {
                      if (!answer && answer.error().cause != Cause::unreachable && !tasks_[index].ended)
                        ask(index);
                    });
}

// An order found no connection. When its host is back this is done again; in case that was so already, after
// a while.
void Attempt::again(int index) {
  bench_.timers.after(kAgain, [this, index] {
    if (bench_.pool.reached(tasks_[index].row.host)) take_up(index);
  });
}

// Goes on with what waits for an answer of the task's daemon.
void Attempt::take_up(int index) {
  Task& task = tasks_[index];
  if (phase_ == Phase::publishing && !published_[index] && !task.plan.pieces.empty()) publish_task(index);
  if (task.ended || !task.asked || task.answered || task.waiting) return;
  if (phase_ == Phase::running) start(index);  // put if absent: its answer says what became of it
  if (phase_ == Phase::ending) ask(index);
}

// What became of a task: the journal knows.
void Attempt::ask(int index) {
  tasks_[index].waiting = true;
  bench_.pool.order(tasks_[index].row.host, order_for("ask", tasks_[index].row.token), kOrderLimit,
                    [this, index](Result<Message> answer) { ask_answered(index, std::move(answer)); });
}

void Attempt::ask_answered(int index, Result<Message> answer) {
  Task& task = tasks_[index];
  task.waiting = false;
  if (task.ended) return;
  if (!answer) {
    if (answer.error().cause == Cause::unreachable) return again(index);
    return end_now(index, "its daemon cannot say what became of it: " + answer.error().message);
  }
  task.answered = true;
  if (has_ended(index, answer->head)) return;
  const std::string state = answer->head.text_or("state", "");
  if (answer->head.boolean_or("known", false) && state != "lost") {
    if (ending()) stop_task(index);
    return;
  }
  const std::string why =
      state == "lost" ? "its daemon ended and took it along" : "its daemon does not know it";
  // Only what is gone may be called lost.
  answer->head.boolean_or("gone", false) ? task_lost(index, why) : end_now(index, why);
}

bool Attempt::has_ended(int index, const Json& said) {
  const std::string state = said.text_or("state", "");
  if (state != "exited" && state != "killed") return false;
  task_ended(index, static_cast<int>(said.integer_or("code", 0)),
             static_cast<int>(said.integer_or("signal", 0)), said);
  return true;
}

void Attempt::event(int index, const Message& event) {
  if (over()) return;
  Task& task = tasks_[index];
  const std::string what = event.head.text_or("event", "");
  task.row.last_seen_ms = bench_.clock.unix_milliseconds();
  if (what == "report") {
    report(index, event.head.get("message"), event.body);
  } else if (what == "restarted") {
    bench_.observer.note(step_->name + ": " + name_of_task(task) +
                         " ended and was started again by its daemon");
    bench_.commit(bench_.store.add_event(bench_.run, step_->name, name_of_task(task) + " was started again"));
  } else if (what == "exited" && event.head.text_or("state", "") == "lost") {
    task_lost(index, "its daemon ended and took it along");
  } else if (what == "exited") {
    task_ended(index, static_cast<int>(event.head.integer_or("code", 0)),
               static_cast<int>(event.head.integer_or("signal", 0)), event.head);
  }
}

void Attempt::task_ended(int index, int code, int signal, const Json& said) {
  Task& task = tasks_[index];
  if (task.ended) return;
  task.ended = true;
  task.good = code == 0 && signal == 0;
  const bool stored = is_final(task.row.state);
  task.cause =
      cause_named(said.text_or("cause", "")).value_or(signal ? Cause::failed : cause_of_exit_code(code));
  task.row.state = signal ? TaskState::killed : TaskState::exited;
  task.row.code = code;
  task.row.signal = signal;
  task.row.ended_ms = bench_.clock.unix_milliseconds();
  if (!task.good) {
    const std::string end =
        signal ? "killed by signal " + std::to_string(signal) : "exit code " + std::to_string(code);
    const std::string message = said.text_or("message", "");
    const bool told = message.find(end) != std::string::npos;
    task.message = name_of_task(task) + ": " + message;
    if (!told) task.message += message.empty() ? end : " (" + end + ")";
    task.tail = task.row.tail = said.text_or("tail", "");
  }
  const bool all_good =
      phase_ == Phase::running && !is_service() &&
      std::all_of(tasks_.begin(), tasks_.end(), [](const Task& one) { return one.ended && one.good; });
  bench_.together([&] {
    if (!stored) bench_.commit(bench_.store.set_task(task.row));
    if (all_good) store_publishing();
  });
  after_end(index);
}

void Attempt::task_lost(int index, const std::string& why) {
  Task& task = tasks_[index];
  if (task.ended) return;
  task.ended = task.lost = true;
  task.cause = Cause::unreachable;
  task.message = name_of_task(task) + " was lost: " + why;
  if (!is_final(task.row.state)) {
    task.row.state = TaskState::lost;
    task.row.ended_ms = bench_.clock.unix_milliseconds();
    bench_.commit(bench_.store.set_task(task.row));
  }
  after_end(index);
}

void Attempt::after_end(int index) {
  Task& task = tasks_[index];
  order_of_ends_.push_back(index);
  if (is_service() && task.good && !ending()) {
    task.good = false;
    task.message = name_of_task(task) + " ended by itself";
  }
  if (!task.good && !ending()) {
    failing({task.lost ? AttemptState::lost : AttemptState::failed, task.cause, task.message, task.tail});
  }
  if (!all_ended()) return;
  if (phase_ == Phase::running) return publish();
  if (phase_ == Phase::ending) conclude();
}

// The task that explains the others' ends: a lost host before all; else the first that did not just miss a
// peer.
AttemptEnd Attempt::first_cause() const {
  if (end_fixed_) return end_;
  const Task* best = nullptr;
  for (const int index : order_of_ends_) {
    const Task& task = tasks_[index];
    if (task.good) continue;
    if (task.lost) return {AttemptState::lost, Cause::unreachable, task.message, ""};
    const bool late_kill = task.row.signal == 9 && bench_.clock.now() - stopped_at_ > bench_.workflow.grace;
    if (best &&
        (best->cause != Cause::unreachable || ended_as_told(task.row.code, task.row.signal) || late_kill))
      continue;
    if (!best || task.cause != Cause::unreachable) best = &task;
  }
  if (!best) return end_;
  return {AttemptState::failed, best->cause, best->message, best->tail};
}

void Attempt::conclude() {
  if (phase_ == Phase::cleaning || over()) return;
  end_ = first_cause();
  row_.state = end_.state;
  bench_.commit(bench_.store.set_attempt(row_.id, end_.state, name_of(end_.cause), end_.message));
  clean();
}

void Attempt::store_publishing() {
  row_.state = AttemptState::publishing;
  std::vector<std::string> pieces;
  for (const Task& task : tasks_)
    pieces.insert(pieces.end(), task.plan.pieces.begin(), task.plan.pieces.end());
  bench_.commit(bench_.store.set_attempt(row_.id, row_.state));
  if (!pieces.empty())
    bench_.commit(bench_.store.add_event(bench_.run, row_.step, "publishes " + join(pieces, ", ")));
  if (std::exchange(metrics_open_, false)) bench_.commit(bench_.store.set_metrics(row_.id, metrics_));
}

void Attempt::publish() {
  phase_ = Phase::publishing;
  was_publishing_ = true;
  if (row_.state != AttemptState::publishing) bench_.together([&] { store_publishing(); });
  open_ = 0;
  for (const Task& task : tasks_) open_ += !task.plan.pieces.empty();
  if (open_ == 0) return commit_success();
  for (size_t i = 0; i < tasks_.size(); ++i) {
    if (!tasks_[i].plan.pieces.empty()) publish_task(static_cast<int>(i));
  }
}

void Attempt::publish_task(int index) {
  const Task& task = tasks_[index];
  Message order = order_for("publish", task.row.token);
  order.head["to"] = outputs_path();
  order.head["pieces"] = Json(Json::Array(task.plan.pieces.begin(), task.plan.pieces.end()));
  bench_.pool.order(task.row.host, std::move(order), kPublishLimit,
                    [this, index](Result<Message> answer) { published(index, std::move(answer)); });
}

void Attempt::published(int index, Result<Message> answer) {
  if (phase_ != Phase::publishing || published_[index]) return;
  if (!answer) {
    if (answer.error().cause == Cause::unreachable) return again(index);
    const bool lost = answer.error().cause == Cause::not_found;  // its folder went with a daemon's end
    end_fixed_ = true;
    failing({lost ? AttemptState::lost : AttemptState::failed, answer.error().cause,
             "publishing " + name_of_task(tasks_[index]) + ": " + answer.error().message, ""});
    return conclude();
  }
  published_[index] = answer->head.get("pieces");
  if (--open_ == 0) commit_success();
}

std::string Attempt::outputs_path() const {
  return "outputs/" + row_.step + "/" + row_.key + "/" + std::to_string(row_.number);
}

void Attempt::commit_success() {
  const std::string to = outputs_path() + "/";
  std::vector<PieceRow> pieces;
  std::vector<LocationRow> locations;
  for (size_t i = 0; i < tasks_.size(); ++i) {
    if (!published_[i] || !published_[i]->is_array()) continue;
    for (const Json& piece : published_[i]->array()) {
      const std::string name = piece.text_or("name", ""), digest = piece.text_or("digest", "");
      pieces.push_back({name, digest, piece.integer_or("bytes", 0)});
      locations.push_back({digest, name, tasks_[i].row.host, to + name, true});
    }
  }
  bench_.commit(bench_.store.succeed(row_.id, pieces, locations));
  if (bench_.broken) return leave_publishing();
  row_.state = AttemptState::succeeded;
  row_.metrics = metrics_;
  end_ = {AttemptState::succeeded, Cause::failed, "", ""};
  clean();
}

// It is published and nobody has written so. The next run asks for it once more, and is told the same.
void Attempt::leave_publishing() {
  if (checkpoints_) checkpoints_->stop();
  phase_ = Phase::over;
}

void Attempt::clean_order(const std::string& host, Message order) {
  ++open_;
  bench_.pool.order(host, std::move(order), bench_.workflow.grace + kOrderLimit,
                    [this](const Result<Message>&) { cleaned(); });
}

// The ends are stored: journals may forget them and temporary folders go.
void Attempt::clean() {
  phase_ = Phase::cleaning;
  open_ = 1;
  if (checkpoints_) checkpoints_->stop();
  // What the store does not know stays on the hosts: the next run asks there what happened.
  const bool stored = !bench_.broken, good = row_.state == AttemptState::succeeded;
  for (const Task& task : tasks_) {
    const std::string& host = task.row.host;
    if (!stored || !task.asked || !bench_.pool.reached(host)) continue;
    if (was_publishing_ && !good) {  // no row will ever refer to it
      Message order;
      order.head["type"] = "remove";
      order.head["path"] = outputs_path();
      clean_order(host, std::move(order));
    }
    clean_order(host, order_for("discard", task.row.token));
    clean_order(host, order_for("acknowledge", task.row.token));
  }
  if (stored && good && checkpoints_) {
    ++open_;
    checkpoints_->remove(step_->options.integer_or("epochs", 0), [this] { cleaned(); });
  }
  // Never from inside the call that ended it: whoever made it may still be walking over attempts.
  bench_.timers.after(Milliseconds(0), [this] { cleaned(); });
}

void Attempt::cleaned() {
  if (--open_ > 0) return;
  phase_ = Phase::over;
  owner_.attempt_ended(*this);
}

void Attempt::host_closed(const std::string& host) {
  if (phase_ >= Phase::cleaning) return;
  for (Task& task : tasks_) {
    if (task.row.host != host || task.ended || !task.asked) continue;
    task.answered = task.waiting = false;
    if (task.row.state != TaskState::started) continue;
    task.row.state = TaskState::unknown;
    task.row.last_seen_ms = bench_.pool.last_seen(host);
    bench_.commit(bench_.store.set_task(task.row));
  }
}

void Attempt::host_back(const std::string& host) {
  for (size_t i = 0; i < tasks_.size(); ++i) {
    if (tasks_[i].row.host != host) continue;
    send_again(static_cast<int>(i));
    take_up(static_cast<int>(i));
  }
}

void Attempt::host_lost(const std::string& host, const std::string& why) {
  const auto holds_unpublished = [&](const Task& task) {
    return task.row.host == host && !task.plan.pieces.empty() && !published_[&task - tasks_.data()];
  };
  if (phase_ == Phase::publishing) {
    if (std::none_of(tasks_.begin(), tasks_.end(), holds_unpublished)) return;
    end_fixed_ = true;
    failing(
        {AttemptState::lost, Cause::unreachable, "host " + host + " was lost while publishing: " + why, ""});
    return conclude();
  }
  for (size_t i = 0; i < tasks_.size() && phase_ < Phase::cleaning; ++i) {
    if (tasks_[i].row.host == host) task_lost(static_cast<int>(i), why);
  }
}

void Attempt::tick() {
  if (is_service() || step_->timeout.count() == 0 || ending()) return;
  if (bench_.clock.now() - began_ < step_->timeout) return;
  fail({AttemptState::failed, Cause::failed,
        "it ran longer than its timeout of " + format_duration(step_->timeout), ""});
}

}  // namespace gnnflow
