// Partitions: every node and edge once, the input again when put together, the same bytes for a seed, and
// refusals.
#include "worker/partition/partition.h"

#include <gtest/gtest.h>

#include "tests/support/data_sets.h"
#include "tests/support/temp_dir.h"
#include "tests/support/toy_graph.h"
#include "worker/ingest/generate.h"
#include "worker/ingest/import.h"

namespace gnnflow {
namespace {

void ignore(const Progress&) {}

Result<PartitionDir> parted(const fs::path& graph, const fs::path& target, Json options) {
  TRY(auto read, PartitionOptions::from_json(options));
  TRY(partition_graph(graph, target, read, ignore));
  return PartitionDir::open(target);
}

template <typename T>
std::vector<T> values(const Array& array) {
  const auto all = array.as<T>();
  return {all.begin(), all.end()};
}

// The graph put together from its parts, row by row in original ids.
struct Whole {
  std::vector<int64_t> offsets{0};
  std::vector<int32_t> sources, rows;
  std::vector<float> features;
  std::vector<int8_t> labels;
  std::vector<int64_t> sets[3];
};

Whole put_together(const PartitionDir& partition) {
  std::vector<GraphDir> parts;
  for (int p = 0; p < partition.index().parts; ++p) {
    auto part = partition.open_part(p);
    EXPECT_TRUE(part) << part.error().message;
    parts.push_back(std::move(*part));
  }
  Whole whole;
  const Ranges& ranges = partition.ranges();
  for (int64_t original = 0; original < ranges.count(); ++original) {
    const int64_t id = partition.new_of_original().integer(original);
    const int owner = ranges.owner_of(id);
    const GraphDir& part = parts[static_cast<size_t>(owner)];
    const auto row = static_cast<size_t>(id - ranges.begin[static_cast<size_t>(owner)]);
    EXPECT_EQ(part.node().original.integer(static_cast<int64_t>(row)), original);
    const auto offsets = part.relation().indptr.as<int64_t>();
    EXPECT_EQ(part.node().degree.integer(static_cast<int64_t>(row)), offsets[row + 1] - offsets[row]);
    for (int64_t at = offsets[row]; at < offsets[row + 1]; ++at) {
      const int64_t source = partition.original_of_new().integer(part.relation().ids()[at]);
      whole.sources.push_back(static_cast<int32_t>(source));
      whole.rows.push_back(static_cast<int32_t>(part.relation().edge_ids.integer(at)));
    }
    whole.offsets.push_back(static_cast<int64_t>(whole.sources.size()));
    if (part.node().features.present()) {
      const auto columns = static_cast<size_t>(part.node().feature_columns);
      const auto features = part.node().features.as<float>().subspan(row * columns, columns);
      whole.features.insert(whole.features.end(), features.begin(), features.end());
    }
    whole.labels.push_back(part.node().labels.as<int8_t>()[row]);
  }
  for (const GraphDir& part : parts) {
    const Split& split = part.node().splits.at("default");
    const Array* lists[] = {&split.train, &split.val, &split.test};
    for (int s = 0; s < 3; ++s) {
      for (int64_t i = 0; i < lists[s]->rows(); ++i) {
        whole.sets[s].push_back(part.node().original.integer(lists[s]->integer(i)));
      }
    }
  }
  for (auto& set : whole.sets) std::sort(set.begin(), set.end());
  return whole;
}

void expect_same(const Whole& whole, const GraphDir& graph) {
  EXPECT_EQ(whole.offsets, values<int64_t>(graph.relation().indptr));
  EXPECT_EQ(whole.sources, values<int32_t>(graph.relation().indices));
  EXPECT_EQ(whole.rows, values<int32_t>(graph.relation().edge_ids));
  if (graph.node().features.present()) {
    EXPECT_EQ(whole.features, values<float>(graph.node().features));
  }
  EXPECT_EQ(whole.labels, values<int8_t>(graph.node().labels));
  const Split& split = graph.node().splits.at("default");
  const Array* lists[] = {&split.train, &split.val, &split.test};
  for (int s = 0; s < 3; ++s) {
    ASSERT_EQ(static_cast<int64_t>(whole.sets[s].size()), lists[s]->rows());
    for (int64_t i = 0; i < lists[s]->rows(); ++i)
      EXPECT_EQ(whole.sets[s][static_cast<size_t>(i)], lists[s]->integer(i));
  }
}

std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file())
      files[fs::relative(entry.path(), folder).string()] = *read_file(entry.path());
  }
  return files;
}

