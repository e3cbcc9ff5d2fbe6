// Import: check the source's arrays, write edges, features, labels and splits, remember where it came from.
#include "worker/ingest/import.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "common/base/digest.h"
#include "common/base/text.h"
#include "worker/ingest/import_features.h"

namespace gnnflow {
namespace {

constexpr std::pair<std::string_view, SelfLoops> kSelfLoops[] = {
    {"keep", SelfLoops::keep}, {"drop", SelfLoops::drop}, {"add", SelfLoops::add}};

constexpr int64_t kMostClasses = std::numeric_limits<int32_t>::max();

// What dataset.json says, where there is one. It comes with the set: keys that are not for us are passed
// over.
struct Description {
  std::string name;
  int64_t columns = 0;  // 0: it does not say
};

Result<Description> read_description(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return Description();
  TRY(auto text, read_file(path, int64_t{1} << 20));
  TRY(const Json json, Json::parse(text).within(path.string()));
  const auto bad = [&](std::string_view what) {
    return Error{Cause::bad_data, fmt::format("{}: {}", path.string(), what)};
  };
  if (!json.is_object()) return bad(fmt::format("must be a map, but is {}", json.type_name()));
  if (json.has("name") && !json.get("name").is_string()) return bad("'name' is not a text");
  const Json& columns = json.get("num_features");
  if (json.has("num_features") &&
      (!columns.is_integer() || columns.integer() < 0 || columns.integer() > kMostColumns)) {
    return bad(fmt::format("'num_features' is {}, not a number from 0 to {}", columns.dump(), kMostColumns));
  }
  return Description{json.text_or("name", ""), json.integer_or("num_features", 0)};
}

struct Source {
  fs::path folder;
  Description description;
  Array edges, labels;
  SourceFeatures features;
  int64_t nodes = 0;
};

Result<Source> open_source(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    return Error{Cause::not_found, fmt::format("{}: no such folder to import", folder.string())};
  }
  Source source;
  source.folder = folder;
  TRY(source.description, read_description(folder / "dataset.json"));
  for (const auto& [name, array] :
       {std::pair{"edge_index.npy", &source.edges}, {"label.npy", &source.labels}}) {
    if (!fs::exists(folder / name, ignored)) {
      return Error{Cause::not_found,
                   fmt::format("{} has no {}: not a set of one node type", folder.string(), name)};
    }
    TRY(*array, Array::open(folder / name));
  }
  if (source.labels.shape().size() != 1 || !is_integer(source.labels.dtype()))
    return bad_array(source.labels, "is not a list of integers");
  source.nodes = source.labels.rows();
  TRY(source.features, open_source_features(folder, source.nodes, source.description.columns));
  return source;
}

// Rows of edge_index [2, E] as two views.
Result<EdgeList> edges_of(const Source& source) {
  const Array& index = source.edges;
  if (!is_id(index.dtype()) || index.shape().size() != 2 || index.rows() != 2)
    return bad_array(index, "is not [2, E] of i4 or i8");
  const IdView all(index);
  const int64_t count = index.columns();
  for (int64_t i = 0; i < 2 * count; ++i) {
    if (all[i] < 0 || all[i] >= source.nodes) {
      return bad_array(index, fmt::format("id {} at [{}, {}] is not below the {} nodes", all[i], i / count,
                                          i % count, source.nodes));
    }
  }
  return EdgeList{all.slice(0, count), all.slice(count, count), source.nodes};
}

Status write_labels(const Source& source, GraphWriter& writer) {
  int64_t classes = 0;
  for (int64_t i = 0; i < source.nodes; ++i) {
    const int64_t label = source.labels.integer(i);
    if (label < -1) return bad_array(source.labels, fmt::format("label {} of node {} is below -1", label, i));
    if (label >= kMostClasses) {
      return bad_array(source.labels, fmt::format("label {} of node {}: there can be at most {} classes",
                                                  label, i, kMostClasses));
    }
    classes = std::max(classes, label + 1);
  }
  TRY(auto writer_of_labels,
      ArrayWriter::create(writer.folder(), "nodes/node/label.npy", source.labels.dtype(), {source.nodes}));
  TRY(writer_of_labels.write(
      std::span(source.labels.data(), static_cast<size_t>(source.nodes * source.labels.row_bytes()))));
  TRY(auto info, writer_of_labels.finish());
  writer.add(std::move(info));
  writer.index().classes["node"] = classes;
  return {};
}

Result<std::vector<int64_t>> sorted_set(const Array& array, int64_t nodes) {
  if (!is_integer(array.dtype()) || array.shape().size() != 1)
    return bad_array(array, "is not a list of ids");
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < array.rows(); ++i) {
    ids.push_back(array.integer(i));
    if (ids.back() < 0 || ids.back() >= nodes) {
      return bad_array(array,
                       fmt::format("id {} at position {} is not below the {} nodes", ids.back(), i, nodes));
    }
  }
  std::sort(ids.begin(), ids.end());
  const auto twice = std::adjacent_find(ids.begin(), ids.end());
  if (twice != ids.end()) return bad_array(array, fmt::format("has node {} twice", *twice));
  return ids;
}

