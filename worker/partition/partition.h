// Cuts a graph into parts and writes the partition directory (docs/formats.md).
#pragma once

#include <functional>

#include "common/graph/partition_dir.h"
#include "common/wire/progress.h"
#include "worker/partition/partition_options.h"

namespace gnnflow {

// Writes `target`, which must not exist, whole or not at all. The bytes depend on graph and options only.
Result<PartitionIndex> partition_graph(const fs::path& graph, const fs::path& target,
                                       const PartitionOptions& options,
                                       const std::function<void(const Progress&)>& progress);

}  // namespace gnnflow
