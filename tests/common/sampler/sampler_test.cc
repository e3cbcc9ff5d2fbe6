// Drawing from rows, relabelling, and the blocks of a batch.
#include "common/sampler/sampler.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

constexpr std::string_view kRelation = "node.edge.node";

// Rows in memory, in both widths.
struct Rows {
  std::vector<int64_t> indptr{0};
  std::vector<int32_t> narrow;
  std::vector<int64_t> wide;

  void add(const std::vector<int32_t>& row) {
    narrow.insert(narrow.end(), row.begin(), row.end());
    wide.insert(wide.end(), row.begin(), row.end());
    indptr.push_back(static_cast<int64_t>(narrow.size()));
  }
  RowsView view(bool in_wide = false) const {
    RowsView view{.indptr = indptr.data(), .rows = static_cast<int64_t>(indptr.size()) - 1};
    view.node_limit = view.rows;
    if (in_wide) {
      view.indices64 = wide.data();
    } else {
      view.indices32 = narrow.data();
    }
    return view;
  }
};

// Row i has the neighbours (i * j + 1) % n for j = 0 .. i.
Rows small_rows(int n) {
  Rows rows;
  for (int i = 0; i < n; ++i) {
    std::vector<int32_t> row;
    for (int j = 0; j <= i; ++j) row.push_back((i * j + 1) % n);
    rows.add(row);
  }
  return rows;
}

struct Hop {
  Buffer<int32_t> offsets, sources;
  Hop() { offsets.push_back(0); }
};

std::vector<int32_t> list(const Buffer<int32_t>& buffer) { return {buffer.begin(), buffer.end()}; }

DrawNeighbours draw_from(const RowsView& view) {
  return [view](uint64_t key, int fanout, std::span<const int32_t> nodes, Block& block) {
    return draw_rows(view, key, fanout, nodes, 0, block.offsets, block.sources);
  };
}

Batch sample(const RowsView& view, std::vector<int> fanout, std::vector<int32_t> seeds, BatchKey key,
             bool relabel = true) {
  Sampler sampler(
      {.fanout = std::move(fanout), .relation = std::string(kRelation), .relabel_leaves = relabel},
      view.node_limit, draw_from(view));
  Batch batch;
  const Status sampled = sampler.sample(key, seeds, batch);
  EXPECT_TRUE(sampled) << sampled.error().message;
  return batch;
}

// Computed by another program from the description in docs/formats.md.
TEST(Sampler, MakesTheGoldenBatch) {
  const Rows rows = small_rows(12);
  const Batch batch = sample(rows.view(), {2, 3}, {11, 5}, {9, 1, 4}, false);
  EXPECT_EQ(list(batch.blocks[1].offsets), (std::vector<int32_t>{0, 3, 6}));
  EXPECT_EQ(list(batch.nodes[1]), (std::vector<int32_t>{11, 5, 3, 0, 1, 6}));
  EXPECT_EQ(list(batch.blocks[1].sources), (std::vector<int32_t>{1, 2, 3, 0, 4, 5}));  // of 5, 3, 0, 11, 1, 6
  EXPECT_EQ(list(batch.blocks[0].offsets), (std::vector<int32_t>{0, 2, 4, 6, 7, 9, 11}));
  EXPECT_EQ(list(batch.blocks[0].sources), (std::vector<int32_t>{0, 5, 6, 9, 7, 10, 1, 1, 2, 7, 1}));
  const Batch relabelled = sample(rows.view(), {2, 3}, {11, 5}, {9, 1, 4}, true);
  EXPECT_EQ(list(relabelled.nodes[0]), (std::vector<int32_t>{11, 5, 3, 0, 1, 6, 9, 7, 10, 2}));
}