Status write_splits(const Source& source, GraphWriter& writer) {
  std::vector<std::string_view> set_of(static_cast<size_t>(source.nodes));
  for (const std::string_view name : {"train", "val", "test"}) {
    const fs::path path = source.folder / fmt::format("{}_idx.npy", name);
    std::error_code ignored;
    if (!fs::exists(path, ignored)) continue;
    TRY(auto array, Array::open(path));
    TRY(auto ids, sorted_set(array, source.nodes));
    for (const int64_t id : ids) {
      std::string_view& set = set_of[static_cast<size_t>(id)];
      if (!set.empty()) return bad_array(array, fmt::format("node {} is in {} already", id, set));
      set = name;
    }
    TRY(auto info, write_ids(writer.folder(), fmt::format("split/node/{}/{}.npy", kScheme, name),
                             dtype_for_ids(source.nodes), ids));
    writer.add(std::move(info));
  }
  return {};
}

// Over names and contents of the source's arrays.
Result<std::string> digest_of_source(const fs::path& folder) {
  Digester digester;
  for (const std::string_view name : {"edge_index", "feat", "feat_indptr", "feat_indices", "feat_values",
                                      "feat_bits", "label", "train_idx", "val_idx", "test_idx"}) {
    const fs::path path = folder / fmt::format("{}.npy", name);
    std::error_code ignored;
    if (!fs::exists(path, ignored)) continue;
    TRY(auto digest, digest_of_file(path));
    digester.add_field(name);
    digester.add_field(digest);
  }
  return digester.text();
}

}  // namespace

Result<ImportOptions> ImportOptions::from_json(const Json& json) {
  Fields fields(json, "import", Cause::bad_workflow);
  ImportOptions options;
  options.undirected = fields.boolean_or("undirected", options.undirected);
  options.row_normalize = fields.boolean_or("row_normalize", options.row_normalize);
  const std::string loops = fields.text_or("self_loops", "keep");
  const std::string format = fields.text_or("format", "npy");
  if (format != "npy") fields.fail(fmt::format("unknown format '{}': there is npy", format));
  const auto* found = std::find_if(std::begin(kSelfLoops), std::end(kSelfLoops),
                                   [&](const auto& row) { return row.first == loops; });
  if (found == std::end(kSelfLoops)) {
    fields.fail(fmt::format("'self_loops' is '{}', not keep, drop or add", loops));
  } else {
    options.self_loops = found->second;
  }
  TRY(fields.finish());
  return options;
}

Json ImportOptions::to_json() const {
  const auto* found = std::find_if(std::begin(kSelfLoops), std::end(kSelfLoops),
                                   [&](const auto& row) { return row.second == self_loops; });
  return Json::Object{
      {"undirected", undirected}, {"row_normalize", row_normalize}, {"self_loops", found->first}};
}

Result<GraphIndex> import_graph(const fs::path& folder, const fs::path& target, const ImportOptions& options,
                                const ProgressSink& progress) {
  TRY(auto source, open_source(folder));
  TRY(auto writer, GraphWriter::create(target));
  GraphIndex& index = writer.index();
  index.nodes[std::string(kNodeType)] = source.nodes;
  TRY(auto edges, edges_of(source));
  TRY(write_in_edges(edges, {options.undirected, options.self_loops}, kRelation, writer, progress));
  progress({"writing features", 0, source.nodes, "nodes", ""});
  TRY(write_features(source.features, source.nodes, options.row_normalize, writer));
  TRY(write_labels(source, writer));
  TRY(write_splits(source, writer));
  TRY(auto digest, digest_of_source(folder));
  index.provenance =
      Json::Object{{"command", "import"}, {"options", options.to_json()}, {"input_digest", digest}};
  if (!source.description.name.empty()) index.provenance["name"] = source.description.name;
  return writer.commit();
}

}  // namespace gnnflow
