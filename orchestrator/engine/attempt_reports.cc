// One attempt of a step: what its jobs say, and what they are told.
#include <algorithm>

#include "common/wire/progress.h"
#include "orchestrator/engine/attempt.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kForwardLimit{30'000};

}  // namespace

void Attempt::report(int index, const Json& head, const std::string& body) {
  const std::string type = head.text_or("type", "");
  Task& task = tasks_[index];
  if (type == "progress") {
    task.row.progress = head;
    bench_.observer.step_progress(step_->name, task.row.role, Progress::from_json(head));
    bench_.commit(bench_.store.set_progress(row_.id, task.row.index, head));
  } else if (type == "metrics" || type == "result") {
    take_metrics(index, head);
  } else if (type == "checkpoint") {
    const int64_t epoch = head.integer_or("epoch", 0);
    metrics_["checkpoint"] = epoch;  // a plan says from where training would go on
    bench_.together([&] {
      bench_.commit(
          bench_.store.add_event(bench_.run, step_->name, "checkpoint of epoch " + std::to_string(epoch)));
      bench_.commit(bench_.store.set_metrics(row_.id, metrics_));
      if (checkpoints_ && phase_ == Phase::running)
        checkpoints_->made(task.row.host, epoch, head.integer_or("bytes", 0));
    });
    if (checkpoints_) checkpoints_->copy_next();
  } else if (type == "ready") {
    task.public_key = head.text_or("public_key", "");
    if (is_service()) server_ready(index, head);
  } else if (type == "allowed") {
    allow_.server_allowed(index, head.integer_or("count", 0));
  } else if (type == "store_set") {
    for (Forward& reply : keys_.set(head.text_or("key", ""), body))
      forward(reply.task, std::move(reply.message));
  } else if (type == "store_get") {
    auto reply = keys_.get(index, head.integer_or("request", 0), head.text_or("key", ""));
    if (reply) forward(reply->task, std::move(reply->message));
  }
}

void Attempt::server_ready(int index, const Json& head) {
  const Task& task = tasks_[index];
  ServerAddress at;
  at.part = static_cast<int>(head.integer_or("part", task.plan.spec.integer_or("part", 0)));
  at.address = head.text_or("address", task.plan.spec.text_or("address", ""));
  at.port = head.integer_or("port", 0);
  at.key = task.public_key;
  allow_.server_ready(index, std::move(at));
}

// Rank 0 speaks for all; what it said last about a thing holds.
void Attempt::take_metrics(int index, const Json& head) {
  if (index != 0) return;
  for (const auto& [name, value] : head.object()) {
    if (name != "type" && !value.is_array())
      metrics_[name] = value;  // lists belong into the step's own files
  }
  // A result comes with the end: they are one commit.
  metrics_open_ = head.text_or("type", "") == "result" && phase_ == Phase::running;
  if (!metrics_open_) bench_.commit(bench_.store.set_metrics(row_.id, metrics_));
}

void Attempt::forward(int index, Message message) {
  Message order;
  order.head["type"] = "forward";
  order.head["token"] = tasks_[index].row.token;
  order.head["message"] = std::move(message.head);
  order.body = std::move(message.body);
  send(index, std::move(order));
}

// A job that ended is told by its event, a refusal says nothing more. What a cut connection may have
// swallowed is said again when the host is back: jobs bear to hear it twice.
void Attempt::send(int index, Message order) {
  auto kept = std::make_shared<Message>(order);
  bench_.pool.order(tasks_[index].row.host, std::move(order), kForwardLimit,
                    [this, index, kept](const Result<Message>& answer) {
                      if (!answer && answer.error().cause == Cause::unreachable && !ending())
                        tasks_[index].unsent.push_back(std::move(*kept));
                    });
}

void Attempt::send_again(int index) {
  for (Message& order : std::exchange(tasks_[index].unsent, {})) send(index, std::move(order));
}

int64_t Attempt::allow(const std::vector<std::string>& keys) {
  for (Forward& order : allow_.allow(keys)) forward(order.task, std::move(order.message));
  return allow_.length();
}

bool Attempt::ranks_ready() const {
  return phase_ == Phase::running &&
         std::all_of(tasks_.begin(), tasks_.end(), [](const Task& task) { return !task.public_key.empty(); });
}

std::vector<std::string> Attempt::rank_keys() const {
  std::vector<std::string> keys;
  for (const Task& task : tasks_) keys.push_back(task.public_key);
  return keys;
}

void Attempt::tell_peers(const Message& peers) {
  for (size_t i = 0; i < tasks_.size(); ++i) forward(static_cast<int>(i), peers);
}

}  // namespace gnnflow
