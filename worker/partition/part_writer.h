// Writes one part of a partition: a graph directory of the nodes that it owns and their in-edges.
#pragma once

#include <span>

#include "common/graph/partition_dir.h"

namespace gnnflow {

struct PartPlan {
  int part = 0, parts = 0;
  std::span<const int64_t> originals;        // of its nodes, ascending
  std::span<const int32_t> new_of_original;  // of all nodes
  std::string graph_digest;
};

// Writes part-<p> below `partition`.
Result<GraphIndex> write_part(const GraphDir& graph, const PartPlan& plan, const fs::path& partition);

}  // namespace gnnflow
