// The pick function: golden values, which are part of the format, and its statistics.
#include "common/sampler/pick.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

constexpr std::string_view kRelation = "node.edge.node";

std::vector<int64_t> positions_of(uint64_t key, int64_t degree, int k) {
  std::vector<int64_t> positions(static_cast<size_t>(k));
  positions.resize(static_cast<size_t>(pick_positions(key, degree, k, positions.data())));
  return positions;
}

// Computed by another program from the description in docs/formats.md. A change here is a change of the
// format.
TEST(PickFunction, HasGoldenLayerKeys) {
  EXPECT_EQ(layer_key({0, 0, 0}, 0, kRelation), 0x582de2157a31e5e0u);
  EXPECT_EQ(layer_key({1, 0, 0}, 0, kRelation), 0x740b1aa4276a5700u);
  EXPECT_EQ(layer_key({1, 2, 3}, 1, kRelation), 0x58cfc7a8e405c222u);
  EXPECT_EQ(layer_key({42, 10, -1}, 2, "author.writes.paper"), 0xdf71b7b16f780c9bu);
  EXPECT_EQ(layer_key({~uint64_t{0}, int64_t{1} << 40, int64_t{1} << 40}, 0, ""), 0x4613302dde4214a0u);
}

TEST(PickFunction, HasGoldenPositions) {
  struct Golden {
    uint64_t original;
    int64_t degree;
    int k;
    std::vector<int64_t> positions;
  };
  const Golden golden[] = {
      {0, 5, 5, {0, 1, 2, 3, 4}},
      {0, 10, 3, {6, 8, 4}},
      {7, 10, 9, {0, 2, 3, 4, 1, 6, 7, 5, 9}},
      {12345678901, 100, 15, {83, 60, 68, 76, 89, 85, 32, 92, 22, 0, 4, 44, 56, 27, 17}},
      {3, 1000000, 10, {951885, 933390, 233476, 517965, 960970, 338049, 202963, 33560, 483668, 442661}},
      {2147483646, 2147483647, 5, {36892724, 928051916, 886923623, 1338071564, 1748499856}},
      {9, 64, 20, {15, 0, 32, 44, 7, 49, 50, 29, 37, 12, 54, 55, 43, 19, 58, 16, 4, 1, 11, 63}},
      {1, 300, 70, {95,  184, 118, 37,  228, 172, 93,  15,  232, 33,  91,  46,  179, 243, 120, 131, 55,  224,
                    133, 198, 217, 111, 69,  170, 254, 73,  164, 29,  72,  259, 129, 206, 20,  148, 25,  200,
                    247, 141, 207, 144, 5,   203, 242, 273, 27,  275, 276, 277, 107, 42,  158, 271, 205, 240,
                    3,   154, 177, 287, 49,  257, 84,  50,  292, 101, 294, 272, 296, 183, 268, 282}},
  };
  const uint64_t layer = layer_key({1, 2, 3}, 1, kRelation);
  for (const Golden& one : golden) {
    EXPECT_EQ(positions_of(node_key(layer, one.original), one.degree, one.k), one.positions) << one.original;
  }
}

TEST(PickFunction, GivesDistinctPositionsInRangeAndAllWhenThereAreFew) {
  for (int64_t degree = 0; degree < 40; ++degree) {
    for (int k = 0; k < 40; ++k) {
      for (uint64_t key = 1; key < 4; ++key) {
        const auto positions = positions_of(mum(key, kPickC2), degree, k);
        ASSERT_EQ(positions.size(), static_cast<size_t>(std::min<int64_t>(degree, k)));
        const std::set<int64_t> distinct(positions.begin(), positions.end());
        ASSERT_EQ(distinct.size(), positions.size());
        ASSERT_TRUE(distinct.empty() || (*distinct.begin() >= 0 && *distinct.rbegin() < degree));
      }
    }
  }
  for (const int k : {65, 500, kMaxFanout}) {
    for (const int64_t degree : {int64_t{k} + 1, int64_t{2000}, (int64_t{1} << 31) - 1}) {
      const auto positions = positions_of(99, degree, k);
      const std::set<int64_t> distinct(positions.begin(), positions.end());
      ASSERT_EQ(distinct.size(), static_cast<size_t>(k));
      ASSERT_LT(*distinct.rbegin(), degree);
    }
  }
}

// P(chi-square of `freedom` degrees is above this) is about 1e-6 (Wilson and Hilferty).
double chi_square_limit(double freedom) {
  const double z = 4.753, a = 2.0 / (9.0 * freedom);
  return freedom * std::pow(1 - a + z * std::sqrt(a), 3);
}

using Draw = uint64_t (*)(uint64_t node_key, uint64_t i);

// Floyd's method over any draws, as a set.
uint64_t subset(Draw drawn, uint64_t key, int degree, int k) {
  uint64_t set = 0;
  for (int i = 0; i < k; ++i) {
    const uint64_t at =
        below(drawn(key, static_cast<uint64_t>(i)), static_cast<uint64_t>(degree - k + i + 1));
    set |= uint64_t{1} << (set >> at & 1 ? static_cast<uint64_t>(degree - k + i) : at);
  }
  return set;
}

