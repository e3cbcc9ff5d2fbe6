// The order of seeds, and how steps cut it.
#include "common/sampler/seeds.h"

#include <algorithm>

#include "common/base/result.h"
#include "common/sampler/pick.h"

namespace gnnflow {

void shuffle_seeds(uint64_t seed, int64_t epoch, std::vector<int64_t>& originals) {
  std::sort(originals.begin(), originals.end());
  const uint64_t key = KeyChain(PickUse::seed_order).with(seed).with(static_cast<uint64_t>(epoch)).key();
  for (size_t i = originals.size(); i > 1; --i) {
    std::swap(originals[i - 1], originals[below(draw(key, i - 1), i)]);
  }
}

int64_t SeedPlan::begin(int64_t step) const { return std::min(step * batch, count); }
int64_t SeedPlan::end(int64_t step) const { return std::min((step + 1) * batch, count); }

SeedPlan plan_seeds(std::span<const int64_t> counts, int rank, int64_t batch) {
  if (batch <= 0 || rank < 0 || static_cast<size_t>(rank) >= counts.size()) {
    bug("plan_seeds: no such rank, or an empty batch");
  }
  const int64_t most = *std::max_element(counts.begin(), counts.end());
  return {.steps = (most + batch - 1) / batch, .batch = batch, .count = counts[static_cast<size_t>(rank)]};
}

}  // namespace gnnflow
