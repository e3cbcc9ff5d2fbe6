// Graph directories: round trips, what opening refuses, and that a directory is whole or not there.
#include "common/graph/graph_dir.h"

#include <fstream>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/support/toy_graph.h"

namespace gnnflow {
namespace {

std::string message_of(const Result<GraphDir>& graph) { return graph ? "opened" : graph.error().message; }

int folders_in(const fs::path& folder) {
  return static_cast<int>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

// Replaces one array by another and the index with it, so that only the content is wrong.
template <typename T>
void replace_array(const fs::path& folder, const std::string& path, Dtype dtype, std::vector<T> values) {
  GraphIndex index = *GraphIndex::from_json(*Json::parse(*read_file(folder / "graph.json")), "test");
  fs::remove(folder / path);
  index.arrays[path] =
      *write_array(folder, path, dtype, {static_cast<int64_t>(values.size())}, std::span<const T>(values));
  ASSERT_TRUE(GraphWriter::write_index(folder, index));
}

TEST(GraphDirectory, OpensWithWhatWasWritten) {
  TempDir dir;
  const ToyOptions options;
  const GraphDir graph = toy_graph(dir / "g", options);
  EXPECT_EQ(graph.node().count, 40);
  EXPECT_EQ(graph.node().feature_columns, 3);
  EXPECT_EQ(graph.node().classes, 4);
  EXPECT_EQ(graph.node().features.as<float>()[5 * 3 + 2], toy_feature(5, 2));
  EXPECT_EQ(graph.node().splits.at("default").train.rows(), 16);
  const auto pairs = toy_pairs(options);
  EXPECT_EQ(graph.relation().indices.rows(), static_cast<int64_t>(2 * pairs.size()));
  EXPECT_EQ(graph.index().edges.at("node.edge.node"), static_cast<int64_t>(2 * pairs.size()));
}

TEST(GraphDirectory, OpensWithSparseFeatures) {
  TempDir dir;
  const GraphDir graph = toy_graph(dir / "g", {.columns = 7, .sparse = true});
  EXPECT_EQ(graph.node().feature_columns, 7);
  EXPECT_FALSE(graph.node().features.present());
  EXPECT_EQ(graph.node().feature_indptr.rows(), 41);
  EXPECT_FALSE(graph.node().feature_values.present());
}

TEST(GraphDirectory, HasTheSameBytesAndDigestEachTime) {
  TempDir dir;
  const GraphDir one = toy_graph(dir / "one");
  const GraphDir two = toy_graph(dir / "two");
  EXPECT_EQ(one.index().digest(), two.index().digest());
  EXPECT_EQ(*read_file(dir / "one/graph.json"), *read_file(dir / "two/graph.json"));
  const GraphDir other = toy_graph(dir / "other", {.seed = 2});
  EXPECT_NE(one.index().digest(), other.index().digest());
}

TEST(GraphDirectory, DigestLeavesProvenanceOut) {
  TempDir dir;
  GraphIndex index = toy_graph(dir / "g").index();
  const std::string before = index.digest();
  index.provenance = Json::Object{{"command", "another"}};
  EXPECT_EQ(index.digest(), before);
}

TEST(GraphDirectory, IndexReadsBackAsWritten) {
  TempDir dir;
  const GraphIndex index = toy_graph(dir / "g").index();
  auto again = GraphIndex::from_json(*Json::parse(index.to_json().dump()), "graph.json");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->to_json(), index.to_json());
  EXPECT_EQ(again->digest(), index.digest());
}

TEST(GraphDirectory, NamesTheIdOfASplitThatIsNoNodeOrOutOfOrder) {
  TempDir dir;
  toy_graph(dir / "g");
  const std::string path = "split/node/default/train.npy";
  const auto with = [&](std::vector<int32_t> ids) {
    replace_array(dir / "g", path, Dtype::i4, std::move(ids));
    return message_of(GraphDir::open(dir / "g"));
  };
  const std::string at = (dir / "g" / path).string();
  EXPECT_EQ(with({3, 40}), at + ": id 40 at position 1 is not below 40");
  EXPECT_EQ(with({-1, 3}), at + ": id -1 at position 0 is not below 40");
  EXPECT_EQ(with({3, 9, 5}), at + ": id 5 at position 2 is not above the one before it");
  EXPECT_EQ(with({3, 3}), at + ": id 3 at position 1 is not above the one before it");
  EXPECT_EQ(with({}), "opened");
}

TEST(GraphDirectory, RefusesCountsAndColumnsThatNoMachineHolds) {
  TempDir dir;
  const Json whole = toy_graph(dir / "g", {.columns = 7, .sparse = true}).index().to_json();
  const auto opened_with = [&](std::string_view table, int64_t count) {
    Json json = whole;
    json[table]["node"] = count;
    EXPECT_TRUE(write_file_atomically(dir / "g/graph.json", json.dump()));
    const auto graph = GraphDir::open(dir / "g");
    EXPECT_TRUE(graph || graph.error().cause == Cause::bad_data);
    return message_of(graph);
  };
  // Without node arrays nothing else tells how many nodes there are.
  Json bare = whole;
  for (const auto& [path, info] : whole.get("arrays").object()) {
    if (!path.starts_with("edges/")) bare["arrays"].object().erase(path);
  }
  bare["feature_columns"] = Json::Object{};
  bare["nodes"]["node"] = INT64_MAX;
  ASSERT_TRUE(write_file_atomically(dir / "g/graph.json", bare.dump()));
  EXPECT_EQ(message_of(GraphDir::open(dir / "g")),
            (dir / "g/graph.json").string() + ": 'node' is 9223372036854775807, not a number of things");
  EXPECT_EQ(
      opened_with("feature_columns", int64_t{1} << 40),
      (dir / "g").string() + ": the index tells of 1099511627776 feature columns, more than fit 31 bits");
  EXPECT_EQ(opened_with("feature_columns", 7), "opened");
}

TEST(GraphDirectory, WithoutIndexIsNone) {
  TempDir dir;
  auto graph = GraphDir::open(dir.path());
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().cause, Cause::not_found);
  EXPECT_EQ(graph.error().message, dir.path().string() + " is not a graph directory: it has no graph.json");
}

TEST(GraphDirectory, RefusesUnknownKeysAndOtherVersions) {
  TempDir dir;
  toy_graph(dir / "g");
  Json json = *Json::parse(*read_file(dir / "g/graph.json"));
  Json unknown = json;
  unknown["colour"] = "red";
  auto index = GraphIndex::from_json(unknown, "graph.json");
  ASSERT_FALSE(index);
  EXPECT_NE(index.error().message.find("colour"), std::string::npos) << index.error().message;
  json["version"] = 2;
  index = GraphIndex::from_json(json, "graph.json");
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().message, "graph.json: version 2 of the format; this program knows 1");
}

