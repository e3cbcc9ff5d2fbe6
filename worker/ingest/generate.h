// A graph out of nothing but a seed: planted classes, power-law degrees, features that say little alone.
#pragma once

#include "common/graph/graph_dir.h"
#include "worker/ingest/generate_options.h"
#include "worker/ingest/progress_sink.h"

namespace gnnflow {

// Writes `target`, which must not exist. The bytes depend on the options only, not on `threads` or the
// machine.
Result<GraphIndex> generate_graph(const GenerateOptions& options, const fs::path& target, int threads,
                                  const ProgressSink& progress);

}  // namespace gnnflow
