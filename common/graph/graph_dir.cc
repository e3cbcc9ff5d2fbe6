// Opens a graph directory: maps every array that the index names and checks that they fit together.
#include "common/graph/graph_dir.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr int64_t kIndexLimit = int64_t{64} << 20;

bool is_i4(Dtype dtype) { return dtype == Dtype::i4; }
bool is_f4(Dtype dtype) { return dtype == Dtype::f4; }

// A list of `rows` numbers of a kind.
Status check_list(const Array& array, int64_t rows, bool (*kind)(Dtype), std::string_view kind_name) {
  if (array.shape().size() != 1) return bad_array(array, "has two dimensions where one is wanted");
  if (!kind(array.dtype()))
    return bad_array(array, fmt::format("holds {}, not {}", name_of(array.dtype()), kind_name));
  if (rows >= 0 && array.rows() != rows)
    return bad_array(array, fmt::format("has {} rows, not {}", array.rows(), rows));
  return {};
}

// Offsets of `rows` rows into `entries` things.
Status check_offsets(const Array& array, int64_t rows, int64_t entries) {
  if (array.dtype() != Dtype::i8)
    return bad_array(array, fmt::format("holds {}, not i8", name_of(array.dtype())));
  TRY(check_list(array, rows + 1, is_id, "i8"));
  const auto offsets = array.as<int64_t>();
  if (offsets.front() != 0) return bad_array(array, fmt::format("begins with {}, not 0", offsets.front()));
  const auto fall = std::is_sorted_until(offsets.begin(), offsets.end());
  if (fall != offsets.end()) {
    return bad_array(array, fmt::format("offset {} at position {} is below the one before it", *fall,
                                        fall - offsets.begin()));
  }
  if (offsets.back() != entries) {
    return bad_array(array, fmt::format("ends with {}, but there are {} entries", offsets.back(), entries));
  }
  return {};
}

Status check_features(NodeArrays& node, const fs::path& folder, int64_t columns) {
  if (columns > std::numeric_limits<int32_t>::max()) {  // columns of sparse rows are i4
    return Error{Cause::bad_data,
                 fmt::format("{}: the index tells of {} feature columns, more than fit 31 bits",
                             folder.string(), columns)};
  }
  if (node.features.present()) {
    if (node.features.shape().size() != 2 || node.features.rows() != node.count) {
      return bad_array(node.features, fmt::format("is not a table of {} rows", node.count));
    }
    if (node.features.columns() != columns) {
      return bad_array(node.features,
                       fmt::format("has {} columns, the index says {}", node.features.columns(), columns));
    }
  }
  if (node.feature_indptr.present() != node.feature_indices.present() ||
      (node.feature_values.present() && !node.feature_indptr.present()) ||
      (node.features.present() && node.feature_indptr.present())) {
    return Error{Cause::bad_data,
                 fmt::format("{}: features are neither one table nor indptr with indices", folder.string())};
  }
  if (!node.feature_indptr.present()) {
    if (columns > 0 && !node.features.present()) {
      return Error{Cause::bad_data,
                   fmt::format("{}: the index tells of {} feature columns, but there are none",
                               folder.string(), columns)};
    }
    return {};
  }
  TRY(check_offsets(node.feature_indptr, node.count, node.feature_indices.rows()));
  TRY(check_list(node.feature_indices, -1, is_i4, "i4"));
  if (node.feature_values.present()) {
    TRY(check_list(node.feature_values, node.feature_indices.rows(), is_f4, "f4"));
  }
  return {};
}

Status check_node(NodeArrays& node, const fs::path& folder) {
  TRY(check_features(node, folder, node.feature_columns));
  if (node.labels.present() && node.labels.rows() != node.count) {
    return bad_array(node.labels, fmt::format("has {} rows, not {}", node.labels.rows(), node.count));
  }
  if (node.original.present()) TRY(check_list(node.original, node.count, is_id, "i4 or i8"));
  if (node.degree.present()) TRY(check_list(node.degree, node.count, is_id, "i4 or i8"));
  for (auto& [scheme, sets] : node.splits) {
    for (const Array* ids : {&sets.train, &sets.val, &sets.test}) {
      if (ids->present()) TRY(check_split(*ids, node.count));
    }
  }
  return {};
}

Status check_relation(const RelationArrays& relation, int64_t destinations, int64_t edges,
                      const std::string& name) {
  if (!relation.indptr.present() || !relation.indices.present()) {
    return Error{Cause::bad_data, fmt::format("relation '{}' lacks indptr.npy or indices.npy", name)};
  }
  TRY(check_list(relation.indices, edges, is_id, "i4 or i8"));
  if (relation.edge_ids.present()) TRY(check_list(relation.edge_ids, edges, is_id, "i4 or i8"));
  return check_offsets(relation.indptr, destinations, edges);
}

// Where an array of this path belongs; null: nowhere.
struct Places {
  std::map<std::string, NodeArrays>& nodes;
  std::map<std::string, RelationArrays>& relations;

