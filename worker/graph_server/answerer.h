// Turns one request into one reply, whatever the request is: what a worker thread of a graph server does.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/graph/partition_dir.h"
#include "worker/graph_server/codec.h"
#include "worker/graph_server/mapped_part.h"

namespace gnnflow {

// What a server counted since it started. All threads write.
struct ServerCounters {
  std::atomic<int64_t> requests = 0, rows = 0, neighbours = 0, bytes = 0;
  std::atomic<int64_t> refused = 0, bad_messages = 0, busy = 0, dropped = 0;
};

// The order in which node types and relations are numbered on the wire.
std::vector<std::string> numbered_types(const PartitionIndex& index);
std::vector<std::string> numbered_relations(const PartitionIndex& index);

// What all workers of a server share; lives as long as they.
struct Served {
  std::shared_ptr<const MappedPart> part;
  std::string digest;  // of the partition
  std::vector<std::string> types, relations;
  int64_t max_ids = 0, max_reply_bytes = 0;
  FramePool* pool = nullptr;
  std::atomic<bool> draining = false;
  ServerCounters counters;

  std::string stats() const;  // JSON
};

// One per thread; its buffers are reused.
class Answerer {
 public:
  explicit Answerer(Served& served) : served_(served) {}
  // The request's frames stand in `frames` from `first` on; the reply takes their place. What stands before
  // stays.
  void answer(Frames& frames, int first);

 private:
  void reply(Answer answer, std::string_view text, Frames& frames, int first);
  void hello(Frames& frames, int first);
  void rows(Frames& frames, int first);
  void neighbours(Frames& frames, int first);
  bool within_limits(Frames& frames, int first, int64_t reply_bytes);
  void too_large(std::string_view relation, int64_t edges, Frames& frames, int first);

  Served& served_;
  Request request_;
  Buffer<int32_t> nodes_, offsets_, sources_;
};

}  // namespace gnnflow
