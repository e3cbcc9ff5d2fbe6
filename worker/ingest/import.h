// Imports plain .npy data sets of one node type (docs/formats.md, "Import") into a graph directory.
#pragma once

#include "common/graph/graph_dir.h"
#include "worker/ingest/import_options.h"
#include "worker/ingest/progress_sink.h"

namespace gnnflow {

// Writes `target`, which must not exist, whole or not at all.
Result<GraphIndex> import_graph(const fs::path& source, const fs::path& target, const ImportOptions& options,
                                const ProgressSink& progress);

}  // namespace gnnflow