TEST(GraphDirectory, RefusesArraysThatTheFormatDoesNotKnow) {
  TempDir dir;
  toy_graph(dir / "g");
  GraphIndex index = *GraphIndex::from_json(*Json::parse(*read_file(dir / "g/graph.json")), "x");
  ArrayInfo info = index.arrays.at("nodes/node/label.npy");
  info.path = "nodes/node/secret.npy";
  index.arrays[info.path] = info;
  ASSERT_TRUE(GraphWriter::write_index(dir / "g", index));
  EXPECT_NE(message_of(GraphDir::open(dir / "g")).find("'nodes/node/secret.npy' is no array of this format"),
            std::string::npos);
}

TEST(GraphDirectory, NamesTheOffsetThatFalls) {
  TempDir dir;
  const GraphDir graph = toy_graph(dir / "g");
  const auto offsets = graph.relation().indptr.as<int64_t>();
  std::vector<int64_t> wrong(offsets.begin(), offsets.end());
  std::swap(wrong[10], wrong[20]);
  replace_array(dir / "g", "edges/node.edge.node/indptr.npy", Dtype::i8, wrong);
  EXPECT_EQ(message_of(GraphDir::open(dir / "g")), (dir / "g/edges/node.edge.node/indptr.npy").string() +
                                                       ": offset " + std::to_string(wrong[11]) +
                                                       " at position 11 is below the one before it");
}

TEST(GraphDirectory, RefusesOffsetsThatEndElsewhere) {
  TempDir dir;
  const GraphDir graph = toy_graph(dir / "g");
  const auto offsets = graph.relation().indptr.as<int64_t>();
  std::vector<int64_t> wrong(offsets.begin(), offsets.end());
  wrong.back() += 5;
  replace_array(dir / "g", "edges/node.edge.node/indptr.npy", Dtype::i8, wrong);
  EXPECT_NE(message_of(GraphDir::open(dir / "g")).find("ends with"), std::string::npos);
}

