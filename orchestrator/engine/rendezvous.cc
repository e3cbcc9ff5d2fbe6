// How the ranks of an attempt find each other through the controller.
#include "orchestrator/engine/rendezvous.h"

#include <algorithm>

namespace gnnflow {

Forward KeyStore::reply(const Waiting& to, const std::string& value) {
  Forward forward{to.task, {}};
  forward.message.head["type"] = "store_reply";
  forward.message.head["request"] = to.request;
  forward.message.head["ok"] = true;
  forward.message.body = value;
  return forward;
}

std::vector<Forward> KeyStore::set(std::string_view key, std::string value) {
  const auto [entry, fresh] = values_.insert_or_assign(std::string(key), std::move(value));
  std::vector<Forward> answers;
  if (const auto found = waiting_.find(key); found != waiting_.end()) {
    for (const Waiting& who : found->second) answers.push_back(reply(who, entry->second));
    waiting_.erase(found);
  }
  return answers;
}

std::optional<Forward> KeyStore::get(int task, int64_t request, std::string_view key) {
  if (const auto found = values_.find(key); found != values_.end())
    return reply({task, request}, found->second);
  waiting_[std::string(key)].push_back({task, request});
  return std::nullopt;
}

void AllowList::server_ready(int server, ServerAddress address) { ready_[server] = std::move(address); }

bool AllowList::all_ready() const { return static_cast<int>(ready_.size()) == servers_; }

std::vector<Forward> AllowList::allow(const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    if (std::find(keys_.begin(), keys_.end(), key) == keys_.end()) keys_.push_back(key);
  }
  Message message;
  message.head["type"] = "allow";
  message.head["keys"] = Json(Json::Array(keys_.begin(), keys_.end()));
  std::vector<Forward> forwards;
  for (int server = 0; server < servers_; ++server) forwards.push_back({server, message});
  return forwards;
}

void AllowList::server_allowed(int server, int64_t count) {
  if (server >= 0 && server < servers_) allowed_[server] = count;
}

bool AllowList::all_allowed(int64_t upto) const {
  return std::all_of(allowed_.begin(), allowed_.end(), [&](int64_t count) { return count >= upto; });
}

Message AllowList::peers() const {
  Json::Array servers;
  for (const auto& [server, at] : ready_) {
    Json entry;
    entry["part"] = at.part;
    entry["address"] = at.address;
    entry["port"] = at.port;
    entry["key"] = at.key;
    servers.push_back(std::move(entry));
  }
  Message message;
  message.head["type"] = "peers";
  message.head["servers"] = Json(std::move(servers));
  return message;
}

}  // namespace gnnflow
