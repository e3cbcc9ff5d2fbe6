// Checkpoints: a folder of .safetensors and a checkpoint.json that names each file with size and digest.
// Written under a temporary name, synced, renamed: what has no checkpoint.json is none (docs/formats.md).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/base/file.h"
#include "common/base/json.h"
#include "worker/trainer/models/model.h"
#include "worker/trainer/optimizers.h"

namespace gnnflow {

struct Checkpoint {
  int64_t epoch = 0;    // epochs that are done
  int64_t step = 0;     // global steps that are done
  Json model, options;  // the model's options; TrainOptions::resume_identity()
  std::vector<int> fanout;
  int64_t batch = 0;
  uint64_t seed = 0;
  ModelShape shape;
  std::vector<ParameterInfo> parameters;
  std::vector<float> weights;
  OptimizerState optimizer;
  // The best model so far, by validation accuracy; epoch 0: none yet.
  int64_t best_epoch = 0;
  double best_accuracy = -1;
  std::vector<float> best_weights;
  Json::Array history;  // metrics of each epoch
  Json products;        // what decides bits: libraries of products,
  Json machine;         // kernels, threads, ranks, versions
};

// Files by name, checkpoint.json among them.
using CheckpointFiles = std::map<std::string, std::string>;
CheckpointFiles encode_checkpoint(const Checkpoint& checkpoint);
Result<Checkpoint> decode_checkpoint(const CheckpointFiles& files, std::string_view where);
Result<CheckpointFiles> read_checkpoint_files(const fs::path& folder);
Result<Checkpoint> read_checkpoint(const fs::path& folder);

// Writes all files into `folder` (made new), checkpoint.json last, synced.
Status write_checkpoint_files(const fs::path& folder, const CheckpointFiles& files);
// ... into `temporary`, then renames to `<checkpoints>/<epoch>`; what stood there gives way.
Result<fs::path> publish_checkpoint(const Checkpoint& checkpoint, const fs::path& temporary,
                                    const fs::path& checkpoints);
// Removes all of `checkpoints` but the last two of epochs up to `epoch`, and `best_epoch`.
Status remove_old_checkpoints(const fs::path& checkpoints, int64_t epoch, int64_t best_epoch);

}  // namespace gnnflow
