// A graph directory: graph.json beside .npy arrays (docs/formats.md). Opened mapped, written atomically.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/result.h"
#include "common/graph/array_file.h"
#include "common/graph/new_folder.h"

namespace gnnflow {

constexpr std::string_view kNodeType = "node";            // of a graph with one type
constexpr std::string_view kRelation = "node.edge.node";  // and its relation
constexpr std::string_view kScheme = "default";           // the split of a graph with one

// "<src>.<relation>.<dst>"
struct RelationName {
  std::string source, relation, destination;
  std::string text() const { return source + "." + relation + "." + destination; }
  static std::optional<RelationName> parse(std::string_view text);
  auto operator<=>(const RelationName&) const = default;
};

// What graph.json says.
struct GraphIndex {
  std::map<std::string, int64_t> nodes;     // node type -> number of nodes (in a part: owned here)
  std::map<std::string, int64_t> edges;     // relation -> number of edges
  std::map<std::string, ArrayInfo> arrays;  // by path
  std::map<std::string, int64_t> classes;   // node type -> number of classes, where it has integer labels
  std::map<std::string, int64_t> feature_columns;  // node type -> columns of its features, where it has them
  Json provenance;  // command, options, seed, digest of the input; free of paths

  Json to_json() const;
  static Result<GraphIndex> from_json(const Json& json, std::string_view where);
  // Over counts, arrays' digests and shapes: the identity of the content, provenance left out.
  std::string digest() const;
  const ArrayInfo* array(std::string_view path) const;
};

// Splits of a node type, by scheme ("default" where there is one).
struct Split {
  Array train, val, test;  // sorted ids; absent arrays are not present()
};

struct NodeArrays {
  int64_t count = 0;
  Array features;                                         // dense [N, D], or
  Array feature_indptr, feature_indices, feature_values;  // sparse rows (values may be absent: all ones)
  int64_t feature_columns = 0;                            // D either way; 0: none
  Array labels;
  int64_t classes = 0;
  Array original;                       // in a part: original ids of its nodes, ascending
  Array degree;                         // in a part: in-degree, where written
  std::map<std::string, Split> splits;  // in a part: local rows
};

struct RelationArrays {
  Array indptr, indices, edge_ids;  // edge_ids may be absent: the edge's position
  IdView ids() const { return IdView(indices); }
};

bool is_graph(const fs::path& folder);  // has graph.json

// A list of ids below `nodes`, each above the one before it; `bad_data` names the position of one that is
// not.
Status check_split(const Array& ids, int64_t nodes);

// An opened directory. Checked on opening: sizes, offsets monotone and in range, splits; indices are checked
// where they are used.
class GraphDir {
 public:
  static Result<GraphDir> open(const fs::path& folder);

  const fs::path& folder() const { return folder_; }
  const GraphIndex& index() const { return index_; }
  const std::map<std::string, NodeArrays>& nodes() const { return nodes_; }
  const std::map<std::string, RelationArrays>& relations() const { return relations_; }
  const NodeArrays& node(std::string_view type = kNodeType) const;          // REQUIRES: there is one
  const RelationArrays& relation(std::string_view name = kRelation) const;  // REQUIRES: there is one

 private:
  fs::path folder_;
  GraphIndex index_;
  std::map<std::string, NodeArrays> nodes_;
  std::map<std::string, RelationArrays> relations_;
};

// Collects arrays in "<target>.tmp-<random>"; commit() writes graph.json last and renames once. Dropped:
// nothing is left.
class GraphWriter {
 public:
  // `target` must not exist.
  static Result<GraphWriter> create(const fs::path& target);
  const fs::path& folder() const { return folder_.path(); }  // arrays are written here
  GraphIndex& index() { return index_; }
  void add(ArrayInfo info);
  Result<GraphIndex> commit();
  // Writes graph.json without the rename: for a part inside a partition directory.
  static Status write_index(const fs::path& folder, const GraphIndex& index);

 private:
  GraphWriter() = default;
  NewFolder folder_;
  GraphIndex index_;
};

}  // namespace gnnflow