TEST(Sampler, KeepsTheInvariantsOfBlocks) {
  const Rows rows = small_rows(97);
  for (const bool relabel : {true, false}) {
    const Batch batch = sample(rows.view(), {7, 4, 3}, {96, 3, 50, 0}, {1, 2, 3}, relabel);
    EXPECT_EQ(std::vector<int32_t>(batch.seeds().begin(), batch.seeds().end()),
              (std::vector<int32_t>{96, 3, 50, 0}));
    for (size_t layer = 0; layer < 3; ++layer) {
      const Block& block = batch.blocks[layer];
      const auto destinations = list(batch.nodes[layer + 1]), nodes = list(batch.nodes[layer]);
      ASSERT_EQ(block.destinations(), static_cast<int64_t>(destinations.size()));
      EXPECT_TRUE(std::equal(destinations.begin(), destinations.end(), nodes.begin()));
      EXPECT_EQ(std::set<int32_t>(nodes.begin(), nodes.end()).size(), nodes.size());
      EXPECT_EQ(block.relabelled, layer > 0 || relabel);
      const int fanout = std::vector<int>{7, 4, 3}[layer];
      for (size_t i = 0; i < destinations.size(); ++i) {
        const int32_t node = destinations[i];
        ASSERT_EQ(block.offsets[i + 1] - block.offsets[i], std::min(node + 1, fanout));
        for (int32_t e = block.offsets[i]; e < block.offsets[i + 1]; ++e) {
          const int32_t source = block.sources[static_cast<size_t>(e)];
          const int32_t neighbour = block.relabelled ? nodes[static_cast<size_t>(source)] : source;
          const auto row = std::span(rows.narrow)
                               .subspan(static_cast<size_t>(rows.indptr[static_cast<size_t>(node)]),
                                        static_cast<size_t>(node) + 1);
          EXPECT_NE(std::find(row.begin(), row.end(), neighbour), row.end()) << "no such edge";
        }
      }
    }
    if (!relabel) {
      EXPECT_EQ(list(batch.nodes[0]), list(batch.nodes[1]));
    }
  }
}

TEST(Sampler, GivesTheSameBlocksInReusedBuffers) {
  const Rows rows = small_rows(60);
  Sampler sampler({.fanout = {5, 5}, .relation = std::string(kRelation)}, 60, draw_from(rows.view()));
  Batch batch;
  ASSERT_TRUE(sampler.sample({1, 0, 1}, std::vector<int32_t>{59, 58, 57, 1}, batch));
  ASSERT_TRUE(sampler.sample({1, 0, 2}, std::vector<int32_t>{3}, batch));
  const Batch fresh = sample(rows.view(), {5, 5}, {3}, {1, 0, 2});
  EXPECT_EQ(list(batch.nodes[0]), list(fresh.nodes[0]));
  EXPECT_EQ(list(batch.blocks[0].sources), list(fresh.blocks[0].sources));
}

TEST(Sampler, TakesNoSeeds) {
  const Rows rows = small_rows(10);
  const Batch batch = sample(rows.view(), {2, 2}, {}, {1, 0, 0});
  EXPECT_EQ(batch.blocks[0].destinations(), 0);
  EXPECT_TRUE(batch.inputs().empty());
}

TEST(Sampler, RefusesSeedsThatAreTwiceThereOrOutOfRange) {
  const Rows rows = small_rows(10);
  Sampler sampler({.fanout = {2}, .relation = std::string(kRelation)}, 10, draw_from(rows.view()));
  Batch batch;
  EXPECT_EQ(sampler.sample({}, std::vector<int32_t>{1, 2, 1}, batch).error().message,
            "node 1 stands twice among the seeds");
  EXPECT_EQ(sampler.sample({}, std::vector<int32_t>{1, 10}, batch).error().message,
            "seed 1 (node 10) is out of range: there are 10 nodes");
  EXPECT_EQ(sampler.sample({}, std::vector<int32_t>{-1}, batch).error().cause, Cause::bad_data);
}

TEST(DrawRows, PicksAsThePickFunctionSaysForEveryFanoutWidthAndId) {
  Rows rows;
  for (int i = 0; i < 200; ++i) {
    std::vector<int32_t> row;
    for (int j = 0; j < i * 3; ++j) row.push_back((j * 7 + i) % 200);
    rows.add(row);
  }
  std::vector<int32_t> originals32;
  std::vector<int64_t> originals64;
  for (int i = 0; i < 200; ++i) {
    originals32.push_back(i * 1000 + 1);
    originals64.push_back(int64_t{i} * 1'000'000'007'000 + 3);
  }
  const int64_t first = 5000;
  std::vector<int32_t> nodes;
  for (int i = 199; i >= 0; --i) nodes.push_back(static_cast<int32_t>(first + i * 77 % 200));
  for (const int fanout : {0, 1, 2, 8, 9, 15, 16, 17, 32, 33, 64, 65, 300, kMaxFanout, kAllNeighbours}) {
    for (const int kind : {0, 1, 2, 3}) {
      RowsView view = rows.view(kind == 1);
      if (kind == 2) view.originals32 = originals32.data();
      if (kind == 3) view.originals64 = originals64.data();
      Hop hop;
      ASSERT_TRUE(draw_rows(view, 0xABCDEF, fanout, nodes, first, hop.offsets, hop.sources));
      std::vector<int32_t> offsets{0}, sources;
      for (const int32_t node : nodes) {
        const auto row = static_cast<size_t>(node - first);
        const int64_t degree = rows.indptr[row + 1] - rows.indptr[row];
        std::vector<int64_t> positions(static_cast<size_t>(fanout == kAllNeighbours ? degree : fanout));
        const auto original = kind == 2   ? static_cast<uint64_t>(originals32[row])
                              : kind == 3 ? static_cast<uint64_t>(originals64[row])
                                          : row;
        if (fanout == kAllNeighbours) {
          for (int64_t i = 0; i < degree; ++i) positions[static_cast<size_t>(i)] = i;
        } else {
          const int count = pick_positions(node_key(0xABCDEF, original), degree, fanout, positions.data());
          positions.resize(static_cast<size_t>(count));
        }
        for (const int64_t at : positions)
          sources.push_back(rows.narrow[static_cast<size_t>(rows.indptr[row] + at)]);
        offsets.push_back(static_cast<int32_t>(sources.size()));
      }
      ASSERT_EQ(list(hop.offsets), offsets) << fanout << " " << kind;
      ASSERT_EQ(list(hop.sources), sources) << fanout << " " << kind;
      ASSERT_GE(bound_of_edges(view, fanout, nodes, first), static_cast<int64_t>(sources.size()));
    }
  }
}

