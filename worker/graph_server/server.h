// A graph server: answers for one part, mapped from its files, over ZeroMQ with CURVE (docs/protocol.md).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/json.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "common/graph/partition_dir.h"
#include "common/zmq/keys.h"

namespace gnnflow {

struct ServerOptions {
  fs::path partition = {};
  int part = 0;
  std::string address = "127.0.0.1";  // to bind; never a wildcard
  int port = 0;                       // 0: any
  KeyPair keys = {};
  int threads = 1;              // that answer requests
  int64_t max_ids = 4'000'000;  // per request
  int64_t max_reply_bytes = int64_t{1} << 30;
  int max_requests_per_client = 16;  // waiting; beyond: busy
};

// Any thread may call any of this once started.
class GraphServer {
 public:
  static Result<std::unique_ptr<GraphServer>> start(ServerOptions options);
  virtual ~GraphServer() = default;  // stops and joins

  virtual int port() const = 0;
  // The keys that may connect. Empty at the start: nobody.
  virtual void allow(const std::vector<std::string>& public_keys) = 0;
  virtual Json stats() const = 0;  // requests, rows, neighbours, bytes, refused, bad messages, busy
};

}  // namespace gnnflow