double subsets_of(int degree, int k) {
  double count = 1;
  for (int i = 0; i < k; ++i) count = count * (degree - i) / (i + 1);
  return std::round(count);
}

// Chi-square over all subsets, for keys of nodes in a row, or of steps in a row.
double chi_square_of_subsets(Draw drawn, int degree, int k, bool over_steps) {
  constexpr int64_t kDraws = 200'000;
  std::map<uint64_t, int64_t> seen;
  const uint64_t layer = layer_key({5, 0, 0}, 0, kRelation);
  for (int64_t i = 0; i < kDraws; ++i) {
    const uint64_t key = over_steps ? node_key(layer_key({5, 0, i}, 0, kRelation), 17)
                                    : node_key(layer, static_cast<uint64_t>(i));
    ++seen[subset(drawn, key, degree, k)];
  }
  const double cells = subsets_of(degree, k), expected = kDraws / cells;
  double sum = (cells - static_cast<double>(seen.size())) * expected;
  for (const auto& [set, count] : seen) {
    const double off = static_cast<double>(count) - expected;
    sum += off * off / expected;
  }
  return sum;
}

TEST(PickStatistics, MakesEverySubsetEquallyLikelyOverNodesAndOverSteps) {
  for (const auto& [degree, k] :
       {std::pair{5, 1}, {6, 2}, {6, 3}, {8, 4}, {10, 5}, {12, 3}, {7, 6}, {20, 2}}) {
    const double limit = chi_square_limit(subsets_of(degree, k) - 1);
    EXPECT_LT(chi_square_of_subsets(draw, degree, k, false), limit) << degree << " " << k;
    EXPECT_LT(chi_square_of_subsets(draw, degree, k, true), limit) << degree << " " << k;
  }
}

TEST(PickStatistics, WouldSeeDrawsThatLieOnALine) {
  const Draw on_a_line = [](uint64_t key, uint64_t i) { return mum(key ^ kPickC3, i ^ kPickC4); };
  EXPECT_GT(chi_square_of_subsets(on_a_line, 8, 4, false), chi_square_limit(69));
}

// Each position is picked k/d of the time: chi-square with (d - 1)/(d - k), for draws without replacement.
TEST(PickStatistics, IncludesEachPositionEquallyOften) {
  constexpr int64_t kDraws = 40'000;
  const uint64_t layer = layer_key({6, 1, 2}, 0, kRelation);
  for (const auto& [degree, k] : {std::pair{50, 5}, {50, 15}, {1000, 10}, {100, 90}, {300, 100}}) {
    std::vector<int64_t> seen(static_cast<size_t>(degree));
    for (int64_t node = 0; node < kDraws; ++node) {
      for (const int64_t at : positions_of(node_key(layer, static_cast<uint64_t>(node)), degree, k)) {
        ++seen[static_cast<size_t>(at)];
      }
    }
    const double expected = static_cast<double>(kDraws) * k / degree;
    double sum = 0;
    for (const int64_t count : seen) {
      const double off = static_cast<double>(count) - expected;
      sum += off * off / expected;
    }
    EXPECT_LT(sum * (degree - 1) / (degree - k), chi_square_limit(degree - 1)) << degree << " " << k;
  }
}

// The same draw of two nodes, steps, epochs or layers in a row, cut into 16 by 16 cells.
TEST(PickStatistics, DrawsIndependentlyForNeighbouringKeys) {
  constexpr int64_t kDraws = 200'000;
  const auto key_of = [](int what, int64_t i, int64_t next) {
    switch (what) {
      case 0:
        return node_key(layer_key({8, 0, 0}, 0, kRelation), static_cast<uint64_t>(i + next));
      case 1:
        return node_key(layer_key({8, 0, i + next}, 0, kRelation), 4);
      case 2:
        return node_key(layer_key({8, i + next, 3}, 0, kRelation), 4);
      default:
        return node_key(layer_key({8, 0, i}, static_cast<int>(next), kRelation), 4);
    }
  };
  for (int what = 0; what < 4; ++what) {
    for (const uint64_t at : {0u, 1u, 7u}) {
      std::vector<int64_t> seen(256);
      for (int64_t i = 0; i < kDraws; ++i) {
        ++seen[below(draw(key_of(what, i, 0), at), 16) * 16 + below(draw(key_of(what, i, 1), at), 16)];
      }
      double sum = 0;
      for (const int64_t count : seen)
        sum += std::pow(static_cast<double>(count) - kDraws / 256.0, 2) / (kDraws / 256.0);
      EXPECT_LT(sum, chi_square_limit(255)) << "kind " << what << ", draw " << at;
    }
  }
}

TEST(PickFunction, KeepsDifferentUsesApart) {
  EXPECT_NE(KeyChain(PickUse::neighbours).with(1).key(), KeyChain(PickUse::dropout).with(1).key());
  EXPECT_NE(KeyChain(PickUse::neighbours).with("ab").key(), KeyChain(PickUse::neighbours).with("ba").key());
  EXPECT_NE(KeyChain(PickUse::neighbours).with("").key(), KeyChain(PickUse::neighbours).key());
}

}  // namespace
}  // namespace gnnflow
