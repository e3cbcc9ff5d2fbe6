// Importing plain .npy sets: counts of the public ones, each kind of features, and what is refused.
#include "worker/ingest/import.h"

#include <limits>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/data_sets.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

void ignore(const Progress&) {}

template <typename T>
void write(const fs::path& folder, const std::string& name, Dtype dtype, std::vector<int64_t> shape,
           std::vector<T> values) {
  fs::remove(folder / name);
  auto info = write_array(folder, name, dtype, std::move(shape), std::span<const T>(values));
  ASSERT_TRUE(info) << info.error().message;
}

// Three nodes on a path, without features.
void write_path(const fs::path& folder) {
  write<int32_t>(folder, "edge_index.npy", Dtype::i4, {2, 2}, {0, 1, 1, 2});
  write<int8_t>(folder, "label.npy", Dtype::i1, {3}, {0, 1, -1});
  write<int32_t>(folder, "train_idx.npy", Dtype::i4, {2}, {1, 0});
}

Result<GraphDir> imported(const fs::path& source, const fs::path& target, Json options = Json::Object{}) {
  TRY(auto read, ImportOptions::from_json(options));
  TRY(import_graph(source, target, read, ignore));
  return GraphDir::open(target);
}

void expect_refused(const TempDir& dir, Cause cause, const std::string& message) {
  auto graph = imported(dir / "s", dir / "g");
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().cause, cause);
  EXPECT_EQ(graph.error().message, message);
  EXPECT_FALSE(fs::exists(dir / "g"));
}

