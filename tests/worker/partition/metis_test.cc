// METIS behind its face: seeds, limits, and the undirected view that it is given.
#include "worker/partition/metis.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/support/toy_graph.h"

namespace gnnflow {
namespace {

Adjacency toy_adjacency() {
  TempDir dir;
  const GraphDir graph = toy_graph(dir / "g", {.nodes = 1000, .pairs = 4000});
  return *undirected_adjacency(graph.relation(), 1000);
}

TEST(UndirectedView, HasEachPairTwiceAndNoLoops) {
  const Adjacency adjacency = toy_adjacency();
  EXPECT_EQ(adjacency.pairs(), static_cast<int64_t>(toy_pairs({.nodes = 1000, .pairs = 4000}).size()));
  for (int64_t i = 0; i < 1000; ++i) {
    for (int64_t at = adjacency.offsets[static_cast<size_t>(i)];
         at < adjacency.offsets[static_cast<size_t>(i) + 1]; ++at) {
      const int32_t other = adjacency.neighbours[static_cast<size_t>(at)];
      EXPECT_NE(other, i);
      const auto begin = adjacency.neighbours.begin() + adjacency.offsets[static_cast<size_t>(other)];
      const auto end = adjacency.neighbours.begin() + adjacency.offsets[static_cast<size_t>(other) + 1];
      EXPECT_EQ(std::count(begin, end, static_cast<int32_t>(i)), 1);
    }
  }
}

TEST(Metis, IsAFunctionOfItsSeed) {
  const Adjacency adjacency = toy_adjacency();
  const auto one = metis_assignment(adjacency, {}, {.parts = 3, .seed = 1});
  std::srand(99);
  const auto again = metis_assignment(adjacency, {}, {.parts = 3, .seed = 1});
  const auto other = metis_assignment(adjacency, {}, {.parts = 3, .seed = 2});
  ASSERT_TRUE(one && again && other);
  EXPECT_EQ(*one, *again);
  EXPECT_NE(*one, *other);
}

TEST(Metis, TakesSeedsOfAnySizeAndSign) {
  const Adjacency adjacency = toy_adjacency();
  for (const int64_t seed : {int64_t{-1}, int64_t{1} << 40, INT64_MIN}) {
    EXPECT_TRUE(metis_assignment(adjacency, {}, {.parts = 2, .seed = seed})) << seed;
  }
}

TEST(Metis, RefusesWeightsBeyond32Bits) {
  const Adjacency adjacency = toy_adjacency();
  const BalanceConstraint heavy{"edges", std::vector<int32_t>(1000, INT32_MAX)};
  const auto assignment = metis_assignment(adjacency, {heavy}, {});
  ASSERT_FALSE(assignment);
  EXPECT_EQ(assignment.error().cause, Cause::no_resources);
  EXPECT_EQ(
      assignment.error().message,
      "METIS counts in 32 bits: 2147483647000 of 'edges' in all are more than 2147483647; use method random");
}

TEST(Metis, KnowsTheMemoryOfThisMachine) {
  EXPECT_GT(memory_left(), int64_t{1} << 20);
  EXPECT_LT(memory_left(), int64_t{1} << 50);
}

}  // namespace
}  // namespace gnnflow
