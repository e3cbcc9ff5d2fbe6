// A whole graph out of parts: those mapped here and those of servers, behind the one interface.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/stop_signal.h"
#include "common/graph/partition_dir.h"
#include "common/zmq/keys.h"
#include "worker/graph_server/graph_source.h"

namespace gnnflow {

struct ServerAddress {
  int part = 0;
  std::string address;  // numeric
  int port = 0;
  std::string public_key;  // Z85
};

struct ShardOptions {
  fs::path partition = {};
  std::vector<int> mapped = {};             // parts read from files here
  std::vector<ServerAddress> servers = {};  // of the other parts; several of one part share its requests
  KeyPair keys = {};                        // ours; unused without servers
  Milliseconds deadline{60'000};            // of one request, asking again included; then `unreachable`
  Milliseconds retry{2'000};                // ask again with the same request id after this silence
  const StopSignal* stop = nullptr;         // ends every wait
};

// One thread at a time. Every part needs a mapping or a server.
Result<std::unique_ptr<GraphSource>> open_sharded_graph(const ShardOptions& options);

}  // namespace gnnflow