struct Method {
  const char* method;
  int parts;
};

class Methods : public testing::TestWithParam<Method> {
 protected:
  Json options() const {
    return Json::Object{{"method", GetParam().method},
                        {"parts", GetParam().parts},
                        {"seed", 7},
                        {"balance", Json::Array{"nodes", "train"}}};
  }
};

TEST_P(Methods, PartsTogetherAreTheInputBitForBit) {
  TempDir dir;
  const GraphDir graph = toy_graph(dir / "g", {.nodes = 200, .pairs = 600});
  auto partition = parted(dir / "g", dir / "p", options());
  ASSERT_TRUE(partition) << partition.error().message;
  expect_same(put_together(*partition), graph);
}

TEST_P(Methods, MapsAreInverseAndAscendInsideAPart) {
  TempDir dir;
  toy_graph(dir / "g", {.nodes = 200, .pairs = 600});
  auto partition = parted(dir / "g", dir / "p", options());
  ASSERT_TRUE(partition) << partition.error().message;
  EXPECT_EQ(partition->ranges().parts(), GetParam().parts);
  auto assignment = Array::open(dir / "p/assignment/node.npy");
  for (int64_t id = 0; id < 200; ++id) {
    const int64_t original = partition->original_of_new().integer(id);
    EXPECT_EQ(partition->new_of_original().integer(original), id);
    EXPECT_EQ(assignment->integer(original), partition->ranges().owner_of(id));
    if (id > 0 && partition->ranges().owner_of(id) == partition->ranges().owner_of(id - 1)) {
      EXPECT_GT(original, partition->original_of_new().integer(id - 1));
    }
  }
}

TEST_P(Methods, GiveTheSameBytesForASeed) {
  TempDir dir;
  toy_graph(dir / "g", {.nodes = 200, .pairs = 600});
  ASSERT_TRUE(parted(dir / "g", dir / "1", options()));
  std::srand(12345);  // METIS draws from it: what others did to it must not matter
  ASSERT_TRUE(parted(dir / "g", dir / "2", options()));
  EXPECT_EQ(contents(dir / "1"), contents(dir / "2"));
}

