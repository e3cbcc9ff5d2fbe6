// Neighbours and rows straight from mapped files. Ids are compared with counts where they are used.
#include "worker/graph_server/mapped_part.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include <fmt/format.h>

namespace gnnflow {
namespace {

constexpr size_t kRowsAhead = 8;  // rows between touching one and copying it

Result<RowType> row_type_of(const Array& array) {
  switch (array.dtype()) {
    case Dtype::f4:
      return RowType::f32;
    case Dtype::f2:
      return RowType::f16;
    case Dtype::bf16:
      return RowType::bf16;
    case Dtype::u1:
      return RowType::u8;
    default:
      break;
  }
  return Error{Cause::bad_data, fmt::format("{}: features of type {}; give f4, f2, bf16 or u1",
                                            array.path().string(), name_of(array.dtype()))};
}

}  // namespace

Result<std::shared_ptr<const MappedPart>> MappedPart::open(const PartitionDir& partition, int part) {
  std::shared_ptr<MappedPart> mapped(new MappedPart());
  mapped->part_ = part;
  TRY(mapped->graph_, partition.open_part(part));
  for (const auto& [type, ranges] : partition.index().ranges) TRY(mapped->add_nodes(partition, type));
  for (const auto& [name, edges] : partition.index().edges) TRY(mapped->add_relation(partition, name));
  return std::shared_ptr<const MappedPart>(std::move(mapped));
}

Status MappedPart::add_nodes(const PartitionDir& partition, const std::string& type) {
  const NodeArrays& arrays = graph_.node(type);
  const Ranges& ranges = partition.ranges(type);
  if (ranges.count() > std::numeric_limits<int32_t>::max()) {
    return Error{Cause::bad_data,
                 fmt::format("{} nodes of type '{}': ids must fit 31 bits", ranges.count(), type)};
  }
  if (!arrays.original.present()) {
    return Error{Cause::bad_data,
                 fmt::format("{}: nodes/{}/orig.npy is missing", graph_.folder().string(), type)};
  }
  NodeRows& nodes = nodes_[type];
  nodes.first = ranges.begin[static_cast<size_t>(part_)];
  nodes.count = arrays.count;
  nodes.columns = arrays.feature_columns;
  nodes.arrays = &arrays;
  if (arrays.features.present()) {
    TRY(const RowType row_type, row_type_of(arrays.features));
    nodes.dense = {arrays.features.data(), nodes.count, nodes.columns, row_type};
  }
  return {};
}

Status MappedPart::add_relation(const PartitionDir& partition, const std::string& name) {
  if (!graph_.relations().contains(name)) {
    return Error{Cause::bad_data, fmt::format("{} has no relation '{}'", graph_.folder().string(), name)};
  }
  const RelationArrays& arrays = graph_.relation(name);
  const std::optional<RelationName> ends = RelationName::parse(name);
  const NodeArrays& destinations = graph_.node(ends->destination);
  const IdView indices = arrays.ids(), originals(destinations.original);
  RelationRows& relation = relations_[name];
  relation.first = partition.ranges(ends->destination).begin[static_cast<size_t>(part_)];
  relation.file = arrays.indices.path().string();
  relation.view = {.indptr = arrays.indptr.as<int64_t>().data(),
                   .indices32 = indices.narrow(),
                   .indices64 = indices.wide(),
                   .rows = destinations.count,
                   .node_limit = partition.ranges(ends->source).count(),
                   .originals32 = originals.narrow(),
                   .originals64 = originals.wide()};
  return {};
}

int64_t MappedPart::columns(std::string_view type) const {
  const auto found = nodes_.find(type);
  return found == nodes_.end() ? 0 : found->second.columns;
}

RowType MappedPart::row_type(std::string_view type) const {
  const auto found = nodes_.find(type);
  if (found == nodes_.end()) return RowType::f32;
  const NodeRows& nodes = found->second;
  if (!nodes.sparse()) return nodes.dense.type;
  return nodes.arrays->feature_values.present() ? RowType::f32 : RowType::u8;
}

Result<const MappedPart::NodeRows*> MappedPart::features_of(std::string_view type) const {
  const auto found = nodes_.find(type);
  if (found == nodes_.end()) return Error{Cause::bad_data, fmt::format("there is no node type '{}'", type)};
  if (found->second.columns == 0)
    return Error{Cause::bad_data, fmt::format("node type '{}' has no features", type)};
  return &found->second;
}

Result<const MappedPart::RelationRows*> MappedPart::relation_of(std::string_view name) const {
  const auto found = relations_.find(name);
  if (found == relations_.end())
    return Error{Cause::bad_data, fmt::format("there is no relation '{}'", name)};
  return &found->second;
}

Status MappedPart::draw(std::string_view name, uint64_t layer_key, int fanout, std::span<const int32_t> nodes,
                        Buffer<int32_t>& offsets, Buffer<int32_t>& sources) const {
  TRY(const RelationRows* relation, relation_of(name));
  return draw_rows(relation->view, layer_key, fanout, nodes, relation->first, offsets, sources)
      .within(relation->file);
}

Result<int64_t> MappedPart::bound(std::string_view name, int fanout, std::span<const int32_t> nodes) const {
  TRY(const RelationRows* relation, relation_of(name));
  for (const int32_t node : nodes) {
    if (static_cast<uint64_t>(node - relation->first) >= static_cast<uint64_t>(relation->view.rows)) {
      return Error{Cause::bad_data, fmt::format("node {} is not one of part {}", node, part_)};
    }
  }
  return bound_of_edges(relation->view, fanout, nodes, relation->first);
}

int64_t MappedPart::original_of(std::string_view name, int32_t destination) const {
  const RelationRows& relation = relations_.find(name)->second;
  const auto row = static_cast<size_t>(destination - relation.first);
  return relation.view.originals32 != nullptr ? relation.view.originals32[row]
                                              : relation.view.originals64[row];
}

Status MappedPart::check(const NodeRows& nodes, std::span<const int32_t> ids) const {
  for (const int32_t id : ids) {
    if (static_cast<uint64_t>(id - nodes.first) >= static_cast<uint64_t>(nodes.count)) {
      return Error{Cause::bad_data, fmt::format("node {} is not one of part {}", id, part_)};
    }
  }
  return {};
}

template <typename T>
Status MappedPart::sparse_row(const NodeRows& nodes, int64_t row, T* out) const {
  const NodeArrays& arrays = *nodes.arrays;
  const auto indptr = arrays.feature_indptr.as<int64_t>();
  const auto indices = arrays.feature_indices.as<int32_t>();
  const auto at = static_cast<size_t>(row);
  std::fill_n(out, nodes.columns, T{0});
  for (auto i = static_cast<size_t>(indptr[at]); i < static_cast<size_t>(indptr[at + 1]); ++i) {
    if (indices[i] < 0 || indices[i] >= nodes.columns) {
      return Error{Cause::bad_data,
                   fmt::format("{}: position {} is {}, but there are {} columns",
                               arrays.feature_indices.path().string(), i, indices[i], nodes.columns)};
    }
    const float value = arrays.feature_values.present() ? arrays.feature_values.as<float>()[i] : 1.0f;
    out[indices[i]] = static_cast<T>(value);
  }
  return {};
}

Status MappedPart::rows(std::string_view type, std::span<const int32_t> ids,
                        std::span<const int32_t> positions, float* out, int64_t stride,
                        Buffer<int32_t>& scratch) const {
  TRY(const NodeRows* nodes, features_of(type));
  TRY(check(*nodes, ids));
  if (nodes->sparse()) {
    for (size_t i = 0; i < ids.size(); ++i) {
      const int64_t to = positions.empty() ? static_cast<int64_t>(i) : positions[i];
      TRY(sparse_row(*nodes, ids[i] - nodes->first, out + to * stride));
    }
    return {};
  }
  scratch.resize(ids.size());
  const auto first = static_cast<int32_t>(nodes->first);
  std::transform(ids.begin(), ids.end(), scratch.begin(), [first](int32_t id) { return id - first; });
  const int64_t bad = positions.empty()
                          ? kernels().gather(nodes->dense, scratch.span(), out, stride)
                          : kernels().place(nodes->dense, scratch.span(), positions, out, stride);
  if (bad >= 0) bug("MappedPart::rows: a checked id is out of range");
  return {};
}

Status MappedPart::packed_rows(std::string_view type, std::span<const int32_t> ids, std::byte* out) const {
  TRY(const NodeRows* nodes, features_of(type));
  TRY(check(*nodes, ids));
  const int64_t row_bytes = nodes->columns * bytes_of(row_type(type));
  const std::byte* table = nodes->dense.data;
  for (size_t i = 0; i < ids.size(); ++i, out += row_bytes) {
    const int64_t row = ids[i] - nodes->first;
    if (nodes->sparse()) {
      if (nodes->arrays->feature_values.present()) {
        TRY(sparse_row(*nodes, row, reinterpret_cast<float*>(out)));
      } else {
        TRY(sparse_row(*nodes, row, reinterpret_cast<uint8_t*>(out)));
      }
      continue;
    }
    if (i + kRowsAhead < ids.size()) {
      const std::byte* ahead = table + (ids[i + kRowsAhead] - nodes->first) * row_bytes;
      for (int64_t line = 0; line < row_bytes; line += 64) __builtin_prefetch(ahead + line);
    }
    std::memcpy(out, table + row * row_bytes, static_cast<size_t>(row_bytes));
  }
  return {};
}

}  // namespace gnnflow
