// The same blocks and rows from any number of parts, mapped, served, or both.
#include <algorithm>
#include <cstring>
#include <numeric>

#include <fmt/format.h>

#include "tests/worker/graph_server/toy_servers.h"
#include "worker/graph_server/sharded_graph.h"

namespace gnnflow {
namespace {

const std::vector<int64_t> kSeeds{17, 0, 299, 42, 123, 124, 7, 256};

struct Layout {
  std::string method;
  int parts;
  int served;  // the last so many; the others are mapped
};

class AnyLayout : public testing::TestWithParam<Layout> {};

std::unique_ptr<GraphSource> open_layout(const Layout& layout, const fs::path& partition,
                                         ToyServers& served) {
  ShardOptions options{.partition = partition, .keys = make_key_pair().value()};
  served.allow({options.keys.public_key});
  for (int part = 0; part < layout.parts; ++part) {
    if (part < layout.parts - layout.served) {
      options.mapped.push_back(part);
    } else {
      served.start(part);
      options.servers.push_back(served.address(part));
    }
  }
  auto source = open_sharded_graph(options);
  EXPECT_TRUE(source) << source.error().message;
  return source ? std::move(*source) : nullptr;
}

TEST_P(AnyLayout, GivesTheSameBlocksAsTheWholeGraphInOriginalIds) {
  const TempDir folder;
  const fs::path partition = make_partition(folder, kServedToy, GetParam().parts, GetParam().method);
  ToyServers served(partition);
  const auto source = open_layout(GetParam(), partition, served);
  ASSERT_TRUE(source);
  for (const std::vector<int>& fanout : {std::vector<int>{15, 10, 5}, {3, 2}, {kAllNeighbours, 4}, {100}}) {
    for (const BatchKey& key : {BatchKey{1, 0, 0}, {1, 2, 345}, {9, 1, -1}}) {
      const Layers expected = sample_whole(folder / "graph", fanout, kSeeds, key);
      EXPECT_EQ(sample_parts(*source, partition, fanout, kSeeds, key, true), expected);
      EXPECT_EQ(sample_parts(*source, partition, fanout, kSeeds, key, false), expected);
    }
  }
  const SourceCounters counters = source->take_counters();
  EXPECT_EQ(counters.remote_nodes > 0, GetParam().served > 0);
  EXPECT_EQ(counters.local_nodes > 0, GetParam().served < GetParam().parts);
}

TEST_P(AnyLayout, GivesTheRowsOfItsNodesInOrder) {
  for (const bool sparse : {false, true}) {
    ToyOptions toy = kServedToy;
    toy.sparse = sparse;
    const TempDir folder;
    const fs::path partition = make_partition(folder, toy, GetParam().parts, GetParam().method);
    ToyServers served(partition);
    const auto source = open_layout(GetParam(), partition, served);
    ASSERT_TRUE(source);
    const PartitionDir opened = PartitionDir::open(partition).value();
    std::vector<int32_t> nodes;
    for (int64_t i = 0; i < 2000; ++i)
      nodes.push_back(static_cast<int32_t>(i * 7919 % toy.nodes));  // with repeats
    const int64_t stride = toy.columns + 4;
    std::vector<float> rows(nodes.size() * static_cast<size_t>(stride), -1);
    const Status got = source->rows(kNodeType, nodes, rows.data(), stride);
    ASSERT_TRUE(got) << got.error().message;
    for (size_t i = 0; i < nodes.size(); ++i) {
      const int64_t original = opened.original_of_new().integer(nodes[i]);
      for (int64_t c = 0; c < toy.columns; ++c) {
        const float expected = sparse ? ((original + c) % 3 == 0 ? 1.0f : 0.0f) : toy_feature(original, c);
        ASSERT_EQ(rows[i * static_cast<size_t>(stride) + static_cast<size_t>(c)], expected)
            << original << " " << c;
      }
      ASSERT_EQ(rows[i * static_cast<size_t>(stride) + static_cast<size_t>(toy.columns)], -1)
          << "written past a row";
    }
  }
}

std::string name_of_layout(const testing::TestParamInfo<Layout>& info) {
  return fmt::format("{}_{}_parts_{}_served", info.param.method, info.param.parts, info.param.served);
}

INSTANTIATE_TEST_SUITE_P(Layouts, AnyLayout,
                         testing::Values(Layout{"metis", 1, 0}, Layout{"metis", 1, 1}, Layout{"metis", 2, 0},
                                         Layout{"metis", 2, 1}, Layout{"metis", 2, 2}, Layout{"metis", 4, 0},
                                         Layout{"metis", 4, 2}, Layout{"metis", 4, 4}, Layout{"random", 2, 1},
                                         Layout{"random", 4, 3}, Layout{"random", 4, 0}),
                         name_of_layout);

TEST(ShardedGraph, SharesThePiecesOfAPartAmongItsServers) {
  const TempDir folder;
  const fs::path partition = make_partition(folder, kServedToy, 1, "metis");
  ToyServers one(partition), two(partition);
  const KeyPair keys = make_key_pair().value();
  one.allow({keys.public_key});
  two.allow({keys.public_key});
  one.start(0);
  two.start(0);
  auto source =
      open_sharded_graph({.partition = partition, .servers = {one.address(0), two.address(0)}, .keys = keys});
  ASSERT_TRUE(source) << source.error().message;
  std::vector<int32_t> nodes(100'000, 5);
  std::vector<float> rows(nodes.size() * 20);
  ASSERT_TRUE((*source)->rows(kNodeType, nodes, rows.data(), 20));
  EXPECT_GT(one.server(0).stats().get("rows").integer(), 0);
  EXPECT_GT(two.server(0).stats().get("rows").integer(), 0);
  EXPECT_EQ(std::memcmp(rows.data(), rows.data() + 99'999 * 20, 80), 0);
}

// In-degrees of the whole graph, by original id.
std::vector<int64_t> degrees_of(const fs::path& graph) {
  const GraphDir opened = GraphDir::open(graph).value();
  const auto indptr = opened.relation().indptr.as<int64_t>();
  std::vector<int64_t> degrees;
  for (size_t i = 0; i + 1 < indptr.size(); ++i) degrees.push_back(indptr[i + 1] - indptr[i]);
  return degrees;
}

TEST(ShardedGraph, AsksInHalvesForWhatIsTooLargeForOneReply) {
  const TempDir folder;
  const fs::path partition = make_partition(folder, kServedToy, 2, "metis");
  const std::vector<int64_t> degrees = degrees_of(folder / "graph");
  const int64_t most = *std::max_element(degrees.begin(), degrees.end());
  ToyServers served(partition);
  served.options.max_reply_bytes = (most + 2) * 4;  // just the largest node alone
  const auto source = open_layout({"metis", 2, 1}, partition, served);
  ASSERT_TRUE(source);
  std::vector<int64_t> seeds(static_cast<size_t>(kServedToy.nodes));
  std::iota(seeds.begin(), seeds.end(), int64_t{0});
  for (int round = 0; round < 2; ++round) {  // what was split once is used again
    const BatchKey key{1, round, 0};
    EXPECT_EQ(sample_parts(*source, partition, {kAllNeighbours}, seeds, key, true),
              sample_whole(folder / "graph", {kAllNeighbours}, seeds, key));
    EXPECT_EQ(sample_parts(*source, partition, {3}, seeds, key, true),
              sample_whole(folder / "graph", {3}, seeds, key));
  }
}

TEST(ShardedGraph, NamesTheNodeWhoseNeighboursAloneAreTooMany) {
  const TempDir folder;
  const fs::path partition = make_partition(folder, kServedToy, 1, "metis");
  const std::vector<int64_t> degrees = degrees_of(folder / "graph");
  const auto hub = std::max_element(degrees.begin(), degrees.end());
  ToyServers served(partition);
  served.options.max_reply_bytes = (*hub + 2) * 4 - 1;
  const auto source = open_layout({"metis", 1, 1}, partition, served);
  ASSERT_TRUE(source);
  std::vector<int32_t> nodes(static_cast<size_t>(kServedToy.nodes));
  std::iota(nodes.begin(), nodes.end(), 0);
  Neighbours drawn;
  const Status asked = source->neighbours({kRelation, 1, kAllNeighbours, nodes}, drawn);
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error().cause, Cause::no_resources);
  const std::string expected =
      fmt::format("has {} neighbours: a reply of {} bytes, at most {}; give a fan-out instead of -1", *hub,
                  (*hub + 2) * 4, (*hub + 2) * 4 - 1);
  EXPECT_NE(asked.error().message.find(expected), std::string::npos) << asked.error().message;
  if (std::count(degrees.begin(), degrees.end(), *hub) == 1) {
    EXPECT_NE(asked.error().message.find(fmt::format("node {} has", hub - degrees.begin())),
              std::string::npos)
        << asked.error().message;
  }
  // The connection is as good as before.
  EXPECT_TRUE(source->neighbours({kRelation, 1, 5, nodes}, drawn));
}

TEST(ShardedGraph, NeedsEveryPart) {
  const TempDir folder;
  const fs::path partition = make_partition(folder, kServedToy, 2, "random");
  const auto source = open_sharded_graph({.partition = partition, .mapped = {0}});
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().cause, Cause::unreachable);
  EXPECT_EQ(source.error().message, "part 1 is neither mapped here nor served by anybody");
  EXPECT_EQ(open_sharded_graph({.partition = partition, .mapped = {0, 2}}).error().message,
            "part 2 of a partition with 2 parts");
}

TEST(ShardedGraph, RefusesNodesRelationsAndTypesThatAreNotThere) {
  const TempDir folder;
  const fs::path partition = make_partition(folder, kServedToy, 2, "random");
  auto source = open_sharded_graph({.partition = partition, .mapped = {0, 1}});
  ASSERT_TRUE(source);
  Neighbours out;
  std::vector<float> rows(100);
  const std::vector<int32_t> good{1}, bad{300}, negative{-1};
  EXPECT_EQ((*source)->neighbours({kRelation, 1, 5, bad}, out).error().message,
            "node 300 of type 'node' is out of range: there are 300");
  EXPECT_EQ((*source)->rows(kNodeType, negative, rows.data(), 20).error().cause, Cause::bad_data);
  EXPECT_EQ((*source)->neighbours({"a.b.c", 1, 5, good}, out).error().message,
            "the partition has no relation 'a.b.c'");
  EXPECT_EQ((*source)->neighbours({kRelation, 1, 2000, good}, out).error().message,
            "fan-out 2000: give -1 (all) or 0 to 1024");
  EXPECT_EQ((*source)->rows("author", good, rows.data(), 20).error().message,
            "the partition has no node type 'author'");
}

TEST(ShardedGraph, SaysThatThereAreNoFeatures) {
  const TempDir folder;
  ToyOptions toy = kServedToy;
  toy.columns = 0;
  const fs::path partition = make_partition(folder, toy, 1, "metis");
  auto source = open_sharded_graph({.partition = partition, .mapped = {0}});
  ASSERT_TRUE(source);
  float row[1];
  EXPECT_EQ((*source)->rows(kNodeType, std::vector<int32_t>{1}, row, 1).error().message,
            "node type 'node' has no features");
}

// An index of a part's file is overwritten with one that no node has.
TEST(ShardedGraph, NamesFileAndPositionOfAnIndexThatIsOutOfRange) {
  const TempDir folder;
  const fs::path partition = make_partition(folder, kServedToy, 2, "random");
  const fs::path file = part_folder(partition, 1) / "edges/node.edge.node/indices.npy";
  std::string content = read_file(file).value();
  const int64_t position = 17;
  const int32_t wrong = 5000;
  const size_t header =
      10 + static_cast<unsigned char>(content[8]) + 256 * static_cast<unsigned char>(content[9]);
  std::memcpy(content.data() + header + static_cast<size_t>(position) * 4, &wrong, 4);
  ASSERT_TRUE(write_file_atomically(file, content));

  std::vector<int32_t> nodes;
  const PartitionDir opened = PartitionDir::open(partition).value();
  for (int64_t id = 0; id < opened.ranges().count(); ++id) nodes.push_back(static_cast<int32_t>(id));
  Neighbours out;
  const std::string wanted = file.string() + ": position 17 of indices is 5000, but there are 300 nodes";

  auto mapped = open_sharded_graph({.partition = partition, .mapped = {0, 1}});
  ASSERT_TRUE(mapped);
  const Status here = (*mapped)->neighbours({kRelation, 1, kAllNeighbours, nodes}, out);
  ASSERT_FALSE(here);
  EXPECT_EQ(here.error().message, wanted);
  EXPECT_EQ(exit_code(here.error().cause), 12);

  ToyServers served(partition);
  served.start(1);
  const KeyPair keys = make_key_pair().value();
  served.allow({keys.public_key});
  auto remote = open_sharded_graph(
      {.partition = partition, .mapped = {0}, .servers = {served.address(1)}, .keys = keys});
  ASSERT_TRUE(remote);
  const Status there = (*remote)->neighbours({kRelation, 1, kAllNeighbours, nodes}, out);
  ASSERT_FALSE(there);
  EXPECT_EQ(there.error().message,
            fmt::format("graph server of part 1 at 127.0.0.1:{}: {}", served.address(1).port, wanted));
  EXPECT_EQ(exit_code(there.error().cause), 12);
  std::vector<float> rows(nodes.size() * 20);
  EXPECT_TRUE((*remote)->rows(kNodeType, nodes, rows.data(), 20)) << "the server goes on";
}

}  // namespace
}  // namespace gnnflow