TEST(DrawRows, AppendsToWhatIsThere) {
  const Rows rows = small_rows(10);
  Hop hop;
  ASSERT_TRUE(draw_rows(rows.view(), 1, 3, std::vector<int32_t>{9, 4}, 0, hop.offsets, hop.sources));
  ASSERT_TRUE(draw_rows(rows.view(), 1, 3, std::vector<int32_t>{2}, 0, hop.offsets, hop.sources));
  EXPECT_EQ(list(hop.offsets), (std::vector<int32_t>{0, 3, 6, 9}));
  EXPECT_EQ(hop.sources.size(), 9u);
}

TEST(DrawRows, NamesThePositionOfAnIndexThatIsOutOfRange) {
  for (const int32_t bad : {20, -3}) {
    Rows rows = small_rows(20);
    rows.narrow[100] = bad;  // in row 13: positions 91 .. 104
    rows.wide[100] = bad;
    for (const bool wide : {false, true}) {
      for (const int fanout : {14, kAllNeighbours, 100}) {
        Hop hop;
        const Status drawn = draw_rows(rows.view(wide), 1, fanout, std::vector<int32_t>{1, 13, 2}, 0,
                                       hop.offsets, hop.sources);
        ASSERT_FALSE(drawn);
        EXPECT_EQ(drawn.error().cause, Cause::bad_data);
        EXPECT_EQ(drawn.error().message,
                  "position 100 of indices is " + std::to_string(bad) + ", but there are 20 nodes");
      }
    }
  }
}

TEST(DrawRows, RefusesNodesAndFanoutsThatAreOutOfRange) {
  const Rows rows = small_rows(10);
  for (const int fanout : {3, 100, kAllNeighbours}) {
    for (const int32_t node : {99, 110, -1}) {
      Hop hop;
      const Status drawn =
          draw_rows(rows.view(), 1, fanout, std::vector<int32_t>{100, node}, 100, hop.offsets, hop.sources);
      ASSERT_FALSE(drawn);
      EXPECT_EQ(drawn.error().message,
                "node " + std::to_string(node) + " is not one of the nodes 100 to 109");
    }
  }
  Hop hop;
  EXPECT_EQ(
      draw_rows(rows.view(), 1, 1025, std::vector<int32_t>{1}, 0, hop.offsets, hop.sources).error().message,
      "fan-out 1025: give -1 (all) or 0 to 1024");
  EXPECT_EQ(draw_rows(rows.view(), 1, -2, std::vector<int32_t>{1}, 0, hop.offsets, hop.sources).error().cause,
            Cause::bad_workflow);
}

TEST(DrawRows, RefusesMoreEdgesThanABlockHolds) {
  const Rows rows = small_rows(10);
  const std::vector<int32_t> nodes(2'200'000, 9);
  Hop hop;
  const Status drawn = draw_rows(rows.view(), 1, 1024, nodes, 0, hop.offsets, hop.sources);
  ASSERT_FALSE(drawn);
  EXPECT_EQ(drawn.error().cause, Cause::no_resources);
}

TEST(Buffer, KeepsItsContentAndAlignmentWhenItGrows) {
  Buffer<int32_t> buffer;
  for (int32_t i = 0; i < 10'000; ++i) buffer.push_back(i);
  for (int32_t i = 0; i < 10'000; ++i) ASSERT_EQ(buffer[static_cast<size_t>(i)], i);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
  const int32_t* data = buffer.data();
  buffer.clear();
  buffer.resize(10'000);
  EXPECT_EQ(buffer.data(), data);
}

}  // namespace
}  // namespace gnnflow
