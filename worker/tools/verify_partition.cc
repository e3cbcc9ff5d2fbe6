// Checks of a partition: maps are inverse, parts own what the maps say, and together they are the whole.
#include <set>

#include <fmt/format.h>

#include "common/base/text.h"
#include "worker/partition/part_writer.h"
#include "worker/tools/verify.h"

namespace gnnflow {
namespace {

Status verify_maps(const PartitionDir& partition, const std::string& type) {
  const Array& forward = partition.new_of_original(type);
  const Array& backward = partition.original_of_new(type);
  const int64_t nodes = partition.ranges(type).count();
  TRY(partition.check_maps(type));
  for (int64_t original = 0; original < nodes; ++original) {
    const int64_t id = forward.integer(original);
    if (backward.integer(id) != original) {
      return bad_array(
          forward, fmt::format("position {} says new id {}, but orig_of_new.npy says that this is node {}",
                               original, id, backward.integer(id)));
    }
  }
  for (int part = 0; part < partition.index().parts; ++part) {
    const auto& begin = partition.ranges(type).begin;
    for (int64_t id = begin[static_cast<size_t>(part)] + 1; id < begin[static_cast<size_t>(part) + 1]; ++id) {
      if (backward.integer(id) <= backward.integer(id - 1)) {
        return bad_array(backward, fmt::format("original id {} at position {} does not ascend inside part {}",
                                               backward.integer(id), id, part));
      }
    }
  }
  return {};
}

Status verify_assignment(const PartitionDir& partition, const std::string& type) {
  const auto found = partition.index().arrays.find(fmt::format("assignment/{}.npy", type));
  std::error_code ignored;
  // A host with some parts has no assignment.
  if (found == partition.index().arrays.end() ||
      !fs::exists(partition.folder() / found->second.path, ignored))
    return {};
  TRY(auto assignment, Array::open(partition.folder(), found->second));
  const Ranges& ranges = partition.ranges(type);
  if (assignment.rows() != ranges.count())
    return bad_array(assignment, fmt::format("has {} rows, not {}", assignment.rows(), ranges.count()));
  for (int64_t original = 0; original < ranges.count(); ++original) {
    const int owner = ranges.owner_of(partition.new_of_original(type).integer(original));
    if (assignment.integer(original) != owner) {
      return bad_array(assignment, fmt::format("node {} is in part {}, but its new id is in part {}",
                                               original, assignment.integer(original), owner));
    }
  }
  return {};
}

// The whole graph's lists, before parts are held against them.
Status verify_splits(const PartitionDir& partition) {
  std::set<std::pair<std::string, std::string>> schemes;
  for (const auto& [path, info] : partition.index().arrays) {
    const auto words = split(path, '/');
    if (words.size() == 4 && words[0] == "split") schemes.emplace(words[1], words[2]);
  }
  for (const auto& [type, scheme] : schemes) {
    TRY(auto whole, partition.split(type, scheme));
    TRY(verify_split(whole, partition.ranges(type).count()));
  }
  return {};
}

Status verify_part_json(const PartitionDir& partition, int part) {
  const fs::path path = part_folder(partition.folder(), part) / "part.json";
  TRY(auto text, read_file(path));
  TRY(auto json, Json::parse(text).within(path.string()));
  Fields fields(json, path.string());
  const std::string format = fields.text("format"), graph = fields.text("graph_digest");
  const int64_t version = fields.integer("version"), own = fields.integer("part"),
                parts = fields.integer("parts");
  if (json.has("format") && format != kPartFormat)
    fields.fail(fmt::format("'format' is '{}', not '{}'", format, kPartFormat));
  if (json.has("version") && version != kPartVersion)
    fields.fail(fmt::format("version {} of the format; this program knows {}", version, kPartVersion));
  TRY(fields.finish());
  if (own != part || parts != partition.index().parts || graph != partition.index().graph_digest) {
    return Error{Cause::bad_data,
                 fmt::format("{}: is not of part {} of this partition", path.string(), part)};
  }
  return {};
}

Status verify_degrees(const NodeArrays& node, const RelationArrays& relation) {
  if (!node.degree.present()) return {};
  const auto offsets = relation.indptr.as<int64_t>();
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    if (node.degree.integer(static_cast<int64_t>(i)) != offsets[i + 1] - offsets[i]) {
      return bad_array(node.degree, fmt::format("degree {} at position {}, but the row has {} edges",
                                                node.degree.integer(static_cast<int64_t>(i)), i,
                                                offsets[i + 1] - offsets[i]));
    }
  }
  return {};
}

Status verify_part_nodes(const PartitionDir& partition, const GraphDir& graph, int part,
                         const std::string& type) {
  const NodeArrays& node = graph.node(type);
  const Array& originals = partition.original_of_new(type);
  const int64_t begin = partition.ranges(type).begin[static_cast<size_t>(part)];
  if (!node.original.present()) {
    return Error{Cause::bad_data, fmt::format("{}: has no orig.npy of '{}'", graph.folder().string(), type)};
  }
  for (int64_t i = 0; i < node.count; ++i) {
    if (node.original.integer(i) != originals.integer(begin + i)) {
      return bad_array(node.original, fmt::format("id {} at position {}, but orig_of_new.npy says {}",
                                                  node.original.integer(i), i, originals.integer(begin + i)));
    }
  }
  return {};
}

// The part's lists of a scheme, in original ids, are those ids of the whole's lists that it owns.
Status verify_part_split(const PartitionDir& partition, const GraphDir& graph, int part,
                         const std::string& type, const std::string& scheme, const Split& local) {
  TRY(auto whole, partition.split(type, scheme));
  const std::pair<const Array*, const Array*> sets[] = {
      {&local.train, &whole.train}, {&local.val, &whole.val}, {&local.test, &whole.test}};
  for (const auto& [rows, ids] : sets) {
    int64_t next = 0;
    for (int64_t i = 0; i < ids->rows(); ++i) {
      const int64_t id = ids->integer(i);
      if (partition.ranges(type).owner_of(partition.new_of_original(type).integer(id)) != part) continue;
      if (next >= rows->rows() || graph.node(type).original.integer(rows->integer(next)) != id) {
        return bad_array(*ids, fmt::format("node {} of part {} is not at position {} of {}", id, part, next,
                                           rows->path().string()));
      }
      ++next;
    }
    if (rows->present() && next != rows->rows()) {
      return bad_array(*rows, fmt::format("row at position {} is in no list of the whole graph", next));
    }
  }
  return {};
}

Status verify_part(const PartitionDir& partition, int part, VerifyCounts& counts) {
  TRY(auto graph, partition.open_part(part));
  TRY(verify_part_json(partition, part));
  for (const auto& [name, relation] : graph.relations()) {
    const auto types = RelationName::parse(name);
    TRY(check_ids(relation.indices, partition.ranges(types->source).count()));
    if (graph.relations().size() == 1) TRY(verify_degrees(graph.node(types->destination), relation));
  }
  TRY(verify_graph(graph, INT64_MAX, counts));
  for (const auto& [type, node] : graph.nodes()) {
    TRY(verify_part_nodes(partition, graph, part, type));
    for (const auto& [scheme, split] : node.splits)
      TRY(verify_part_split(partition, graph, part, type, scheme, split));
  }
  ++counts.parts;
  return {};
}

}  // namespace

Status verify_partition(const PartitionDir& partition, VerifyCounts& counts) {
  for (const auto& [type, ranges] : partition.index().ranges) {
    TRY(verify_maps(partition, type));
    TRY(verify_assignment(partition, type));
  }
  TRY(verify_splits(partition));
  for (int part = 0; part < partition.index().parts; ++part) {
    if (partition.has_part(part)) TRY(verify_part(partition, part, counts));
  }
  int64_t edges = 0;
  for (const auto& [name, count] : partition.index().edges) edges += count;
  if (counts.parts == partition.index().parts && counts.edges != edges) {
    return Error{Cause::bad_data,
                 fmt::format("{}: the parts have {} edges together, the index says {}",
                             (partition.folder() / "partition.json").string(), counts.edges, edges)};
  }
  for (const auto& [path, info] : partition.index().arrays) {
    std::error_code ignored;
    if (path.starts_with("assignment/") && !fs::exists(partition.folder() / path, ignored)) continue;
    TRY(verify_digest(partition.folder(), info, counts));
  }
  return {};
}

}  // namespace gnnflow
