// `train` and `evaluate` as jobs of a daemon, or started by hand over a whole partition: both lead to the
// same calls.
#pragma once

#include "common/base/json.h"
#include "common/wire/job_channel.h"
#include "worker/trainer/rank_group.h"

namespace gnnflow {

// By task.json (docs/protocol.md, "Tasks"). Returns what was measured.
Result<Json> run_train_task(const Task& task, JobChannel& channel);
Result<Json> run_evaluate_task(const Task& task, JobChannel& channel);

// All parts of a partition in this process.
struct StandaloneTrain {
  fs::path partition, output;
  Json options;  // as in a workflow
  int threads = 1;
};
Result<Json> run_standalone_train(const StandaloneTrain& train, JobChannel& channel);
struct StandaloneEvaluate {
  fs::path partition, model, output;
  Json options;
  int threads = 1;
};
Result<Json> run_standalone_evaluate(const StandaloneEvaluate& evaluate, JobChannel& channel);

std::string libraries_text();  // "libtorch 1.13.1, oneDNN 2.6.3"

}  // namespace gnnflow
