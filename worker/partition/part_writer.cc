// Rows of the source, picked by the original ids of a part's nodes and written in the order of their new ids.
// Within a destination nothing moves: the order of in-edges is what makes picks the same everywhere.
#include "worker/partition/part_writer.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/graph/array_json.h"

namespace gnnflow {
namespace {

class PartWriter {
 public:
  PartWriter(const GraphDir& graph, const PartPlan& plan, fs::path folder)
      : graph_(graph), plan_(plan), folder_(std::move(folder)) {}

  Result<GraphIndex> write();

 private:
  int64_t count() const { return static_cast<int64_t>(plan_.originals.size()); }
  Status keep(Result<ArrayInfo> info) { return gnnflow::keep(index_.arrays, std::move(info)); }
  Status write_ids(std::string path, Dtype dtype, std::span<const int64_t> ids) {
    return keep(gnnflow::write_ids(folder_, std::move(path), dtype, ids));
  }
  Status write_rows(const Array& source, std::string path);
  Status write_sparse_features(const NodeArrays& node);
  Status write_nodes();
  Status write_splits();
  Status write_edges();
  Status write_part_json();

  const GraphDir& graph_;
  const PartPlan& plan_;
  const fs::path folder_;
  GraphIndex index_;
};

Status PartWriter::write_rows(const Array& source, std::string path) {
  std::vector<int64_t> shape = source.shape();
  shape[0] = count();
  TRY(auto out, ArrayWriter::create(folder_, std::move(path), source.dtype(), std::move(shape)));
  const auto bytes = static_cast<size_t>(source.row_bytes());
  for (const int64_t original : plan_.originals) {
    TRY(out.write(std::span(source.data() + static_cast<size_t>(original) * bytes, bytes)));
  }
  return keep(out.finish());
}

Status PartWriter::write_sparse_features(const NodeArrays& node) {
  const auto offsets = node.feature_indptr.as<int64_t>();
  std::vector<int64_t> indptr{0};
  for (const int64_t original : plan_.originals) {
    const auto at = static_cast<size_t>(original);
    indptr.push_back(indptr.back() + offsets[at + 1] - offsets[at]);
  }
  TRY(write_ids("nodes/node/feat.indptr.npy", Dtype::i8, indptr));
  const std::pair<const Array*, std::string_view> rows[] = {
      {&node.feature_indices, "nodes/node/feat.indices.npy"},
      {&node.feature_values, "nodes/node/feat.values.npy"}};
  for (const auto& [source, path] : rows) {
    if (!source->present()) continue;
    TRY(auto out, ArrayWriter::create(folder_, std::string(path), source->dtype(), {indptr.back()}));
    const int64_t bytes = source->row_bytes();
    for (const int64_t original : plan_.originals) {
      const int64_t from = offsets[static_cast<size_t>(original)],
                    to = offsets[static_cast<size_t>(original) + 1];
      TRY(out.write(std::span(source->data() + from * bytes, static_cast<size_t>((to - from) * bytes))));
    }
    TRY(keep(out.finish()));
  }
  return {};
}

Status PartWriter::write_nodes() {
  const NodeArrays& node = graph_.node();
  TRY(write_ids("nodes/node/orig.npy", dtype_for_ids(node.count), plan_.originals));
  if (node.features.present()) TRY(write_rows(node.features, "nodes/node/feat.npy"));
  if (node.feature_indptr.present()) TRY(write_sparse_features(node));
  if (node.labels.present()) TRY(write_rows(node.labels, "nodes/node/label.npy"));
  const std::string type(kNodeType);
  index_.nodes[type] = count();
  if (graph_.index().classes.contains(type)) index_.classes[type] = node.classes;
  if (node.feature_columns > 0) index_.feature_columns[type] = node.feature_columns;
  return {};
}

Status PartWriter::write_splits() {
  for (const auto& [scheme, split] : graph_.node().splits) {
    const std::pair<const Array*, std::string_view> sets[] = {
        {&split.train, "train"}, {&split.val, "val"}, {&split.test, "test"}};
    for (const auto& [ids, name] : sets) {
      if (!ids->present()) continue;
      std::vector<int64_t> local;
      // Both lists ascend: one walk finds the rows of the ids that this part owns.
      auto at = plan_.originals.begin();
      for (int64_t i = 0; i < ids->rows(); ++i) {
        const int64_t id = ids->integer(i);
        at = std::lower_bound(at, plan_.originals.end(), id);
        if (at != plan_.originals.end() && *at == id) local.push_back(at - plan_.originals.begin());
      }
      TRY(write_ids(fmt::format("split/node/{}/{}.npy", scheme, name), dtype_for_ids(graph_.node().count),
                    local));
    }
  }
  return {};
}

Status PartWriter::write_edges() {
  const RelationArrays& relation = graph_.relation();
  const auto offsets = relation.indptr.as<int64_t>();
  std::vector<int64_t> indptr{0}, degrees;
  for (const int64_t original : plan_.originals) {
    degrees.push_back(offsets[static_cast<size_t>(original) + 1] - offsets[static_cast<size_t>(original)]);
    indptr.push_back(indptr.back() + degrees.back());
  }
  const std::string folder = fmt::format("edges/{}/", kRelation);
  const int64_t total = indptr.back();
  const Dtype id_type =
      relation.edge_ids.present() ? relation.edge_ids.dtype() : dtype_for_ids(relation.indices.rows());
  TRY(auto indices,
      ArrayWriter::create(folder_, folder + "indices.npy", dtype_for_ids(graph_.node().count), {total}));
  TRY(auto ids, ArrayWriter::create(folder_, folder + "edge_ids.npy", id_type, {total}));
  const IdView sources = relation.ids();
  const IdView rows = relation.edge_ids.present() ? IdView(relation.edge_ids) : IdView();
  std::vector<int64_t> new_sources, new_rows;
  for (const int64_t original : plan_.originals) {
    new_sources.clear();
    new_rows.clear();
    for (int64_t at = offsets[static_cast<size_t>(original)]; at < offsets[static_cast<size_t>(original) + 1];
         ++at) {
      new_sources.push_back(plan_.new_of_original[static_cast<size_t>(sources[at])]);
      new_rows.push_back(rows.size() > 0 ? rows[at] : at);
    }
    TRY(indices.write_ids(new_sources));
    TRY(ids.write_ids(new_rows));
  }
  TRY(keep(indices.finish()));
  TRY(keep(ids.finish()));
  TRY(write_ids(folder + "indptr.npy", Dtype::i8, indptr));
  TRY(write_ids("nodes/node/degree.npy", Dtype::i4, degrees));
  index_.edges[std::string(kRelation)] = total;
  return {};
}

Status PartWriter::write_part_json() {
  const Json part = Json::Object{{"format", kPartFormat},
                                 {"version", kPartVersion},
                                 {"part", plan_.part},
                                 {"parts", plan_.parts},
                                 {"graph_digest", plan_.graph_digest}};
  return write_file_atomically(folder_ / "part.json", part.dump_pretty() + "\n");
}

Result<GraphIndex> PartWriter::write() {
  TRY(create_folders(folder_));
  TRY(write_nodes());
  TRY(write_splits());
  TRY(write_edges());
  TRY(write_part_json());
  index_.provenance =
      Json::Object{{"command", "partition"}, {"part", plan_.part}, {"input_digest", plan_.graph_digest}};
  TRY(GraphWriter::write_index(folder_, index_));
  return std::move(index_);
}

}  // namespace

Result<GraphIndex> write_part(const GraphDir& graph, const PartPlan& plan, const fs::path& partition) {
  return PartWriter(graph, plan, part_folder(partition, plan.part)).write();
}

}  // namespace gnnflow
