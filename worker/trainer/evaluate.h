// Scores of a trained model: over all nodes layer by layer without sampling, or sampled as in training.
#pragma once

#include "worker/trainer/checkpoint.h"
#include "worker/trainer/trainer.h"

namespace gnnflow {

struct EvaluateJob {
  EvaluateOptions options;
  const RankGraph& graph;
  GraphSource& source;
  RankGroup& group;
  fs::path model{};   // rank 0: a checkpoint, or the folder of a trained model with best/ in it
  fs::path output{};  // rank 0: metrics.json and predictions.npy are written here
  JobReports reports{};
  const StopSignal* stop = nullptr;
  int64_t chunk_rows = 131072;  // rows of one chunk's nodes and neighbours together, about
};

// All ranks together; their nodes must be all nodes, each once. Returns what stands in metrics.json.
Result<Json> evaluate(const EvaluateJob& job);

}  // namespace gnnflow