TEST(Import, OfCoraHasItsPublishedCounts) {
  TempDir dir;
  auto graph = imported(cora_folder(), dir / "g");
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(graph->node().count, 2'708);
  EXPECT_EQ(graph->relation().indices.rows(), 10'556);
  EXPECT_EQ(graph->node().feature_columns, 1'433);
  EXPECT_EQ(graph->node().classes, 7);
  const Split& split = graph->node().splits.at("default");
  EXPECT_EQ(split.train.rows(), 140);
  EXPECT_EQ(split.val.rows(), 500);
  EXPECT_EQ(split.test.rows(), 1'000);
  EXPECT_EQ(graph->index().provenance.text_or("name", ""), "Cora");
}

TEST(Import, GivesTheSameBytesAgain) {
  TempDir dir;
  ASSERT_TRUE(imported(cora_folder(), dir / "1"));
  ASSERT_TRUE(imported(cora_folder(), dir / "2"));
  EXPECT_EQ(*read_file(dir / "1/graph.json"), *read_file(dir / "2/graph.json"));
}

struct PublicSet {
  const char* name;
  int64_t nodes, edges, columns, classes, train;
};

class PublicSets : public testing::TestWithParam<PublicSet> {};

TEST_P(PublicSets, HaveTheirCounts) {
  const PublicSet& set = GetParam();
  const auto folder = data_set(set.name);
  if (!folder) return;
  TempDir dir;
  auto graph = imported(*folder, dir / "g");
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(graph->node().count, set.nodes);
  EXPECT_EQ(graph->relation().indices.rows(), set.edges);
  EXPECT_EQ(graph->node().feature_columns, set.columns);
  EXPECT_EQ(graph->node().classes, set.classes);
  EXPECT_EQ(graph->node().splits.at("default").train.rows(), set.train);
}

INSTANTIATE_TEST_SUITE_P(All, PublicSets,
                         testing::Values(PublicSet{"pubmed", 19'717, 88'648, 500, 3, 60},
                                         PublicSet{"coauthor_physics", 34'493, 495'924, 8'415, 5, 100},
                                         PublicSet{"amazon_photo", 7'650, 238'162, 745, 8, 160},
                                         PublicSet{"tolokers", 11'758, 1'038'000, 10, 2, 5'879}),
                         [](const auto& set) { return set.param.name; });

TEST(Import, WithoutFeaturesHasNone) {
  TempDir dir;
  write_path(dir / "s");
  auto graph = imported(dir / "s", dir / "g");
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(graph->node().feature_columns, 0);
  EXPECT_EQ(graph->node().labels.integer(2), -1);
  EXPECT_EQ(graph->node().splits.at("default").train.integer(0), 0) << "splits are sorted";
}

TEST(Import, WidensDenseBytesAndNormalizesRows) {
  TempDir dir;
  write_path(dir / "s");
  write<uint8_t>(dir / "s", "feat.npy", Dtype::u1, {3, 2}, {1, 3, 0, 0, 5, 0});
  auto graph = imported(dir / "s", dir / "g", Json::Object{{"row_normalize", true}});
  ASSERT_TRUE(graph) << graph.error().message;
  const auto rows = graph->node().features.as<float>();
  EXPECT_EQ(std::vector<float>(rows.begin(), rows.end()), (std::vector<float>{0.25f, 0.75f, 0, 0, 1, 0}));
}

TEST(Import, ReadsSparseRowsAndHalfValues) {
  TempDir dir;
  write_path(dir / "s");
  write<int32_t>(dir / "s", "feat_indptr.npy", Dtype::i4, {4}, {0, 2, 2, 3});
  write<uint16_t>(dir / "s", "feat_indices.npy", Dtype::u2, {3}, {0, 4, 1});
  write<uint16_t>(dir / "s", "feat_values.npy", Dtype::f2, {3}, {0x3c00, 0x4200, 0x0001});  // 1, 3, 2^-24
  auto graph = imported(dir / "s", dir / "g");
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(graph->node().feature_columns, 5);
  const auto values = graph->node().feature_values.as<float>();
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()), (std::vector<float>{1, 3, 0x1p-24f}));

  graph = imported(dir / "s", dir / "n", Json::Object{{"row_normalize", true}});
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(graph->node().feature_values.as<float>()[1], 0.75f);
}

TEST(Import, ReadsBitsLeastSignificantFirst) {
  TempDir dir;
  write_path(dir / "s");
  dir.file("s/dataset.json", R"({"num_features": 10})");
  write<uint8_t>(dir / "s", "feat_bits.npy", Dtype::u1, {3, 2}, {1 + 4, 2, 0, 0, 128, 0});
  auto graph = imported(dir / "s", dir / "g");
  ASSERT_TRUE(graph) << graph.error().message;
  const auto columns = graph->node().feature_indices.as<int32_t>();
  EXPECT_EQ(std::vector<int32_t>(columns.begin(), columns.end()), (std::vector<int32_t>{0, 2, 9, 7}));
  EXPECT_EQ(graph->node().feature_columns, 10);
}

TEST(Import, NamesTheIdThatIsOutOfRange) {
  TempDir dir;
  write_path(dir / "s");
  write<int32_t>(dir / "s", "edge_index.npy", Dtype::i4, {2, 2}, {0, 1, 1, 3});
  expect_refused(dir, Cause::bad_data,
                 (dir / "s/edge_index.npy").string() + ": id 3 at [1, 1] is not below the 3 nodes");
}

TEST(Import, NamesTheNodeThatIsInTwoSets) {
  TempDir dir;
  write_path(dir / "s");
  write<int32_t>(dir / "s", "test_idx.npy", Dtype::i4, {1}, {1});
  expect_refused(dir, Cause::bad_data, (dir / "s/test_idx.npy").string() + ": node 1 is in train already");
}

TEST(Import, NamesTheRowThatHoldsNaN) {
  TempDir dir;
  write_path(dir / "s");
  write<float>(dir / "s", "feat.npy", Dtype::f4, {3, 1}, {0, std::numeric_limits<float>::quiet_NaN(), 0});
  expect_refused(dir, Cause::bad_data, (dir / "s/feat.npy").string() + ": row 1 holds nan");
}

TEST(Import, NamesTheColumnThatIsOutOfRange) {
  TempDir dir;
  write_path(dir / "s");
  dir.file("s/dataset.json", R"({"num_features": 4})");
  write<int32_t>(dir / "s", "feat_indptr.npy", Dtype::i4, {4}, {0, 2, 2, 3});
  write<uint16_t>(dir / "s", "feat_indices.npy", Dtype::u2, {3}, {0, 4, 1});
  expect_refused(dir, Cause::bad_data,
                 (dir / "s/feat_indices.npy").string() + ": column 4 at position 1 is not below 4");
}

TEST(Import, RefusesMoreColumnsThanFit31Bits) {
  TempDir dir;
  write_path(dir / "s");
  write<int32_t>(dir / "s", "feat_indptr.npy", Dtype::i4, {4}, {0, 1, 2, 2});
  const std::string indices = (dir / "s/feat_indices.npy").string();
  for (const int64_t column :
       {(int64_t{1} << 32) + 1, (int64_t{1} << 31) - 1, std::numeric_limits<int64_t>::max()}) {
    write<int64_t>(dir / "s", "feat_indices.npy", Dtype::i8, {2}, {0, column});
    expect_refused(
        dir, Cause::bad_data,
        fmt::format("{}: column {} at position 1: there can be at most 2147483647 columns", indices, column));
  }
  write<int64_t>(dir / "s", "feat_indices.npy", Dtype::i8, {2}, {0, (int64_t{1} << 31) - 2});
  const auto graph = imported(dir / "s", dir / "g");
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(graph->node().feature_columns, std::numeric_limits<int32_t>::max());
}

TEST(Import, RefusesWideTablesEvenOfNoRows) {
  TempDir dir;
  write_path(dir / "s");
  write<int8_t>(dir / "s", "label.npy", Dtype::i1, {0}, {});
  write<float>(dir / "s", "feat.npy", Dtype::f4, {0, int64_t{1} << 31}, {});
  expect_refused(dir, Cause::bad_data,
                 (dir / "s/feat.npy").string() + ": has 2147483648: there can be at most 2147483647 columns");
  fs::remove(dir / "s/feat.npy");
  write<uint8_t>(dir / "s", "feat_bits.npy", Dtype::u1, {0, int64_t{1} << 62}, {});
  expect_refused(dir, Cause::bad_data,
                 (dir / "s/feat_bits.npy").string() +
                     ": has 4611686018427387904 bytes a row: there can be at most 2147483647 columns");
}

TEST(Import, RefusesMoreClassesThanFit31Bits) {
  TempDir dir;
  for (const int64_t label : {int64_t{1} << 60, std::numeric_limits<int64_t>::max()}) {
    write_path(dir / "s");
    write<int64_t>(dir / "s", "label.npy", Dtype::i8, {3}, {0, label, 1});
    expect_refused(dir, Cause::bad_data,
                   fmt::format("{}: label {} of node 1: there can be at most 2147483647 classes",
                               (dir / "s/label.npy").string(), label));
  }
}

TEST(Import, TakesOnlyListsForSparseRows) {
  TempDir dir;
  write_path(dir / "s");
  const auto write_good = [&] {
    write<int32_t>(dir / "s", "feat_indptr.npy", Dtype::i4, {4}, {0, 2, 2, 3});
    write<int32_t>(dir / "s", "feat_indices.npy", Dtype::i4, {3}, {0, 4, 1});
    write<float>(dir / "s", "feat_values.npy", Dtype::f4, {3}, {1, 2, 3});
  };
  write_good();
  write<int32_t>(dir / "s", "feat_indptr.npy", Dtype::i4, {4, 2}, {0, 0, 2, 2, 2, 2, 3, 3});
  expect_refused(dir, Cause::bad_data, (dir / "s/feat_indptr.npy").string() + ": is not a list of 4 offsets");
  write_good();
  write<int32_t>(dir / "s", "feat_indices.npy", Dtype::i4, {3, 2}, {0, 1, 2, 3, 4, 5});
  expect_refused(dir, Cause::bad_data, (dir / "s/feat_indices.npy").string() + ": is not a list of columns");
  write_good();
  write<float>(dir / "s", "feat_values.npy", Dtype::f4, {3, 2}, {1, 2, 3, 4, 5, 6});
  expect_refused(dir, Cause::bad_data, (dir / "s/feat_values.npy").string() + ": is not a list of 3 values");
  write_good();
  EXPECT_TRUE(imported(dir / "s", dir / "g"));
}

TEST(Import, NamesWhatIsWrongInTheDescription) {
  TempDir dir;
  write_path(dir / "s");
  const std::string where = (dir / "s/dataset.json").string();
  const std::string range = ", not a number from 0 to 2147483647";
  const std::pair<const char*, std::string> wrong[] = {
      {"[]", "must be a map, but is list"},
      {R"({"name": 3})", "'name' is not a text"},
      {R"({"num_features": "4"})", "'num_features' is \"4\"" + range},
      {R"({"num_features": -1})", "'num_features' is -1" + range},
      {R"({"num_features": 2147483648})", "'num_features' is 2147483648" + range}};
  for (const auto& [text, message] : wrong) {
    dir.file("s/dataset.json", text);
    expect_refused(dir, Cause::bad_data, where + ": " + message);
  }
  dir.file("s/dataset.json", R"({"licence": "MIT", "num_features": 0})");
  EXPECT_TRUE(imported(dir / "s", dir / "g")) << "keys that are not for us are passed over";
}

TEST(Import, OfAMissingFolderOrFileIsNotFound) {
  TempDir dir;
  expect_refused(dir, Cause::not_found, (dir / "s").string() + ": no such folder to import");
  write_path(dir / "s");
  fs::remove(dir / "s/edge_index.npy");
  expect_refused(dir, Cause::not_found,
                 (dir / "s").string() + " has no edge_index.npy: not a set of one node type");
}

TEST(Import, NamesTheSourceFileThatIsCutShort) {
  TempDir dir;
  fs::copy(cora_folder(), dir / "s");
  for (const char* name :
       {"edge_index.npy", "label.npy", "feat_indices.npy", "feat_indptr.npy", "train_idx.npy"}) {
    const fs::path path = dir / "s" / name;
    const std::string whole = *read_file(path);
    for (const size_t length : {size_t{0}, size_t{5}, size_t{70}, whole.size() - 1}) {
      fs::remove(path);
      dir.file("s/" + std::string(name), whole.substr(0, length));
      auto graph = imported(dir / "s", dir / "g");
      ASSERT_FALSE(graph) << name << " cut to " << length;
      EXPECT_EQ(graph.error().cause, Cause::bad_data) << graph.error().message;
      EXPECT_NE(graph.error().message.find(name), std::string::npos) << graph.error().message;
    }
    fs::remove(path);
    dir.file("s/" + std::string(name), whole);
  }
}

TEST(Import, NamesTheOptionThatIsWrong) {
  const auto loops = ImportOptions::from_json(Json::Object{{"self_loops", "maybe"}});
  ASSERT_FALSE(loops);
  EXPECT_EQ(loops.error().message, "import: 'self_loops' is 'maybe', not keep, drop or add");
  const auto format = ImportOptions::from_json(Json::Object{{"format", "ogb"}});
  ASSERT_FALSE(format);
  EXPECT_EQ(format.error().cause, Cause::bad_workflow);
  EXPECT_EQ(format.error().message, "import: unknown format 'ogb': there is npy");
}

}  // namespace
}  // namespace gnnflow