TEST_P(Methods, CarrySparseFeatures) {
  TempDir dir;
  const GraphDir graph = toy_graph(dir / "g", {.columns = 8, .sparse = true});
  auto partition = parted(dir / "g", dir / "p", options());
  ASSERT_TRUE(partition) << partition.error().message;
  for (int p = 0; p < GetParam().parts; ++p) {
    const GraphDir part = *partition->open_part(p);
    EXPECT_EQ(part.node().feature_columns, 8);
    const auto offsets = part.node().feature_indptr.as<int64_t>();
    for (int64_t row = 0; row < part.node().count; ++row) {
      const int64_t original = part.node().original.integer(row);
      std::vector<int64_t> columns, expected;
      for (int64_t at = offsets[static_cast<size_t>(row)]; at < offsets[static_cast<size_t>(row) + 1]; ++at) {
        columns.push_back(part.node().feature_indices.integer(at));
      }
      for (int64_t c = 0; c < 8; ++c) {
        if ((original + c) % 3 == 0) expected.push_back(c);
      }
      EXPECT_EQ(columns, expected);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Methods,
                         testing::Values(Method{"metis", 1}, Method{"metis", 2}, Method{"metis", 5},
                                         Method{"random", 2}, Method{"random", 7}),
                         [](const auto& row) {
                           return std::string(row.param.method) + std::to_string(row.param.parts);
                         });

TEST(Partition, OfTheTinyPresetIsTheGoldenOne) {
  TempDir dir;
  ASSERT_TRUE(generate_graph(*GenerateOptions::from_json(Json::Object{{"preset", "tiny"}, {"seed", 1}}),
                             dir / "g", 2, ignore));
  auto partition = parted(dir / "g", dir / "p", Json::Object{{"parts", 2}, {"seed", 7}});
  ASSERT_TRUE(partition) << partition.error().message;
  EXPECT_EQ(partition->index().digest(), "3417e12eb7a7f0ac0c5cb06e33bbaf0a");
  expect_same(put_together(*partition), *GraphDir::open(dir / "g"));
}

TEST(Partition, BalancesWhatItIsAskedTo) {
  TempDir dir;
  ASSERT_TRUE(generate_graph(*GenerateOptions::from_json(Json::Object{{"seed", 2}}), dir / "g", 2, ignore));
  for (const int parts : {2, 4}) {
    auto partition = parted(dir / "g", dir / std::to_string(parts), Json::Object{{"parts", parts}});
    ASSERT_TRUE(partition) << partition.error().message;
    for (const char* what : {"nodes", "edges", "train"}) {
      EXPECT_LE(partition->index().report.get("balance").number_or(what, 9), 1.10) << what << " of " << parts;
    }
  }
}

TEST(Partition, CutsLessThanChance) {
  TempDir dir;
  ASSERT_TRUE(import_graph(cora_folder(), dir / "g", {}, ignore));
  const auto metis = parted(dir / "g", dir / "m", Json::Object{{"parts", 2}});
  const auto random = parted(dir / "g", dir / "r", Json::Object{{"parts", 2}, {"method", "random"}});
  EXPECT_EQ(metis->index().report.integer_or("pairs", 0), 5'278);
  EXPECT_LT(metis->index().report.integer_or("edge_cut", 0), 400);
  EXPECT_NEAR(random->index().report.number_or("edge_cut_share", 0), 0.5, 0.05);
  EXPECT_EQ(metis->index().report.integer_or("remote_edges", 0),
            2 * metis->index().report.integer_or("edge_cut", 0));
}

TEST(Partition, TakesDirectedGraphs) {
  TempDir dir;
  ASSERT_TRUE(import_graph(cora_folder(), dir / "g", {.undirected = false}, ignore));
  auto partition = parted(dir / "g", dir / "p", Json::Object{{"parts", 3}});
  ASSERT_TRUE(partition) << partition.error().message;
  EXPECT_EQ(partition->index().report.integer_or("pairs", 0), 5'278);
  EXPECT_EQ(partition->index().edges.at("node.edge.node"), 5'278);
}

TEST(Partition, RefusesMorePartsThanNodes) {
  TempDir dir;
  toy_graph(dir / "g");
  auto partition = parted(dir / "g", dir / "p", Json::Object{{"parts", 41}});
  ASSERT_FALSE(partition);
  EXPECT_EQ(partition.error().cause, Cause::bad_workflow);
  EXPECT_EQ(partition.error().message, "41 parts are more than the 40 nodes of " + (dir / "g").string());
  EXPECT_FALSE(fs::exists(dir / "p"));
}

TEST(Partition, RefusesToBalanceWhatThereIsNot) {
  TempDir dir;
  ASSERT_TRUE(generate_graph(*GenerateOptions::from_json(Json::Object{{"nodes", 300}, {"train_share", 0.0}}),
                             dir / "g", 1, ignore));
  auto partition = parted(dir / "g", dir / "p", Json::Object{{"parts", 2}});
  ASSERT_FALSE(partition);
  EXPECT_EQ(partition.error().message,
            "partitioning " + (dir / "g").string() +
                ": nothing to balance: no node has any of 'train'; leave it out of 'balance'");
}

TEST(Partition, RefusesWhenMetisWouldNotFitIntoMemory) {
  TempDir dir;
  ASSERT_TRUE(generate_graph(*GenerateOptions::from_json(Json::Object{}), dir / "g", 1, ignore));
  auto partition = parted(dir / "g", dir / "p", Json::Object{{"parts", 2}, {"memory", "64KiB"}});
  ASSERT_FALSE(partition);
  EXPECT_EQ(partition.error().cause, Cause::no_resources);
  EXPECT_NE(partition.error().message.find("METIS would take about 1.4 MiB for 2000 nodes"),
            std::string::npos)
      << partition.error().message;
  EXPECT_NE(partition.error().message.find("there are 64.0 KiB"), std::string::npos)
      << partition.error().message;
  EXPECT_FALSE(fs::exists(dir / "p"));
}

TEST(Partition, RefusesAPlaceThatIsTakenAndLeavesNothingBehind) {
  TempDir dir;
  toy_graph(dir / "g");
  dir.file("p/x", "");
  auto partition = parted(dir / "g", dir / "p", Json::Object{{"parts", 2}});
  ASSERT_FALSE(partition);
  EXPECT_EQ(partition.error().cause, Cause::bad_usage);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 2);
}

TEST(Partition, OfNothingIsNotFound) {
  TempDir dir;
  auto partition = parted(dir / "no", dir / "p", Json::Object{});
  ASSERT_FALSE(partition);
  EXPECT_EQ(partition.error().cause, Cause::not_found);
}

TEST(Partition, NamesTheIndexThatIsOutOfRange) {
  TempDir dir;
  GraphIndex index = toy_graph(dir / "g").index();
  const std::string path = "edges/node.edge.node/indices.npy";
  auto ids = values<int32_t>(*Array::open(dir / "g" / path));
  ids[17] = 40;
  fs::remove(dir / "g" / path);
  index.arrays[path] = *write_array(dir / "g", path, Dtype::i4, {static_cast<int64_t>(ids.size())},
                                    std::span<const int32_t>(ids));
  ASSERT_TRUE(GraphWriter::write_index(dir / "g", index));
  auto partition = parted(dir / "g", dir / "p", Json::Object{{"parts", 2}});
  ASSERT_FALSE(partition);
  EXPECT_EQ(partition.error().cause, Cause::bad_data);
  EXPECT_EQ(partition.error().message,
            (dir / "g" / path).string() + ": id 40 at position 17 is not below the 40 nodes");
}

TEST(Partition, NamesTheIdOfASplitThatIsOutOfOrder) {
  TempDir dir;
  GraphIndex index = toy_graph(dir / "g").index();
  const std::string path = "split/node/default/val.npy";
  fs::remove(dir / "g" / path);
  const std::vector<int32_t> ids{3, 9, 5};
  index.arrays[path] = *write_array(dir / "g", path, Dtype::i4, {3}, std::span<const int32_t>(ids));
  ASSERT_TRUE(GraphWriter::write_index(dir / "g", index));
  const auto made = partition_graph(dir / "g", dir / "p", {}, ignore);
  ASSERT_FALSE(made);
  EXPECT_EQ(exit_code(made.error().cause), 12);
  EXPECT_EQ(made.error().message,
            (dir / "g" / path).string() + ": id 5 at position 2 is not above the one before it");
  EXPECT_FALSE(fs::exists(dir / "p"));
}

TEST(PartitionOptionsReading, NamesTheOptionThatIsWrong) {
  const std::pair<Json, std::string> rows[] = {
      {Json::Object{{"parts", 0}}, "'parts' is 0, not 1 to 4096"},
      {Json::Object{{"method", "magic"}}, "'method' is 'magic', not one of metis, random"},
      {Json::Object{{"balance", Json::Array{"nodes", "weight"}}}, "'balance' has 'weight', not one of"},
      {Json::Object{{"balance", Json::Array{"nodes", "nodes"}}}, "'balance' has 'nodes' twice"},
      {Json::Object{{"imbalance", 1.0}}, "'imbalance' is 1, not above 1 and up to 10"},
      {Json::Object{{"objective", "volume"}}, "'objective' is 'volume', not one of cut"},
      {Json::Object{{"memory", "much"}}, "'memory' is 'much', not a size such as 8GiB"},
      {Json::Object{{"halo", 1}}, "'halo'"},
  };
  for (const auto& [json, message] : rows) {
    auto options = PartitionOptions::from_json(json);
    ASSERT_FALSE(options) << json.dump();
    EXPECT_EQ(options.error().cause, Cause::bad_workflow);
    EXPECT_NE(options.error().message.find(message), std::string::npos) << options.error().message;
  }
}

}  // namespace
}  // namespace gnnflow
