// Which seeds a rank trains on in an epoch, in which order and batches: a pure function of the key.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gnnflow {

// Shuffles `originals` (Fisher-Yates with draws of the seed_order key of seed and epoch, over the list in
// ascending order). The result does not depend on the order given.
void shuffle_seeds(uint64_t seed, int64_t epoch, std::vector<int64_t>& originals);

// Batches of one rank: positions [begin, end) of its shuffled list for each step. All ranks have `steps`
// steps; a rank out of seeds has empty ones.
struct SeedPlan {
  int64_t steps = 0;
  int64_t batch = 0;
  int64_t count = 0;  // of this rank's seeds
  int64_t begin(int64_t step) const;
  int64_t end(int64_t step) const;
};
// `counts`: seeds of each rank.
SeedPlan plan_seeds(std::span<const int64_t> counts, int rank, int64_t batch);

}  // namespace gnnflow