TEST(GraphDirectory, RefusesListsOfAnotherLength) {
  TempDir dir;
  toy_graph(dir / "g");
  replace_array(dir / "g", "nodes/node/label.npy", Dtype::i1, std::vector<int8_t>(39));
  EXPECT_EQ(message_of(GraphDir::open(dir / "g")),
            (dir / "g/nodes/node/label.npy").string() + ": has 39 rows, not 40");
}

TEST(GraphDirectory, IndexCutOrFlippedNeverCrashes) {
  TempDir dir;
  toy_graph(dir / "g");
  const std::string good = *read_file(dir / "g/graph.json");
  const auto parse = [](std::string_view text) -> Result<GraphIndex> {
    TRY(auto json, Json::parse(text));
    return GraphIndex::from_json(json, "graph.json");
  };
  for (size_t length = 0; length + 2 < good.size(); length += 3) {
    EXPECT_FALSE(parse(std::string_view(good).substr(0, length))) << length;
  }
  for (size_t at = 0; at < good.size(); ++at) {
    std::string flipped = good;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    const auto index = parse(flipped);
    if (!index) {
      EXPECT_EQ(index.error().cause, Cause::bad_data) << index.error().message;
    }
  }
}

TEST(GraphDirectory, EveryFileCutShortIsNamed) {
  TempDir dir;
  const GraphIndex index = toy_graph(dir / "g").index();
  for (const auto& [path, info] : index.arrays) {
    const std::string whole = *read_file(dir / "g" / path);
    std::ofstream(dir / "g" / path, std::ios::binary | std::ios::trunc) << whole.substr(0, whole.size() - 1);
    auto graph = GraphDir::open(dir / "g");
    ASSERT_FALSE(graph) << path;
    EXPECT_EQ(graph.error().cause, Cause::bad_data);
    EXPECT_NE(graph.error().message.find(path), std::string::npos) << graph.error().message;
    std::ofstream(dir / "g" / path, std::ios::binary | std::ios::trunc) << whole;
  }
  EXPECT_TRUE(GraphDir::open(dir / "g"));
}

TEST(GraphWriting, LeavesNothingWhenDropped) {
  TempDir dir;
  {
    auto writer = GraphWriter::create(dir / "g");
    ASSERT_TRUE(writer);
    const std::vector<int8_t> labels(3);
    ASSERT_TRUE(write_array(writer->folder(), "nodes/node/label.npy", Dtype::i1, {3},
                            std::span<const int8_t>(labels)));
    EXPECT_EQ(folders_in(dir.path()), 1);
  }
  EXPECT_EQ(folders_in(dir.path()), 0);
}

TEST(GraphWriting, RefusesAPlaceThatIsTaken) {
  TempDir dir;
  toy_graph(dir / "g");
  auto writer = GraphWriter::create(dir / "g");
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().cause, Cause::bad_usage);
  EXPECT_EQ(writer.error().message,
            (dir / "g").string() + " exists already: remove it or choose another folder");
}

TEST(GraphWriting, NamesAMissingParent) {
  TempDir dir;
  auto writer = GraphWriter::create(dir / "no/g");
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().cause, Cause::not_found);
  EXPECT_EQ(writer.error().message, (dir / "no").string() + ": no such folder to write g into");
}

TEST(GraphWriting, SyncsEachArrayBeforeTheOneRename) {
  TempDir dir;
  const FileCounters before = file_counters();
  const GraphIndex index = toy_graph(dir / "g").index();
  const FileCounters after = file_counters();
  EXPECT_GE(after.syncs - before.syncs, static_cast<int64_t>(index.arrays.size()) + 2);
}

TEST(RelationNames, AreThreeWords) {
  const auto name = RelationName::parse("paper.written-by.author");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->destination, "author");
  EXPECT_EQ(name->text(), "paper.written-by.author");
  for (const char* bad : {"", "a.b", "a..c", "a.b.c.d", "a.b.c/d"})
    EXPECT_FALSE(RelationName::parse(bad)) << bad;
}

}  // namespace
}  // namespace gnnflow
