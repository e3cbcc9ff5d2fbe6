// Writes one part of a partition: a graph directory of the nodes that it owns and their in-edges.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "common/graph/partition_dir.h"

namespace gnnflow {

constexpr std::string_view kPartFormat = "gnnflow-part";  // of part.json
constexpr int64_t kPartVersion = 1;

struct PartPlan {
  int part = 0, parts = 0;
  std::span<const int64_t> originals;        // of its nodes, ascending
  std::span<const int32_t> new_of_original;  // of all nodes
  std::string graph_digest;
};

// Writes part-<p> below `partition`.
Result<GraphIndex> write_part(const GraphDir& graph, const PartPlan& plan, const fs::path& partition);

}  // namespace gnnflow
