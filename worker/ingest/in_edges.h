// In-edges by destination out of a list of edges, in the order that the format asks for.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/result.h"
#include "common/graph/array_file.h"
#include "common/graph/graph_dir.h"
#include "worker/ingest/progress_sink.h"

namespace gnnflow {

enum class SelfLoops { keep, drop, add };

// Edge i goes from source[i] to destination[i]; i is its row. Ids below `nodes`.
struct EdgeList {
  IdView source, destination;
  int64_t nodes = 0;
};

struct InEdgeOptions {
  bool undirected = true;  // each edge's reverse too; of equal edges the first is kept
  SelfLoops self_loops = SelfLoops::keep;
  // Entries sorted at a time, 12 bytes each; more destinations than fit are taken in turns.
  int64_t entries_at_once = int64_t{48} << 20;
};

// Writes indptr, indices and edge_ids of `relation`, and its count.
Status write_in_edges(const EdgeList& edges, const InEdgeOptions& options, std::string_view relation,
                      GraphWriter& writer, const ProgressSink& progress);

}  // namespace gnnflow
