// Opens a partition directory: its index, the maps between original and new ids, and the parts that lie here.
#include "common/graph/partition_dir.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/text.h"
#include "common/graph/array_json.h"

namespace gnnflow {
namespace {

constexpr std::string_view kFormat = "gnnflow-partition";
constexpr int64_t kVersion = 1;
constexpr int64_t kMostParts = 1 << 16;
constexpr int64_t kIndexLimit = int64_t{64} << 20;

Json ranges_to_json(const std::map<std::string, Ranges>& ranges) {
  Json::Object out;
  for (const auto& [type, range] : ranges) out[type] = Json::Array(range.begin.begin(), range.begin.end());
  return out;
}

Result<std::map<std::string, Ranges>> ranges_from_json(const Json& json, int parts, std::string_view where) {
  std::map<std::string, Ranges> all;
  for (const auto& [type, list] : json.object()) {
    const auto bad = [&] {
      return Error{Cause::bad_data, fmt::format("{}: the ranges of '{}' are not {} ascending numbers from 0",
                                                where, type, parts + 1)};
    };
    if (!is_name(type) || !list.is_array() || list.array().size() != static_cast<size_t>(parts) + 1)
      return bad();
    Ranges& ranges = all[type];
    for (const Json& number : list.array()) {
      if (!number.is_integer()) return bad();
      ranges.begin.push_back(number.integer());
    }
    if (ranges.begin[0] != 0 || !std::is_sorted(ranges.begin.begin(), ranges.begin.end())) return bad();
  }
  return all;
}

Status check(const PartitionIndex& index, std::string_view where) {
  const auto bad = [&](std::string text) {
    return Error{Cause::bad_data, fmt::format("{}: {}", where, text)};
  };
  if (index.part_digests.size() != static_cast<size_t>(index.parts)) {
    return bad(
        fmt::format("{} digests of parts where there are {} parts", index.part_digests.size(), index.parts));
  }
  for (const auto* table : {&index.classes, &index.feature_columns}) {
    for (const auto& [type, count] : *table) {
      if (!index.ranges.contains(type)) return bad(fmt::format("no node type '{}'", type));
    }
  }
  for (const auto& [name, count] : index.edges) {
    const auto relation = RelationName::parse(name);
    if (!relation || !index.ranges.contains(relation->source) ||
        !index.ranges.contains(relation->destination)) {
      return bad(fmt::format("'{}' is no relation between its node types", name));
    }
  }
  return {};
}

Status open_map(const fs::path& folder, const PartitionIndex& index, const std::string& type,
                std::string_view name, Array& array) {
  const std::string path = fmt::format("maps/{}/{}.npy", type, name);
  const auto found = index.arrays.find(path);
  if (found == index.arrays.end()) {
    return Error{Cause::bad_data, fmt::format("{}: partition.json does not name {}", folder.string(), path)};
  }
  TRY(array, Array::open(folder, found->second));
  if (!is_id(array.dtype()) || array.shape().size() != 1 || array.rows() != index.ranges.at(type).count()) {
    return bad_array(array, fmt::format("is not a list of {} ids", index.ranges.at(type).count()));
  }
  return {};
}

}  // namespace

int Ranges::owner_of(NodeId new_id) const {
  return static_cast<int>(std::upper_bound(begin.begin() + 1, begin.end() - 1, new_id) - begin.begin()) - 1;
}

Json PartitionIndex::to_json() const {
  return Json::Object{{"format", kFormat},
                      {"version", kVersion},
                      {"parts", parts},
                      {"method", method},
                      {"seed", seed},
                      {"graph_digest", graph_digest},
                      {"ranges", ranges_to_json(ranges)},
                      {"edges", counts_to_json(edges)},
                      {"classes", counts_to_json(classes)},
                      {"feature_columns", counts_to_json(feature_columns)},
                      {"arrays", arrays_to_json(arrays)},
                      {"part_digests", Json::Array(part_digests.begin(), part_digests.end())},
                      {"report", report},
                      {"options", options}};
}

Result<PartitionIndex> PartitionIndex::from_json(const Json& json, std::string_view where) {
  Fields fields(json, where);
  PartitionIndex index;
  const std::string format = fields.text("format");
  const int64_t version = fields.integer("version");
  const int64_t parts = fields.integer("parts");
  index.method = fields.text("method");
  index.seed = fields.integer("seed");
  index.graph_digest = fields.text("graph_digest");
  const Json& ranges = fields.map("ranges");
  const Json& edges = fields.map("edges");
  const Json& classes = fields.map("classes");
  const Json& columns = fields.map("feature_columns");
  const Json& arrays = fields.map("arrays");
  for (const Json& digest : fields.list("part_digests").array()) {
    if (!digest.is_string()) fields.fail("'part_digests' is not a list of texts");
    index.part_digests.push_back(digest.is_string() ? digest.string() : "");
  }
  index.report = fields.any("report");
  index.options = fields.any("options");
  if (json.has("format") && format != kFormat)
    fields.fail(fmt::format("'format' is '{}', not '{}'", format, kFormat));
  if (json.has("version") && version != kVersion) {
    fields.fail(fmt::format("version {} of the format; this program knows {}", version, kVersion));
  }
  if (json.has("parts") && (parts < 1 || parts > kMostParts)) {
    fields.fail(fmt::format("'parts' is {}, not 1 to {}", parts, kMostParts));
  }
  TRY(fields.finish());
  index.parts = static_cast<int>(parts);
  TRY(index.ranges, ranges_from_json(ranges, index.parts, where));
  TRY(index.edges, counts_from_json(edges, where));
  TRY(index.classes, counts_from_json(classes, where));
  TRY(index.feature_columns, counts_from_json(columns, where));
  TRY(index.arrays, arrays_from_json(arrays, where));
  TRY(check(index, where));
  return index;
}

std::string PartitionIndex::digest() const {
  Digester digester;
  digester.add_field(kFormat);
  digester.add_field(graph_digest);
  for (const auto& [type, range] : ranges) {
    digester.add_field(type);
    digester.add_field(fmt::format("{}", fmt::join(range.begin, ",")));
  }
  digest_counts("edges", edges, digester);
  digest_counts("classes", classes, digester);
  digest_counts("feature_columns", feature_columns, digester);
  digest_arrays(arrays, digester);
  for (const std::string& part : part_digests) digester.add_field(part);
  return digester.text();
}

bool is_partition(const fs::path& folder) {
  std::error_code ignored;
  return fs::is_regular_file(folder / "partition.json", ignored);
}

fs::path part_folder(const fs::path& partition, int part) { return partition / fmt::format("part-{}", part); }

Result<PartitionDir> PartitionDir::open(const fs::path& folder) {
  if (!is_partition(folder)) {
    return Error{Cause::not_found,
                 fmt::format("{} is not a partition directory: it has no partition.json", folder.string())};
  }
  const std::string where = (folder / "partition.json").string();
  TRY(auto text, read_file(folder / "partition.json", kIndexLimit));
  TRY(auto json, Json::parse(text).within(where));
  PartitionDir partition;
  partition.folder_ = folder;
  TRY(partition.index_, PartitionIndex::from_json(json, where));
  for (const auto& [type, range] : partition.index_.ranges) {
    TRY(open_map(folder, partition.index_, type, "new_of_orig", partition.new_of_original_[type]));
    TRY(open_map(folder, partition.index_, type, "orig_of_new", partition.original_of_new_[type]));
  }
  return partition;
}

const Ranges& PartitionDir::ranges(std::string_view type) const {
  const auto found = index_.ranges.find(std::string(type));
  if (found == index_.ranges.end()) bug(fmt::format("no node type '{}' in {}", type, folder_.string()));
  return found->second;
}

bool PartitionDir::has_part(int part) const { return is_graph(part_folder(folder_, part)); }

Result<GraphDir> PartitionDir::open_part(int part) const {
  if (part < 0 || part >= index_.parts) {
    return Error{Cause::not_found,
                 fmt::format("{} has parts 0 to {}, no part {}", folder_.string(), index_.parts - 1, part)};
  }
  TRY(auto graph, GraphDir::open(part_folder(folder_, part)));
  const std::string digest = graph.index().digest();
  if (digest != index_.part_digests[static_cast<size_t>(part)]) {
    return Error{
        Cause::bad_data,
        fmt::format("{}: its digest is {}, partition.json says {}: it is of another partition, or damaged",
                    graph.folder().string(), digest, index_.part_digests[static_cast<size_t>(part)])};
  }
  for (const auto& [type, ranges] : index_.ranges) {
    const int64_t count =
        ranges.begin[static_cast<size_t>(part) + 1] - ranges.begin[static_cast<size_t>(part)];
    if (!graph.nodes().contains(type) || graph.node(type).count != count) {
      return Error{Cause::bad_data,
                   fmt::format("{}: partition.json says {} nodes of type '{}', the part has another number",
                               graph.folder().string(), count, type)};
    }
  }
  return graph;
}

const Array& PartitionDir::new_of_original(std::string_view type) const {
  ranges(type);
  return new_of_original_.at(std::string(type));
}

const Array& PartitionDir::original_of_new(std::string_view type) const {
  ranges(type);
  return original_of_new_.at(std::string(type));
}

Status PartitionDir::check_maps(std::string_view type) const {
  const int64_t nodes = ranges(type).count();
  TRY(check_ids(new_of_original(type), nodes));
  return check_ids(original_of_new(type), nodes);
}

Result<Split> PartitionDir::split(std::string_view type, std::string_view scheme) const {
  Split split;
  const auto range = index_.ranges.find(std::string(type));
  if (range == index_.ranges.end())
    return Error{Cause::bad_data, fmt::format("{}: no node type '{}'", folder_.string(), type)};
  const std::pair<std::string_view, Array*> rows[] = {
      {"train", &split.train}, {"val", &split.val}, {"test", &split.test}};
  for (const auto& [name, array] : rows) {
    const auto found = index_.arrays.find(fmt::format("split/{}/{}/{}.npy", type, scheme, name));
    if (found == index_.arrays.end()) continue;
    TRY(*array, Array::open(folder_, found->second));
    TRY(check_split(*array, range->second.count()));
  }
  return split;
}

}  // namespace gnnflow
