// Checks of one graph directory, values before digests: a value says where, a digest only that.
#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "worker/tools/verify.h"

namespace gnnflow {
namespace {

bool is_finite(const Array& array, int64_t i) {
  const auto at = static_cast<size_t>(i);
  switch (array.dtype()) {
    case Dtype::f4:
      return std::isfinite(array.as<float>()[at]);
    case Dtype::f8:
      return std::isfinite(array.as<double>()[at]);
    case Dtype::f2:
      return (array.as<uint16_t>()[at] & 0x7c00) != 0x7c00;
    case Dtype::bf16:
      return (array.as<uint16_t>()[at] & 0x7f80) != 0x7f80;
    default:
      return true;
  }
}

Status verify_finite(const Array& array) {
  const int64_t count = array.rows() * array.columns();
  int64_t wrong = 0, first = -1;
  for (int64_t i = 0; i < count; ++i) {
    if (is_finite(array, i)) continue;
    if (wrong++ == 0) first = i;
  }
  if (wrong == 0) return {};
  return bad_array(array, fmt::format("{} values are NaN or infinite, the first in row {}, column {}", wrong,
                                      first / array.columns(), first % array.columns()));
}

Status verify_labels(const NodeArrays& node) {
  if (!node.labels.present()) return {};
  if (!is_integer(node.labels.dtype())) return verify_finite(node.labels);
  const int64_t count = node.labels.rows() * node.labels.columns();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t label = node.labels.integer(i);
    if (label < -1 || label >= std::max<int64_t>(node.classes, 2)) {
      return bad_array(node.labels, fmt::format("label {} at position {} is not below the {} classes", label,
                                                i, node.classes));
    }
  }
  return {};
}

Status verify_node(const NodeArrays& node) {
  if (node.features.present()) TRY(verify_finite(node.features));
  if (node.feature_indices.present()) TRY(check_ids(node.feature_indices, node.feature_columns));
  if (node.feature_values.present()) TRY(verify_finite(node.feature_values));
  TRY(verify_labels(node));
  for (const auto& [scheme, split] : node.splits) TRY(verify_split(split, node.count));
  return {};
}

}  // namespace

Status verify_digest(const fs::path& folder, const ArrayInfo& info, VerifyCounts& counts) {
  TRY(auto digest, digest_of_file(folder / info.path));
  if (digest != info.digest) {
    return Error{Cause::bad_data,
                 fmt::format("{}: its digest is {}, the index says {}: its content was changed",
                             (folder / info.path).string(), digest, info.digest)};
  }
  ++counts.files;
  counts.bytes += info.bytes;
  return {};
}

Status verify_split(const Split& split, int64_t nodes) {
  std::vector<const Array*> owner(static_cast<size_t>(nodes));
  for (const Array* ids : {&split.train, &split.val, &split.test}) {
    if (!ids->present()) continue;
    for (int64_t i = 0; i < ids->rows(); ++i) {
      const int64_t id = ids->integer(i);
      const Array*& other = owner[static_cast<size_t>(id)];
      if (other != nullptr) {
        return bad_array(
            *ids, fmt::format("id {} at position {} is in {} too", id, i, other->path().filename().string()));
      }
      other = ids;
    }
  }
  return {};
}

Status verify_graph(const GraphDir& graph, int64_t sources, VerifyCounts& counts) {
  for (const auto& [type, node] : graph.nodes()) {
    TRY(verify_node(node));
    counts.nodes += node.count;
  }
  for (const auto& [name, relation] : graph.relations()) {
    TRY(check_ids(relation.indices,
                  sources >= 0 ? sources : graph.index().nodes.at(RelationName::parse(name)->source)));
    if (relation.edge_ids.present()) TRY(check_ids(relation.edge_ids, INT64_MAX));
    counts.edges += relation.indices.rows();
  }
  for (const auto& [path, info] : graph.index().arrays) TRY(verify_digest(graph.folder(), info, counts));
  return {};
}

}  // namespace gnnflow
