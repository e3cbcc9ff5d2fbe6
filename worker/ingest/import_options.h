// What `import` is asked to do: the options of the step and of the command line.
#pragma once

#include "common/base/json.h"
#include "common/base/result.h"
#include "worker/ingest/in_edges.h"

namespace gnnflow {

struct ImportOptions {
  bool undirected = true;
  bool row_normalize = false;  // each feature row divided by the sum of its magnitudes
  SelfLoops self_loops = SelfLoops::keep;

  static Result<ImportOptions> from_json(const Json& options);  // `bad_workflow` names the key
  Json to_json() const;
};

}  // namespace gnnflow
