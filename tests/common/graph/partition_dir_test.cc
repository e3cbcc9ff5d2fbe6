// partition.json and the opened directory: owners, digests, what is refused.
#include "common/graph/partition_dir.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/poke.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

// A partition of 5 nodes over 2 parts whose parts are not here.
PartitionIndex small_index(const fs::path& folder) {
  PartitionIndex index;
  index.parts = 2;
  index.method = "random";
  index.graph_digest = std::string(32, '0');
  index.ranges["node"].begin = {0, 3, 5};
  index.edges["node.edge.node"] = 8;
  index.part_digests = {std::string(32, 'a'), std::string(32, 'b')};
  index.report = Json::Object{{"edge_cut", 3}};
  index.options = Json::Object{{"parts", 2}};
  const std::vector<int32_t> new_of_original{0, 3, 1, 4, 2}, original_of_new{0, 2, 4, 1, 3};
  for (const auto& [name, ids] :
       {std::pair{"new_of_orig", &new_of_original}, {"orig_of_new", &original_of_new}}) {
    const std::string path = std::string("maps/node/") + name + ".npy";
    index.arrays[path] = *write_array(folder, path, Dtype::i4, {5}, std::span<const int32_t>(*ids));
  }
  return index;
}

void write(const fs::path& folder, const PartitionIndex& index) {
  ASSERT_TRUE(write_file_atomically(folder / "partition.json", index.to_json().dump()));
}

TEST(Ranges, FindTheOwnerOfEachNode) {
  const Ranges ranges{{0, 3, 3, 7}};
  EXPECT_EQ(ranges.parts(), 3);
  EXPECT_EQ(ranges.count(), 7);
  EXPECT_EQ(ranges.owner_of(0), 0);
  EXPECT_EQ(ranges.owner_of(2), 0);
  EXPECT_EQ(ranges.owner_of(3), 2);
  EXPECT_EQ(ranges.owner_of(6), 2);
}

TEST(PartitionDirectory, OpensWithoutItsParts) {
  TempDir dir;
  write(dir.path(), small_index(dir.path()));
  auto partition = PartitionDir::open(dir.path());
  ASSERT_TRUE(partition) << partition.error().message;
  EXPECT_EQ(partition->ranges().owner_of(3), 1);
  EXPECT_EQ(partition->new_of_original().integer(1), 3);
  EXPECT_EQ(partition->original_of_new().integer(3), 1);
  EXPECT_FALSE(partition->has_part(0));
  EXPECT_EQ(partition->open_part(0).error().cause, Cause::not_found);
  EXPECT_EQ(partition->open_part(2).error().message, dir.path().string() + " has parts 0 to 1, no part 2");
  auto split = partition->split("node", "default");
  ASSERT_TRUE(split);
  EXPECT_FALSE(split->train.present());
}

TEST(PartitionDirectory, NamesWhatIsWrongWithASplit) {
  TempDir dir;
  PartitionIndex index = small_index(dir.path());
  const int64_t nodes = index.ranges.at("node").count();
  const std::vector<int32_t> ids{0, static_cast<int32_t>(nodes)};
  for (const std::string type : {"node", "other"}) {
    const std::string path = "split/" + type + "/default/test.npy";
    index.arrays[path] = *write_array(dir.path(), path, Dtype::i4, {2}, std::span<const int32_t>(ids));
  }
  write(dir.path(), index);
  auto partition = PartitionDir::open(dir.path());
  ASSERT_TRUE(partition) << partition.error().message;
  EXPECT_EQ(partition->split("node", "default").error().message,
            (dir / "split/node/default/test.npy").string() +
                fmt::format(": id {} at position 1 is not below {}", nodes, nodes));
  EXPECT_EQ(partition->split("other", "default").error().cause, Cause::bad_data);
}

TEST(PartitionDirectory, NamesTheIdOfAMapThatIsNoNode) {
  for (const std::string name : {"new_of_orig", "orig_of_new"}) {
    TempDir dir;
    write(dir.path(), small_index(dir.path()));
    auto partition = PartitionDir::open(dir.path());
    ASSERT_TRUE(partition) << partition.error().message;
    EXPECT_TRUE(partition->check_maps());
    const fs::path map = dir / ("maps/node/" + name + ".npy");
    poke<int32_t>(map, 2, 5);
    const Status status = PartitionDir::open(dir.path())->check_maps();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().cause, Cause::bad_data);
    EXPECT_EQ(status.error().message, map.string() + ": id 5 at position 2 is not below 5");
  }
}

TEST(PartitionDirectory, IndexReadsBackAsWritten) {
  TempDir dir;
  const PartitionIndex index = small_index(dir.path());
  auto again = PartitionIndex::from_json(*Json::parse(index.to_json().dump()), "partition.json");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->to_json(), index.to_json());
  EXPECT_EQ(again->digest(), index.digest());
}

TEST(PartitionDirectory, DigestIsOfTheContentOnly) {
  TempDir dir;
  PartitionIndex index = small_index(dir.path());
  const std::string before = index.digest();
  index.report = Json::Object{{"edge_cut", 4}};
  index.method = "metis";
  EXPECT_EQ(index.digest(), before);
  index.part_digests[1] = std::string(32, 'c');
  EXPECT_NE(index.digest(), before);
}

TEST(PartitionDirectory, WithoutIndexIsNone) {
  TempDir dir;
  auto partition = PartitionDir::open(dir.path());
  ASSERT_FALSE(partition);
  EXPECT_EQ(partition.error().cause, Cause::not_found);
  EXPECT_EQ(partition.error().message,
            dir.path().string() + " is not a partition directory: it has no partition.json");
}

TEST(PartitionDirectory, RefusesRangesThatDoNotFit) {
  TempDir dir;
  for (const std::vector<int64_t>& wrong : {std::vector<int64_t>{0, 5}, {1, 3, 5}, {0, 6, 5}, {0, 2, 3, 5}}) {
    PartitionIndex index = small_index(dir.path());
    index.ranges["node"].begin = wrong;
    auto read = PartitionIndex::from_json(index.to_json(), "partition.json");
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().message,
              "partition.json: the ranges of 'node' are not 3 ascending numbers from 0");
    fs::remove_all(dir / "maps");
  }
}

TEST(PartitionDirectory, RefusesMapsOfAnotherLength) {
  TempDir dir;
  PartitionIndex index = small_index(dir.path());
  index.ranges["node"].begin = {0, 3, 6};
  write(dir.path(), index);
  EXPECT_EQ(PartitionDir::open(dir.path()).error().message,
            (dir / "maps/node/new_of_orig.npy").string() + ": is not a list of 6 ids");
}

TEST(PartitionDirectory, IndexCutOrFlippedNeverCrashes) {
  TempDir dir;
  const std::string good = small_index(dir.path()).to_json().dump();
  const auto parse = [](std::string_view text) -> Result<PartitionIndex> {
    TRY(auto json, Json::parse(text));
    return PartitionIndex::from_json(json, "partition.json");
  };
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_FALSE(parse(std::string_view(good).substr(0, length)));
  for (size_t at = 0; at < good.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = good;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      if (auto index = parse(flipped); index) {
        EXPECT_EQ(index->part_digests.size(), static_cast<size_t>(index->parts));
      } else {
        EXPECT_EQ(index.error().cause, Cause::bad_data) << index.error().message;
      }
    }
  }
}

}  // namespace
}  // namespace gnnflow
