// A partition directory: partition.json, assignment, maps between original and new ids, and the parts
// (docs/formats.md).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/graph/graph_dir.h"

namespace gnnflow {

// New ids of one node type: part p owns [begin[p], begin[p + 1]).
struct Ranges {
  std::vector<int64_t> begin;  // parts + 1 numbers, ascending from 0
  int parts() const { return static_cast<int>(begin.size()) - 1; }
  int64_t count() const { return begin.back(); }
  int owner_of(NodeId new_id) const;  // REQUIRES: in range
};

struct PartitionIndex {
  int parts = 0;
  std::string method;  // "metis", "random", "single"
  int64_t seed = 0;
  std::string graph_digest;                        // of the source graph
  std::map<std::string, Ranges> ranges;            // by node type
  std::map<std::string, int64_t> edges;            // relation -> edges in all
  std::map<std::string, int64_t> classes;          // node type -> classes
  std::map<std::string, int64_t> feature_columns;  // node type -> columns; 0: none
  std::map<std::string, ArrayInfo> arrays;         // assignment, maps, split: by path
  std::vector<std::string> part_digests;           // GraphIndex::digest of each part
  Json report;                                     // cut, balance: what partition printed; not in the digest
  Json options;

  Json to_json() const;
  static Result<PartitionIndex> from_json(const Json& json, std::string_view where);
  std::string digest() const;  // what servers and clients compare in hello
};

// An opened partition, of which only some parts need lie here.
class PartitionDir {
 public:
  static Result<PartitionDir> open(const fs::path& folder);

  const fs::path& folder() const { return folder_; }
  const PartitionIndex& index() const { return index_; }
  const Ranges& ranges(std::string_view type = kNodeType) const;
  bool has_part(int part) const;  // its folder with graph.json lies here
  Result<GraphDir> open_part(int part) const;
  const Array& new_of_original(std::string_view type = kNodeType) const;
  const Array& original_of_new(std::string_view type = kNodeType) const;
  // Every id of both maps is one of a node. Opening does not ask: whoever follows them does, once.
  Status check_maps(std::string_view type = kNodeType) const;
  // The whole graph's split, original ids; not present() arrays when there is none.
  Result<Split> split(std::string_view type, std::string_view scheme) const;

 private:
  fs::path folder_;
  PartitionIndex index_;
  std::map<std::string, Array> new_of_original_, original_of_new_;
};

fs::path part_folder(const fs::path& partition, int part);  // "<partition>/part-<p>"
bool is_partition(const fs::path& folder);                  // has partition.json

}  // namespace gnnflow
