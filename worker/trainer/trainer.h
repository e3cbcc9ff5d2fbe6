// Training: epochs of steps, scores after each, checkpoints, and the outputs of the step.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/base/json.h"
#include "common/base/stop_signal.h"
#include "common/wire/progress.h"
#include "worker/graph_server/graph_source.h"
#include "worker/trainer/checkpoint.h"
#include "worker/trainer/options.h"
#include "worker/trainer/rank_graph.h"
#include "worker/trainer/rank_group.h"

namespace gnnflow {

// Where a job tells how far it is. Calls come from the job's own thread.
struct JobReports {
  std::function<void(const Progress&)> progress = [](const Progress&) {};
  std::function<void(Json)> metrics = [](Json) {};
  std::function<void(Json)> checkpoint = [](Json) {};
};

// What a rank trains with. References outlive the call.
struct TrainJob {
  TrainOptions options;
  const RankGraph& graph;
  GraphSource& source;
  RankGroup& group;
  fs::path folder{};       // temporary files
  fs::path output{};       // rank 0: {best,last}/ and metrics.json are written here
  fs::path checkpoints{};  // rank 0; empty: none are kept
  fs::path resume{};       // rank 0; empty: from the start
  JobReports reports{};
  const StopSignal* stop = nullptr;  // ends training between two batches
  int threads = 1;
};

// All ranks together. Returns what stands in metrics.json.
Result<Json> train(const TrainJob& job);

// What decides bits beside libraries: to be compared on resume.
Json machine_of(int threads, int ranks);

}  // namespace gnnflow
