// verify: good directories pass, and damage is named with its file and position.
#include "worker/tools/verify.h"

#include <fstream>
#include <limits>

#include <gtest/gtest.h>

#include "tests/support/poke.h"
#include "tests/support/temp_dir.h"
#include "tests/support/toy_graph.h"
#include "worker/partition/partition.h"

namespace gnnflow {
namespace {

constexpr const char* kIndices = "edges/node.edge.node/indices.npy";

Status verified(const fs::path& folder) {
  VerifyCounts counts;
  if (is_partition(folder)) {
    TRY(auto partition, PartitionDir::open(folder));
    return verify_partition(partition, counts);
  }
  TRY(auto graph, GraphDir::open(folder));
  return verify_graph(graph, -1, counts);
}

void expect_bad(const fs::path& folder, const std::string& message) {
  const Status status = verified(folder);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().cause, Cause::bad_data);
  EXPECT_EQ(status.error().message, message);
}

class VerifyGraph : public testing::Test {
 protected:
  VerifyGraph() { toy_graph(dir_ / "g"); }
  std::string at(const std::string& path) const { return (dir_ / "g" / path).string(); }
  TempDir dir_;
};

TEST_F(VerifyGraph, PassesWhatIsGood) {
  const Status status = verified(dir_ / "g");
  EXPECT_TRUE(status) << status.error().message;
}

TEST_F(VerifyGraph, NamesTheIndexThatIsOutOfRange) {
  poke<int32_t>(at(kIndices), 17, 40);
  expect_bad(dir_ / "g", at(kIndices) + ": id 40 at position 17 is not below 40");
  poke<int32_t>(at(kIndices), 3, -1);
  expect_bad(dir_ / "g", at(kIndices) + ": id -1 at position 3 is not below 40");
}

TEST_F(VerifyGraph, CountsNaNsAndNamesTheFirst) {
  poke<float>(at("nodes/node/feat.npy"), 3 * 11 + 2, std::numeric_limits<float>::quiet_NaN());
  poke<float>(at("nodes/node/feat.npy"), 3 * 30, std::numeric_limits<float>::infinity());
  expect_bad(dir_ / "g",
             at("nodes/node/feat.npy") + ": 2 values are NaN or infinite, the first in row 11, column 2");
}

TEST_F(VerifyGraph, NamesTheLabelThatIsNoClass) {
  poke<int8_t>(at("nodes/node/label.npy"), 8, 4);
  expect_bad(dir_ / "g", at("nodes/node/label.npy") + ": label 4 at position 8 is not below the 4 classes");
}

TEST_F(VerifyGraph, NamesSplitsThatAreUnsortedOrOverlap) {
  poke<int32_t>(at("split/node/default/val.npy"), 1, 0);
  expect_bad(dir_ / "g",
             at("split/node/default/val.npy") + ": id 0 at position 1 is not above the one before it");
  poke<int32_t>(at("split/node/default/val.npy"), 1, 6);  // 6 % 5 < 2: in train
  expect_bad(dir_ / "g", at("split/node/default/val.npy") + ": id 6 at position 1 is in train.npy too");
}

TEST_F(VerifyGraph, NamesTheFileWhoseContentChanged) {
  poke<float>(at("nodes/node/feat.npy"), 0, 123.0f);
  const Status status = verified(dir_ / "g");
  ASSERT_FALSE(status);
  EXPECT_TRUE(status.error().message.starts_with(at("nodes/node/feat.npy") + ": its digest is "))
      << status.error().message;
}

TEST_F(VerifyGraph, FindsEveryFlippedBitOfEveryArray) {
  const GraphIndex index = GraphDir::open(dir_ / "g")->index();
  for (const auto& [path, info] : index.arrays) {
    std::string whole = *read_file(at(path));
    for (size_t byte = 0; byte < whole.size(); byte += 37) {
      std::string flipped = whole;
      flipped[byte] = static_cast<char>(flipped[byte] ^ (1 << (byte % 8)));
      std::ofstream(at(path), std::ios::binary | std::ios::trunc) << flipped;
      const Status status = verified(dir_ / "g");
      ASSERT_FALSE(status) << path << " byte " << byte;
      EXPECT_EQ(status.error().cause, Cause::bad_data);
      EXPECT_NE(status.error().message.find(path), std::string::npos) << status.error().message;
    }
    std::ofstream(at(path), std::ios::binary | std::ios::trunc) << whole;
  }
  EXPECT_TRUE(verified(dir_ / "g"));
}

class VerifyPartition : public testing::Test {
 protected:
  VerifyPartition() {
    toy_graph(dir_ / "g", {.nodes = 200, .pairs = 600});
    PartitionOptions options;
    options.balance = {"nodes"};
    auto made = partition_graph(dir_ / "g", dir_ / "p", options, [](const Progress&) {});
    EXPECT_TRUE(made) << made.error().message;
  }
  std::string at(const std::string& path) const { return (dir_ / "p" / path).string(); }
  TempDir dir_;
};

TEST_F(VerifyPartition, PassesWhatIsGoodAlsoWithOnePartHere) {
  EXPECT_TRUE(verified(dir_ / "p"));
  fs::remove_all(dir_ / "p/part-0");
  fs::remove_all(dir_ / "p/assignment");
  const Status status = verified(dir_ / "p");
  EXPECT_TRUE(status) << status.error().message;
}

TEST_F(VerifyPartition, NamesTheIndexOfAPartThatIsOutOfRange) {
  poke<int32_t>(at(std::string("part-1/") + kIndices), 5, 200);
  expect_bad(dir_ / "p", at(std::string("part-1/") + kIndices) + ": id 200 at position 5 is not below 200");
}

TEST_F(VerifyPartition, NamesWhereTheMapsAreNotInverse) {
  const Array forward = *Array::open(at("maps/node/new_of_orig.npy"));
  const int64_t old = forward.integer(4), other = forward.integer(9);
  poke<int32_t>(at("maps/node/new_of_orig.npy"), 4, static_cast<int32_t>(other));
  expect_bad(dir_ / "p", at("maps/node/new_of_orig.npy") + ": position 4 says new id " +
                             std::to_string(other) + ", but orig_of_new.npy says that this is node 9");
  EXPECT_NE(old, other);
}

TEST_F(VerifyPartition, NamesTheNodeWhoseAssignmentDiffers) {
  const Array assignment = *Array::open(at("assignment/node.npy"));
  const int64_t part = assignment.integer(7);
  poke<int32_t>(at("assignment/node.npy"), 7, static_cast<int32_t>(1 - part));
  expect_bad(dir_ / "p", at("assignment/node.npy") + ": node 7 is in part " + std::to_string(1 - part) +
                             ", but its new id is in part " + std::to_string(part));
}

TEST_F(VerifyPartition, NamesSplitsThatAreNotTheWholes) {
  const std::string path = at("part-0/split/node/default/test.npy");
  const Array rows = *Array::open(path);
  int64_t gap = 0;  // the row after this one is in another list
  while (rows.integer(gap) + 1 == rows.integer(gap + 1)) ++gap;
  poke<int32_t>(path, gap, static_cast<int32_t>(rows.integer(gap)) + 1);
  const Status status = verified(dir_ / "p");
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("part-0/split/node/default/"), std::string::npos)
      << status.error().message;
}

