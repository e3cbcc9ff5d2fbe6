// The order of seeds and the cut into steps.
#include "common/sampler/seeds.h"

#include <algorithm>
#include <map>
#include <numeric>

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

std::vector<int64_t> shuffled(uint64_t seed, int64_t epoch, std::vector<int64_t> ids) {
  shuffle_seeds(seed, epoch, ids);
  return ids;
}

std::vector<int64_t> up_to(int64_t n) {
  std::vector<int64_t> ids(static_cast<size_t>(n));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

TEST(SeedOrder, IsGolden) {
  EXPECT_EQ(shuffled(1, 0, up_to(10)), (std::vector<int64_t>{3, 4, 6, 5, 2, 0, 1, 7, 8, 9}));
  EXPECT_EQ(shuffled(1, 1, up_to(10)), (std::vector<int64_t>{0, 9, 3, 6, 4, 2, 8, 7, 5, 1}));
  EXPECT_EQ(shuffled(7, 3, {100, 2147483643, 3}), (std::vector<int64_t>{100, 3, 2147483643}));
}

TEST(SeedOrder, DoesNotDependOnTheOrderGiven) {
  std::vector<int64_t> backwards = up_to(100);
  std::reverse(backwards.begin(), backwards.end());
  EXPECT_EQ(shuffled(3, 5, backwards), shuffled(3, 5, up_to(100)));
}

TEST(SeedOrder, KeepsEverySeedOnce) {
  std::vector<int64_t> ids = shuffled(4, 2, up_to(1000));
  EXPECT_NE(ids, up_to(1000));
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(ids, up_to(1000));
  EXPECT_TRUE(shuffled(4, 2, {}).empty());
}

TEST(SeedOrder, MakesEveryOrderEquallyLikelyOverEpochs) {
  std::map<std::vector<int64_t>, int64_t> seen;
  constexpr int64_t kEpochs = 48'000;
  for (int64_t epoch = 0; epoch < kEpochs; ++epoch) ++seen[shuffled(11, epoch, up_to(4))];
  ASSERT_EQ(seen.size(), 24u);
  double sum = 0;
  for (const auto& [order, count] : seen) {
    const double off = static_cast<double>(count) - kEpochs / 24.0;
    sum += off * off / (kEpochs / 24.0);
  }
  EXPECT_LT(sum, 76.0);  // chi-square, 23 degrees of freedom, p about 1e-7
}

TEST(SeedPlan, GivesAllRanksTheSameStepsAndEachItsOwnSeedsOnce) {
  const std::vector<int64_t> counts{10, 25, 0};
  for (int rank = 0; rank < 3; ++rank) {
    const SeedPlan plan = plan_seeds(counts, rank, 4);
    EXPECT_EQ(plan.steps, 7);
    int64_t covered = 0;
    for (int64_t step = 0; step < plan.steps; ++step) {
      EXPECT_EQ(plan.begin(step), covered);
      EXPECT_LE(plan.end(step) - plan.begin(step), 4);
      covered = plan.end(step);
    }
    EXPECT_EQ(covered, counts[static_cast<size_t>(rank)]);
  }
}

TEST(SeedPlan, HasNoStepsWithoutSeeds) { EXPECT_EQ(plan_seeds(std::vector<int64_t>{0, 0}, 1, 8).steps, 0); }

}  // namespace
}  // namespace gnnflow
