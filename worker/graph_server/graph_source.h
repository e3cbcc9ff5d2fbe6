// The one interface through which sampler and trainer see a graph, wherever its parts lie.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/kernels/kernels.h"
#include "common/sampler/block.h"
#include "common/sampler/sampler.h"

namespace gnnflow {

// Neighbours drawn for a list of nodes: like a block whose sources are new ids.
struct Neighbours {
  Buffer<int32_t> offsets;  // [nodes + 1], from 0
  Buffer<int32_t> sources;  // new ids
};

struct NeighbourRequest {
  std::string_view relation;
  uint64_t layer_key = 0;          // of the pick function: batch, layer, relation
  int fanout = 0;                  // or kAllNeighbours
  std::span<const int32_t> nodes;  // new ids of destinations
};

// What is counted between two calls of take_counters().
struct SourceCounters {
  int64_t local_rows = 0, remote_rows = 0;
  int64_t local_nodes = 0, remote_nodes = 0;  // whose neighbours were asked
  int64_t bytes_received = 0, requests = 0, retries = 0;
  double remote_wait_seconds = 0;
};

// Implementations are used by one thread at a time; several instances may map the same files.
class GraphSource {
 public:
  virtual ~GraphSource() = default;

  // Draws by the pick function; REQUIRES: nodes are in range of the graph, and owned by this source where it
  // is one part.
  virtual Status neighbours(const NeighbourRequest& request, Neighbours& out) = 0;

  // Feature rows as f32, row i of `out` (stride floats apart) for nodes[i].
  virtual Status rows(std::string_view type, std::span<const int32_t> nodes, float* out, int64_t stride) = 0;

  virtual SourceCounters take_counters() = 0;
};

}  // namespace gnnflow