TEST_F(VerifyPartition, RefusesAPartOfAnotherPartition) {
  PartitionOptions options;
  options.balance = {"nodes"};
  options.seed = 5;
  ASSERT_TRUE(partition_graph(dir_ / "g", dir_ / "q", options, [](const Progress&) {}));
  fs::remove_all(dir_ / "p/part-1");
  fs::copy(dir_ / "q/part-1", dir_ / "p/part-1", fs::copy_options::recursive);
  const Status status = verified(dir_ / "p");
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("it is of another partition, or damaged"), std::string::npos)
      << status.error().message;
}

TEST_F(VerifyPartition, ReadsWhatAPartSaysOfItselfStrictly) {
  const fs::path path = dir_ / "p/part-0/part.json";
  const Json good = *Json::parse(*read_file(path));
  const auto expect = [&](const std::string& key, Json value, const std::string& message) {
    Json other = good;
    other[key] = std::move(value);
    ASSERT_TRUE(write_file_atomically(path, other.dump()));
    expect_bad(dir_ / "p", path.string() + ": " + message);
  };
  expect("version", 2, "version 2 of the format; this program knows 1");
  expect("format", "gnnflow-graph", "'format' is 'gnnflow-graph', not 'gnnflow-part'");
  expect("owner", 1, "unknown key 'owner'");
  expect("part", 1, "is not of part 0 of this partition");
}

TEST_F(VerifyPartition, FindsFlippedBitsOfEveryArray) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(dir_ / "p")) {
    if (entry.path().extension() == ".npy") files.push_back(entry.path().string());
  }
  ASSERT_GT(files.size(), 20u);
  for (const std::string& file : files) {
    const std::string whole = *read_file(file);
    for (const size_t byte : {whole.size() - 1, size_t{128}, whole.size() / 2, size_t{3}}) {
      if (byte >= whole.size()) continue;
      std::string flipped = whole;
      flipped[byte] = static_cast<char>(flipped[byte] ^ 4);
      std::ofstream(file, std::ios::binary | std::ios::trunc) << flipped;
      const Status status = verified(dir_ / "p");
      EXPECT_FALSE(status) << file << " byte " << byte;
      if (!status) {
        EXPECT_EQ(status.error().cause, Cause::bad_data) << status.error().message;
      }
    }
    std::ofstream(file, std::ios::binary | std::ios::trunc) << whole;
  }
  EXPECT_TRUE(verified(dir_ / "p"));
}

}  // namespace
}  // namespace gnnflow
