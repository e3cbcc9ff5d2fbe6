// Which nodes a rank trains on in each step of an epoch, with their labels.
#pragma once

#include <span>
#include <vector>

#include "worker/trainer/options.h"
#include "worker/trainer/rank_graph.h"
#include "worker/trainer/rank_group.h"

namespace gnnflow {

// One pass over seeds: step s has nodes [bounds[s], bounds[s + 1]).
struct SeedPass {
  std::vector<int32_t> nodes;  // new ids
  std::vector<int32_t> labels;
  std::vector<int64_t> bounds;  // steps + 1
  int64_t steps() const { return static_cast<int64_t>(bounds.size()) - 1; }
};

class SeedSchedule {
 public:
  // All ranks together: they agree on the number of steps. bad_data when no rank has training nodes.
  static Result<SeedSchedule> make(const RankGraph& graph, const SampleSettings& settings, uint64_t seed,
                                   RankGroup& group);

  int64_t steps() const { return steps_; }
  int64_t training_nodes() const { return total_; }  // over all ranks
  SeedPass epoch(int64_t epoch) const;
  // This rank's validation nodes that have a label, in batches.
  Result<SeedPass> validation() const;

 private:
  Result<int64_t> collect_local();
  Status collect_global(RankGroup& group);

  const RankGraph* graph_ = nullptr;
  SampleSettings settings_;
  uint64_t seed_ = 0;
  int rank_ = 0, ranks_ = 1;
  int64_t steps_ = 0, total_ = 0;
  std::vector<int64_t> originals_;  // ascending; of this rank (local) or of the whole graph (global)
  std::vector<int32_t> labels_;     // beside them
};

}  // namespace gnnflow
