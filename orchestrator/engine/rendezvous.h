// How the ranks of an attempt find each other through the controller: keys are set and waited for, servers
// are told who may connect, ranks are told where the servers are. Pure: messages in, messages out.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/wire/message.h"

namespace gnnflow {

// A message for the job of one task.
struct Forward {
  int task = 0;
  Message message;
};

// The values that ranks set for each other while their process group is made; kept as long as the attempt.
class KeyStore {
 public:
  // The answers to those who waited for the key.
  std::vector<Forward> set(std::string_view key, std::string value);
  // The answer, or nothing until the key is set.
  std::optional<Forward> get(int task, int64_t request, std::string_view key);

 private:
  struct Waiting {
    int task;
    int64_t request;
  };
  static Forward reply(const Waiting& to, const std::string& value);
  std::map<std::string, std::string, std::less<>> values_;
  std::map<std::string, std::vector<Waiting>, std::less<>> waiting_;
};

struct ServerAddress {
  int part = 0;
  std::string address;
  int64_t port = 0;
  std::string key;
};

// The servers of a service and the keys that they allow. The list only grows while the service is up: a
// restarted server and a late answer are then told from each other by the count alone.
class AllowList {
 public:
  explicit AllowList(int servers) : servers_(servers), allowed_(servers, 0) {}

  void server_ready(int server, ServerAddress address);
  bool all_ready() const;
  // What every server is to be told; `upto` of all_allowed() is the length of the list now.
  std::vector<Forward> allow(const std::vector<std::string>& keys);
  int64_t length() const { return static_cast<int64_t>(keys_.size()); }
  void server_allowed(int server, int64_t count);
  bool all_allowed(int64_t upto) const;
  Message peers() const;

 private:
  int servers_;
  std::map<int, ServerAddress> ready_;
  std::vector<std::string> keys_;
  std::vector<int64_t> allowed_;
};

}  // namespace gnnflow
