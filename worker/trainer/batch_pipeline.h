// Batches made ahead: sampling and fetching on the loader's thread, in the order of the plan, whatever the
// timing.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "common/base/queue.h"
#include "common/sampler/sampler.h"
#include "worker/graph_server/graph_source.h"
#include "worker/trainer/rank_graph.h"
#include "worker/trainer/seed_schedule.h"

namespace gnnflow {

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A batch ready to be computed on.
struct PreparedBatch {
  BatchKey key;
  Batch batch;
  Buffer<float> rows;                           // [inputs, columns]; empty over a table
  std::vector<std::vector<int64_t>> originals;  // [layer]: of the destinations, when asked for
  std::span<const int32_t> labels;              // of the seeds
  double sample_seconds = 0, fetch_seconds = 0;
};

struct LoaderOptions {
  std::vector<int> fanout;        // empty: no neighbours
  std::optional<RowTable> table;  // leaves stay unrelabelled, rows are read from it
  int64_t columns = 0;
  int64_t node_count = 0;
  IdView originals;  // by new id; empty: new ids are original ids
  size_t ahead = 2;
};

// Samples and fetches. One thread at a time; buffers of a batch given again are reused.
class BatchLoader {
 public:
  BatchLoader(GraphSource& source, LoaderOptions options);
  Status load(const BatchKey& key, std::span<const int32_t> seeds, bool with_originals, PreparedBatch& batch);
  const LoaderOptions& options() const { return options_; }

 private:
  GraphSource& source_;
  LoaderOptions options_;
  Neighbours drawn_;
  Sampler sampler_;
};

// One pass on a thread of its own. The loader and the pass outlive it. next() and give_back() from one
// thread.
class BatchPipeline {
 public:
  struct Pass {
    const SeedPass* seeds = nullptr;
    uint64_t seed = 0;
    int64_t epoch = 0;
    int64_t first_step =
        0;  // the global step of the first batch, or kOneKey: all batches have the key of `step`
    int64_t step = 0;
    bool training = false;
    static constexpr int64_t kOneKey = -1;
  };
  using Spares = std::vector<std::unique_ptr<PreparedBatch>>;

  BatchPipeline(BatchLoader& loader, const Pass& pass, Spares& spares);
  ~BatchPipeline();

  // Batch by batch in order. REQUIRES: called at most once for each.
  Result<std::unique_ptr<PreparedBatch>> next();
  void give_back(std::unique_ptr<PreparedBatch> batch);
  double stall_seconds() const { return stall_seconds_; }

 private:
  void work();

  BatchLoader& loader_;
  Pass pass_;
  Spares& spares_;
  Queue<Result<std::unique_ptr<PreparedBatch>>> ready_;
  Queue<std::unique_ptr<PreparedBatch>> empty_;
  double stall_seconds_ = 0;
  std::jthread thread_;
};

}  // namespace gnnflow