  Array* of_node(const std::string& type, std::string_view file) {
    const auto found = nodes.find(type);
    if (found == nodes.end()) return nullptr;
    NodeArrays& node = found->second;
    const std::pair<std::string_view, Array*> rows[] = {{"feat.npy", &node.features},
                                                        {"feat.indptr.npy", &node.feature_indptr},
                                                        {"feat.indices.npy", &node.feature_indices},
                                                        {"feat.values.npy", &node.feature_values},
                                                        {"label.npy", &node.labels},
                                                        {"orig.npy", &node.original},
                                                        {"degree.npy", &node.degree}};
    for (const auto& [name, array] : rows) {
      if (name == file) return array;
    }
    return nullptr;
  }
  Array* of_relation(const std::string& name, std::string_view file) {
    const auto found = relations.find(name);
    if (found == relations.end()) return nullptr;
    RelationArrays& relation = found->second;
    if (file == "indptr.npy") return &relation.indptr;
    if (file == "indices.npy") return &relation.indices;
    if (file == "edge_ids.npy") return &relation.edge_ids;
    return nullptr;
  }
  Array* of_split(const std::string& type, const std::string& scheme, std::string_view file) {
    const auto found = nodes.find(type);
    if (found == nodes.end() || !is_name(scheme)) return nullptr;
    Split& split = found->second.splits[scheme];
    if (file == "train.npy") return &split.train;
    if (file == "val.npy") return &split.val;
    if (file == "test.npy") return &split.test;
    return nullptr;
  }
  Array* of(std::string_view path) {
    const auto words = split(path, '/');
    if (words.size() == 3 && words[0] == "nodes") return of_node(words[1], words[2]);
    if (words.size() == 3 && words[0] == "edges") return of_relation(words[1], words[2]);
    if (words.size() == 4 && words[0] == "split") return of_split(words[1], words[2], words[3]);
    return nullptr;
  }
};

}  // namespace

Status check_split(const Array& ids, int64_t nodes) {
  TRY(check_list(ids, -1, is_id, "i4 or i8"));
  for (int64_t i = 0, last = -1; i < ids.rows(); ++i) {
    const int64_t id = ids.integer(i);
    if (id < 0 || id >= nodes)
      return bad_array(ids, fmt::format("id {} at position {} is not below {}", id, i, nodes));
    if (id <= last)
      return bad_array(ids, fmt::format("id {} at position {} is not above the one before it", id, i));
    last = id;
  }
  return {};
}

bool is_graph(const fs::path& folder) {
  std::error_code ignored;
  return fs::is_regular_file(folder / "graph.json", ignored);
}

Result<GraphDir> GraphDir::open(const fs::path& folder) {
  if (!is_graph(folder)) {
    return Error{Cause::not_found,
                 fmt::format("{} is not a graph directory: it has no graph.json", folder.string())};
  }
  const std::string where = (folder / "graph.json").string();
  TRY(auto text, read_file(folder / "graph.json", kIndexLimit));
  TRY(auto json, Json::parse(text).within(where));
  GraphDir graph;
  graph.folder_ = folder;
  TRY(graph.index_, GraphIndex::from_json(json, where));
  const GraphIndex& index = graph.index_;
  const auto number = [](const std::map<std::string, int64_t>& counts, const std::string& name) {
    const auto found = counts.find(name);
    return found == counts.end() ? 0 : found->second;
  };
  for (const auto& [type, count] : index.nodes) {
    NodeArrays& node = graph.nodes_[type];
    node.count = count;
    node.feature_columns = number(index.feature_columns, type);
    node.classes = number(index.classes, type);
  }
  for (const auto& [name, count] : index.edges) graph.relations_[name];

  Places places{graph.nodes_, graph.relations_};
  for (const auto& [path, info] : index.arrays) {
    Array* place = places.of(path);
    if (place == nullptr) {
      return Error{Cause::bad_data, fmt::format("{}: '{}' is no array of this format", where, path)};
    }
    TRY(*place, Array::open(folder, info));
  }
  for (auto& [type, node] : graph.nodes_) TRY(check_node(node, folder));
  for (auto& [name, relation] : graph.relations_) {
    const std::string destination = RelationName::parse(name)->destination;
    TRY(check_relation(relation, index.nodes.at(destination), index.edges.at(name), name));
  }
  return graph;
}

const NodeArrays& GraphDir::node(std::string_view type) const {
  const auto found = nodes_.find(std::string(type));
  if (found == nodes_.end()) bug(fmt::format("no node type '{}' in {}", type, folder_.string()));
  return found->second;
}

const RelationArrays& GraphDir::relation(std::string_view name) const {
  const auto found = relations_.find(std::string(name));
  if (found == relations_.end()) bug(fmt::format("no relation '{}' in {}", name, folder_.string()));
  return found->second;
}

}  // namespace gnnflow
