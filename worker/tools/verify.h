// Reads directories whole and checks what opening does not.
#pragma once

#include "common/graph/partition_dir.h"

namespace gnnflow {

struct VerifyCounts {
  int64_t files = 0, bytes = 0, edges = 0, nodes = 0, parts = 0;
};

// `bad_data` names the first bad place: the file and the position in it. `sources`: ids of edges' sources are
// below it; those of the graph itself are its own nodes, those of a part all nodes of the partition.
Status verify_graph(const GraphDir& graph, int64_t sources, VerifyCounts& counts);
Status verify_partition(const PartitionDir& partition, VerifyCounts& counts);

// What both use.
Status verify_digest(const fs::path& folder, const ArrayInfo& info, VerifyCounts& counts);
Status verify_split(const Split& split, int64_t nodes);  // disjoint; opening has checked the rest

}  // namespace gnnflow
