// One way to generate, import and partition, whoever asks: a person at the command line, or a task.
#pragma once

#include <functional>

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/result.h"
#include "common/wire/progress.h"

namespace gnnflow {

struct MakeRequest {
  Json options = Json::Object{};  // of the step
  fs::path input;                 // `source` of import, `graph` of partition
  fs::path target;
  int threads = 1;
  std::function<void(const Progress&)> progress;
};

// What was made, for the reader: {kind, digest, nodes, edges, ...}; for partitions with the report.
Result<Json> make_generated(const MakeRequest& request);
Result<Json> make_imported(const MakeRequest& request);
Result<Json> make_partition(const MakeRequest& request);

std::string made_text(const Json& made);  // for a person

}  // namespace gnnflow
