// In-edges: the order that the format asks for, duplicates, self loops, and slices that change nothing.
#include "worker/ingest/in_edges.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/support/toy_graph.h"

namespace gnnflow {
namespace {

struct Written {
  std::vector<int64_t> indptr, sources, rows;
  bool operator==(const Written&) const = default;
};

std::vector<int64_t> integers(const Array& array) {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < array.rows(); ++i) out.push_back(array.integer(i));
  return out;
}

Written sorted(std::vector<int32_t> sources, std::vector<int32_t> destinations, int64_t nodes,
               InEdgeOptions options) {
  TempDir dir;
  GraphWriter writer = *GraphWriter::create(dir / "g");
  writer.index().nodes["node"] = nodes;
  const EdgeList edges{IdView(std::span<const int32_t>(sources)),
                       IdView(std::span<const int32_t>(destinations)), nodes};
  const Status status = write_in_edges(edges, options, kRelation, writer, [](const Progress&) {});
  EXPECT_TRUE(status) << status.error().message;
  EXPECT_TRUE(writer.commit());
  auto graph = GraphDir::open(dir / "g");
  EXPECT_TRUE(graph) << graph.error().message;
  const RelationArrays& relation = graph->relation();
  return {integers(relation.indptr), integers(relation.indices), integers(relation.edge_ids)};
}

TEST(InEdges, StandByRowForwardBeforeReverse) {
  // Rows: 0: 2->0, 1: 0->1, 2: 1->0 (the reverse of row 1: a duplicate), 3: 2->1.
  const Written got = sorted({2, 0, 1, 2}, {0, 1, 0, 1}, 3, {});
  EXPECT_EQ(got.indptr, (std::vector<int64_t>{0, 2, 4, 6}));
  EXPECT_EQ(got.sources, (std::vector<int64_t>{2, 1, 0, 2, 0, 1}));
  EXPECT_EQ(got.rows, (std::vector<int64_t>{0, 1, 1, 3, 0, 3}));
}

TEST(InEdges, OfADirectedGraphAreAllKept) {
  const Written got = sorted({2, 2, 1}, {0, 0, 1}, 3, {.undirected = false});
  EXPECT_EQ(got.indptr, (std::vector<int64_t>{0, 2, 3, 3}));
  EXPECT_EQ(got.sources, (std::vector<int64_t>{2, 2, 1}));
  EXPECT_EQ(got.rows, (std::vector<int64_t>{0, 1, 2}));
}

TEST(InEdges, KeepDropOrAddSelfLoops) {
  const std::vector<int32_t> sources{1, 0, 1}, destinations{1, 1, 0};
  EXPECT_EQ(sorted(sources, destinations, 3, {.self_loops = SelfLoops::keep}).sources,
            (std::vector<int64_t>{1, 1, 0}));
  EXPECT_EQ(sorted(sources, destinations, 3, {.self_loops = SelfLoops::drop}).sources,
            (std::vector<int64_t>{1, 0}));
  // Added ones come last, have rows of their own (3 + node), and are not added where there is one.
  const Written added = sorted(sources, destinations, 3, {.self_loops = SelfLoops::add});
  EXPECT_EQ(added.sources, (std::vector<int64_t>{1, 0, 1, 0, 2}));
  EXPECT_EQ(added.rows, (std::vector<int64_t>{1, 3, 0, 1, 5}));
  const Written directed =
      sorted(sources, destinations, 3, {.undirected = false, .self_loops = SelfLoops::add});
  EXPECT_EQ(directed.sources, (std::vector<int64_t>{1, 0, 1, 0, 2}));
}

TEST(InEdges, AgreeWithPlainListsAndDoNotDependOnSlices) {
  const ToyOptions toy{.nodes = 60, .pairs = 400};
  std::vector<int32_t> sources, destinations;
  for (const auto& [u, v] : toy_pairs(toy)) {
    sources.push_back(static_cast<int32_t>(u));
    destinations.push_back(static_cast<int32_t>(v));
    if (sources.size() % 7 == 0) {  // an edge and its reverse again, in later rows
      sources.push_back(static_cast<int32_t>(v));
      destinations.push_back(static_cast<int32_t>(u));
    }
  }
  Written plain;
  std::vector<std::vector<std::pair<int64_t, int64_t>>> rows(60);
  const auto add = [&](int32_t to, int32_t from, size_t row) {
    auto& list = rows[static_cast<size_t>(to)];
    for (const auto& entry : list) {
      if (entry.first == from) return;
    }
    list.emplace_back(from, static_cast<int64_t>(row));
  };
  for (size_t i = 0; i < sources.size(); ++i) {
    add(destinations[i], sources[i], i);
    add(sources[i], destinations[i], i);
  }
  plain.indptr.push_back(0);
  for (const auto& list : rows) {
    for (const auto& [from, row] : list) {
      plain.sources.push_back(from);
      plain.rows.push_back(row);
    }
    plain.indptr.push_back(static_cast<int64_t>(plain.sources.size()));
  }
  EXPECT_EQ(sorted(sources, destinations, 60, {}), plain);
  EXPECT_EQ(sorted(sources, destinations, 60, {.entries_at_once = 100}), plain);
}

TEST(InEdges, RefuseARowThatDoesNotFitIntoMemory) {
  TempDir dir;
  GraphWriter writer = *GraphWriter::create(dir / "g");
  const std::vector<int32_t> sources{0, 1, 2}, destinations{3, 3, 3};
  const EdgeList edges{IdView(std::span<const int32_t>(sources)),
                       IdView(std::span<const int32_t>(destinations)), 4};
  const Status status =
      write_in_edges(edges, {.entries_at_once = 2}, kRelation, writer, [](const Progress&) {});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().cause, Cause::no_resources);
  EXPECT_EQ(status.error().message, "node 3 has 3 in-edges, more than fit into memory at once");
}

}  // namespace
}  // namespace gnnflow
