// graph.json: counts, arrays and provenance, and the digest that is the identity of a graph's content.
#include <fmt/format.h>

#include "common/base/text.h"
#include "common/graph/array_json.h"
#include "common/graph/graph_dir.h"

namespace gnnflow {
namespace {

constexpr std::string_view kFormat = "gnnflow-graph";
constexpr int64_t kVersion = 1;

Status check_names(const GraphIndex& index, std::string_view where) {
  const auto bad = [&](std::string text) {
    return Error{Cause::bad_data, fmt::format("{}: {}", where, text)};
  };
  for (const auto& [type, count] : index.nodes) {
    if (!is_name(type)) return bad(fmt::format("'{}' is no name of a node type", type));
  }
  for (const auto& [relation, count] : index.edges) {
    const auto name = RelationName::parse(relation);
    if (!name) return bad(fmt::format("'{}' is no relation: write source.relation.destination", relation));
    for (const std::string& type : {name->source, name->destination}) {
      if (!index.nodes.contains(type))
        return bad(fmt::format("relation '{}': no node type '{}'", relation, type));
    }
  }
  for (const auto* table : {&index.classes, &index.feature_columns}) {
    for (const auto& [type, count] : *table) {
      if (!index.nodes.contains(type)) return bad(fmt::format("no node type '{}'", type));
    }
  }
  return {};
}

}  // namespace

std::optional<RelationName> RelationName::parse(std::string_view text) {
  auto words = split(text, '.');
  if (words.size() != 3 || !is_name(words[0]) || !is_name(words[1]) || !is_name(words[2]))
    return std::nullopt;
  return RelationName{std::move(words[0]), std::move(words[1]), std::move(words[2])};
}

Json GraphIndex::to_json() const {
  return Json::Object{{"format", kFormat},
                      {"version", kVersion},
                      {"nodes", counts_to_json(nodes)},
                      {"edges", counts_to_json(edges)},
                      {"classes", counts_to_json(classes)},
                      {"feature_columns", counts_to_json(feature_columns)},
                      {"arrays", arrays_to_json(arrays)},
                      {"provenance", provenance}};
}

Result<GraphIndex> GraphIndex::from_json(const Json& json, std::string_view where) {
  Fields fields(json, where);
  const std::string format = fields.text("format");
  const int64_t version = fields.integer("version");
  const Json& nodes = fields.map("nodes");
  const Json& edges = fields.map("edges");
  const Json& classes = fields.map("classes");
  const Json& columns = fields.map("feature_columns");
  const Json& arrays = fields.map("arrays");
  GraphIndex index;
  index.provenance = fields.any("provenance");
  if (json.has("format") && format != kFormat)
    fields.fail(fmt::format("'format' is '{}', not '{}'", format, kFormat));
  if (json.has("version") && version != kVersion) {
    fields.fail(fmt::format("version {} of the format; this program knows {}", version, kVersion));
  }
  TRY(fields.finish());
  TRY(index.nodes, counts_from_json(nodes, where));
  TRY(index.edges, counts_from_json(edges, where));
  TRY(index.classes, counts_from_json(classes, where));
  TRY(index.feature_columns, counts_from_json(columns, where));
  TRY(index.arrays, arrays_from_json(arrays, where));
  TRY(check_names(index, where));
  return index;
}

std::string GraphIndex::digest() const {
  Digester digester;
  digester.add_field(kFormat);
  digest_counts("nodes", nodes, digester);
  digest_counts("edges", edges, digester);
  digest_counts("classes", classes, digester);
  digest_counts("feature_columns", feature_columns, digester);
  digest_arrays(arrays, digester);
  return digester.text();
}

const ArrayInfo* GraphIndex::array(std::string_view path) const {
  const auto found = arrays.find(std::string(path));
  return found == arrays.end() ? nullptr : &found->second;
}

}  // namespace gnnflow
