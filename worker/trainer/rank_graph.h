// One rank's view of a partition: which nodes are its own, their labels and splits, and the features mapped
// here.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/json.h"
#include "common/graph/partition_dir.h"
#include "common/kernels/kernels.h"
#include "worker/trainer/models/model.h"

namespace gnnflow {

// Slice `slice` of `slices` of a part's nodes.
struct SeedShare {
  int part = 0;
  int64_t slice = 0, slices = 1;
};

// Where a rank stands (docs/protocol.md, "Tasks").
struct RankPlace {
  fs::path partition;
  std::vector<int> parts_here;
  std::vector<SeedShare> seeds;
  int rank = 0, ranks = 1;
  std::string address = "127.0.0.1";
  int threads = 1;
};
Result<RankPlace> read_place(const Json& spec);
// All parts of the partition in one process.
Result<RankPlace> place_of_whole_partition(const fs::path& partition, int threads);

struct NodeRange {  // new ids [begin, end) of one part
  int part = 0;
  int64_t begin = 0, end = 0;
};

enum class SplitName { train, val, test };
constexpr std::string_view kSplitNames[] = {"train", "val", "test"};

// Immutable once opened; any thread.
class RankGraph {
 public:
  static Result<RankGraph> open(const RankPlace& place);

  const PartitionDir& partition() const { return partition_; }
  ModelShape shape() const { return shape_; }
  int64_t node_count() const { return partition_.ranges().count(); }
  const std::vector<NodeRange>& own() const { return own_; }

  // New ids of this rank's share of a split, ascending within a part.
  std::vector<int32_t> split(SplitName name) const;
  // New ids of the split's nodes within own(): with slices these are others than split()'s.
  std::vector<int32_t> split_of_own(SplitName name) const;
  // REQUIRES: the node's part is mapped here.
  int64_t label(int64_t node) const;
  int64_t degree(int64_t node) const;

  int64_t original(int64_t node) const { return originals_[node]; }
  int64_t from_original(int64_t original) const { return news_[original]; }
  IdView originals() const { return originals_; }

  // The features as one table whose rows are new ids: when the partition has one part, mapped here, with
  // dense rows of a type that the kernels read.
  std::optional<RowTable> table() const;
  // Which slice of the splits is read: "default", or the only one.
  const std::string& scheme() const { return scheme_; }

 private:
  struct Owned {
    GraphDir graph;
    int64_t begin = 0;
  };
  const Owned& owned(int64_t node) const;

  RankPlace place_;
  PartitionDir partition_;
  std::map<int, Owned> parts_;
  std::vector<NodeRange> own_;
  ModelShape shape_;
  IdView originals_, news_;
  std::string scheme_;
};

// `label` when it is a class, else bad_data naming the node by its original id.
Result<int32_t> checked_label(const RankGraph& graph, int64_t node, int64_t label);

}  // namespace gnnflow
