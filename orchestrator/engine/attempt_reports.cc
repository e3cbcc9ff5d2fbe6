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
    const std::string text = "checkpoint of epoch " + std::to_string(head.integer_or("epoch", 0));
    bench_.commit(bench_.store.add_event(bench_.run, step_->name, text));
  } else if (type == "ready") {
    task.public_key = head.text_or("public_key", "");
    if (is_service()) server_ready(index, head);
    owner_.attempt_spoke(*this);
  } else if (type == "allowed") {
    allow_.server_allowed(index, head.integer_or("count", 0));
    owner_.attempt_spoke(*this);
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
  bench_.commit(bench_.store.set_metrics(row_.id, metrics_));
}

void Attempt::forward(int index, Message message) {
  Message order;
  order.head["type"] = "forward";
  order.head["token"] = tasks_[index].row.token;
  order.head["message"] = std::move(message.head);
  order.body = std::move(message.body);
  // A job that ended, or a host that closed, is told by its event; a refusal says nothing more.
  bench_.pool.order(tasks_[index].row.host, std::move(order), kForwardLimit, [](Result<Message>) {});
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
