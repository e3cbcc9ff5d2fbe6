// The generator: the same bytes for a seed, the numbers that its presets promise, labels that need the graph.
#include "worker/ingest/generate.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

void ignore(const Progress&) {}

GenerateOptions options_of(Json json) {
  auto options = GenerateOptions::from_json(json);
  EXPECT_TRUE(options) << options.error().message;
  return *options;
}

std::string refusal(Json json) {
  auto options = GenerateOptions::from_json(json);
  EXPECT_FALSE(options);
  EXPECT_EQ(options.error().cause, Cause::bad_workflow);
  return options.error().message;
}

TEST(Generator, MakesTheGoldenTinyGraph) {
  TempDir dir;
  auto index =
      generate_graph(options_of(Json::Object{{"preset", "tiny"}, {"seed", 1}}), dir / "g", 1, ignore);
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_EQ(index->digest(), "d0c2d211d8d611b15d5d86d84d4fd66f");
  EXPECT_EQ(index->edges.at("node.edge.node"), 23'454);
}

TEST(Generator, GivesTheSameBytesWithAnyNumberOfThreads) {
  TempDir dir;
  const GenerateOptions options =
      options_of(Json::Object{{"nodes", 3'001}, {"seed", 5}, {"label_noise", 0.2}});
  for (int threads = 1; threads <= 3; ++threads) {
    auto index = generate_graph(options, dir / std::to_string(threads), threads, ignore);
    ASSERT_TRUE(index) << index.error().message;
    EXPECT_EQ(*read_file(dir / std::to_string(threads) / "graph.json"), *read_file(dir / "1/graph.json"));
  }
}

TEST(Generator, GivesAnotherGraphForAnotherSeed) {
  TempDir dir;
  const auto one = generate_graph(options_of(Json::Object{{"seed", 1}}), dir / "1", 1, ignore);
  const auto two = generate_graph(options_of(Json::Object{{"seed", 2}}), dir / "2", 1, ignore);
  EXPECT_NE(one->digest(), two->digest());
}

TEST(Generator, MakesSimpleUndirectedGraphsOfTheDegreeAskedFor) {
  TempDir dir;
  const GenerateOptions options =
      options_of(Json::Object{{"nodes", 5'000}, {"average_degree", 20}, {"classes", 4}});
  ASSERT_TRUE(generate_graph(options, dir / "g", 2, ignore));
  const GraphDir graph = *GraphDir::open(dir / "g");
  const auto offsets = graph.relation().indptr.as<int64_t>();
  const auto sources = graph.relation().indices.as<int32_t>();
  const auto rows = graph.relation().edge_ids.as<int32_t>();
  std::map<std::pair<int64_t, int64_t>, int32_t> row_of;
  int64_t largest = 0;
  for (size_t to = 0; to < 5'000; ++to) {
    largest = std::max(largest, offsets[to + 1] - offsets[to]);
    for (auto at = static_cast<size_t>(offsets[to]); at < static_cast<size_t>(offsets[to + 1]); ++at) {
      EXPECT_NE(sources[at], static_cast<int32_t>(to));
      EXPECT_TRUE(row_of.emplace(std::pair(sources[at], to), rows[at]).second) << "an edge stands twice";
    }
  }
  for (const auto& [edge, row] : row_of) {
    const auto reverse = row_of.find({edge.second, edge.first});
    ASSERT_NE(reverse, row_of.end());
    EXPECT_EQ(reverse->second, row) << "an edge and its reverse share the row";
  }
  EXPECT_NEAR(static_cast<double>(row_of.size()) / 5'000, 20, 2.5);
  EXPECT_GT(largest, 100);  // power-law: hubs of several times the mean
}

// Naive Bayes on the true means would need them; the share of neighbours of the own class says enough: with
// it a vote of neighbours finds the label, while features alone overlap (docs/formats.md has what models
// get).
TEST(Generator, PutsLabelsWhereNeighboursTellThem) {
  TempDir dir;
  ASSERT_TRUE(generate_graph(options_of(Json::Object{{"seed", 3}}), dir / "g", 2, ignore));
  const GraphDir graph = *GraphDir::open(dir / "g");
  const auto offsets = graph.relation().indptr.as<int64_t>();
  const auto sources = graph.relation().indices.as<int32_t>();
  int votes_right = 0;
  for (int64_t i = 0; i < graph.node().count; ++i) {
    int votes[3] = {};
    for (int64_t at = offsets[static_cast<size_t>(i)]; at < offsets[static_cast<size_t>(i) + 1]; ++at) {
      ++votes[graph.node().labels.integer(sources[static_cast<size_t>(at)])];
    }
    const int64_t label = graph.node().labels.integer(i);
    votes_right += votes[label] >= *std::max_element(votes, votes + 3) ? 1 : 0;
  }
  EXPECT_GT(votes_right, 0.9 * static_cast<double>(graph.node().count));
}

TEST(Generator, SplitsAllNodesInTheSharesAskedFor) {
  TempDir dir;
  const GenerateOptions options =
      options_of(Json::Object{{"nodes", 20'000}, {"train_share", 0.2}, {"val_share", 0.1}});
  ASSERT_TRUE(generate_graph(options, dir / "g", 2, ignore));
  const GraphDir graph = *GraphDir::open(dir / "g");
  const Split& split = graph.node().splits.at("default");
  EXPECT_NEAR(static_cast<double>(split.train.rows()), 4'000, 200);
  EXPECT_NEAR(static_cast<double>(split.val.rows()), 2'000, 150);
  EXPECT_EQ(split.train.rows() + split.val.rows() + split.test.rows(), 20'000);
}

TEST(Generator, NamesTheOptionThatIsWrong) {
  EXPECT_EQ(refusal(Json::Object{{"preset", "huge"}}),
            "generate: no preset 'huge'; there are tiny, products-small");
  EXPECT_NE(refusal(Json::Object{{"node", 3}}).find("'node'"), std::string::npos);
  EXPECT_EQ(refusal(Json::Object{{"nodes", 0}}), "generate: 'nodes' is 0, not 1 to 2147483648");
  EXPECT_EQ(refusal(Json::Object{{"homophily", 1.5}}), "generate: 'homophily' is 1.5, not 0 to 1");
  EXPECT_EQ(refusal(Json::Object{{"train_share", 0.7}, {"val_share", 0.5}}),
            "generate: 'train_share' 0.7 and 'val_share' 0.5 are no shares of the nodes");
  EXPECT_NE(refusal(Json::Object{{"average_degree", 1e9}}).find("'average_degree'"), std::string::npos);
}

TEST(Generator, RefusesAPlaceThatIsTaken) {
  TempDir dir;
  dir.file("g/x", "");
  auto index = generate_graph(options_of(Json::Object{}), dir / "g", 1, ignore);
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().cause, Cause::bad_usage);
}

TEST(Generator, MakesTheSmallestGraph) {
  TempDir dir;
  auto index = generate_graph(options_of(Json::Object{{"nodes", 2}, {"classes", 1}, {"average_degree", 1}}),
                              dir / "g", 2, ignore);
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_TRUE(GraphDir::open(dir / "g"));
}

}  // namespace
}  // namespace gnnflow
