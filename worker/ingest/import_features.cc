// Dense rows become f4; sparse rows and bits become i8 offsets, i4 columns and, where not all are one, f4
// values.
#include "worker/ingest/import_features.h"

#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

// An absent file is an array that is not present.
Result<Array> open_if_there(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return Array();
  return Array::open(path);
}

float from_half(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 31, fraction = half & 1023;
  if (exponent == 0) {  // subnormal: fraction * 2^-24
    const float value = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  const uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

float value_at(const Array& values, int64_t i) {
  const auto at = static_cast<size_t>(i);
  switch (values.dtype()) {
    case Dtype::f4:
      return values.as<float>()[at];
    case Dtype::f8:
      return static_cast<float>(values.as<double>()[at]);
    case Dtype::f2:
      return from_half(values.as<uint16_t>()[at]);
    default:
      return static_cast<float>(values.integer(i));
  }
}

// Divides by the sum of magnitudes; a row of zeros stays.
void normalize(std::span<float> row) {
  double sum = 0;
  for (const float value : row) sum += std::fabs(value);
  if (sum == 0) return;
  for (float& value : row) value = static_cast<float>(value / sum);
}

Status check_finite(std::span<const float> row, int64_t node, const Array& source) {
  for (const float value : row) {
    if (!std::isfinite(value)) return bad_array(source, fmt::format("row {} holds {}", node, value));
  }
  return {};
}

Status write_dense(const SourceFeatures& source, int64_t nodes, bool row_normalize, GraphWriter& writer) {
  const int64_t columns = source.dense.columns();
  TRY(auto out, ArrayWriter::create(writer.folder(), "nodes/node/feat.npy", Dtype::f4, {nodes, columns}));
  std::vector<float> row(static_cast<size_t>(columns));
  for (int64_t i = 0; i < nodes; ++i) {
    for (int64_t c = 0; c < columns; ++c)
      row[static_cast<size_t>(c)] = value_at(source.dense, i * columns + c);
    TRY(check_finite(row, i, source.dense));
    if (row_normalize) normalize(row);
    TRY(out.write_all(std::span<const float>(row)));
  }
  TRY(auto info, out.finish());
  writer.add(std::move(info));
  return {};
}

// Sparse rows in memory: sets of this layout are small, or they would not be bits and 16 bit columns.
struct SparseRows {
  std::vector<int64_t> indptr{0};
  std::vector<int32_t> columns;
  std::vector<float> values;  // empty: all ones
};

Result<SparseRows> rows_of_csr(const SourceFeatures& source, int64_t nodes) {
  SparseRows rows;
  const int64_t entries = source.indices.rows();
  for (int64_t i = 0; i < nodes; ++i) {
    const int64_t from = source.indptr.integer(i), to = source.indptr.integer(i + 1);
    if (from != rows.indptr.back() || to < from || to > entries) {
      return bad_array(source.indptr, fmt::format("row {} runs from {} to {}, with {} entries in all", i,
                                                  from, to, entries));
    }
    for (int64_t at = from; at < to; ++at) {
      const int64_t column = source.indices.integer(at);
      if (column < 0 || column >= source.columns) {
        return bad_array(source.indices,
                         fmt::format("column {} at position {} is not below {}", column, at, source.columns));
      }
      rows.columns.push_back(static_cast<int32_t>(column));
      if (source.values.present()) rows.values.push_back(value_at(source.values, at));
    }
    if (source.values.present()) {
      TRY(check_finite(std::span(rows.values).subspan(static_cast<size_t>(from)), i, source.values));
    }
    rows.indptr.push_back(to);
  }
  if (rows.indptr.back() != entries) {
    return bad_array(source.indptr,
                     fmt::format("ends with {}, but there are {} entries", rows.indptr.back(), entries));
  }
  return rows;
}

SparseRows rows_of_bits(const SourceFeatures& source, int64_t nodes) {
  SparseRows rows;
  const auto bytes = source.bits.as<uint8_t>();
  const int64_t stride = source.bits.columns();
  for (int64_t i = 0; i < nodes; ++i) {
    for (int64_t column = 0; column < source.columns; ++column) {
      if ((bytes[static_cast<size_t>(i * stride + (column >> 3))] >> (column & 7) & 1) != 0) {
        rows.columns.push_back(static_cast<int32_t>(column));
      }
    }
    rows.indptr.push_back(static_cast<int64_t>(rows.columns.size()));
  }
  return rows;
}

void normalize_rows(SparseRows& rows) {
  if (rows.values.empty()) rows.values.assign(rows.columns.size(), 1.0f);
  for (size_t i = 0; i + 1 < rows.indptr.size(); ++i) {
    const auto from = static_cast<size_t>(rows.indptr[i]), to = static_cast<size_t>(rows.indptr[i + 1]);
    normalize(std::span(rows.values).subspan(from, to - from));
  }
}

Status write_sparse(SparseRows rows, bool row_normalize, GraphWriter& writer) {
  if (row_normalize) normalize_rows(rows);
  const fs::path& folder = writer.folder();
  const auto nodes = static_cast<int64_t>(rows.indptr.size()) - 1;
  const auto entries = static_cast<int64_t>(rows.columns.size());
  TRY(auto indptr, write_array(folder, "nodes/node/feat.indptr.npy", Dtype::i8, {nodes + 1},
                               std::span<const int64_t>(rows.indptr)));
  TRY(auto indices, write_array(folder, "nodes/node/feat.indices.npy", Dtype::i4, {entries},
                                std::span<const int32_t>(rows.columns)));
  writer.add(std::move(indptr));
  writer.add(std::move(indices));
  if (rows.values.empty()) return {};
  TRY(auto values, write_array(folder, "nodes/node/feat.values.npy", Dtype::f4, {entries},
                               std::span<const float>(rows.values)));
  writer.add(std::move(values));
  return {};
}

Error too_wide(const Array& array, std::string_view what) {
  return bad_array(array, fmt::format("{}: there can be at most {} columns", what, kMostColumns));
}

// REQUIRES: told_columns are 0 to kMostColumns.
Status set_columns(SourceFeatures& features, int64_t told_columns) {
  features.columns = told_columns;
  if (features.dense.columns() > kMostColumns)
    return too_wide(features.dense, fmt::format("has {}", features.dense.columns()));
  if (features.bits.columns() > kMostColumns / 8)
    return too_wide(features.bits, fmt::format("has {} bytes a row", features.bits.columns()));
  if (features.bits.present()) {
    if (told_columns == 0) features.columns = features.bits.columns() * 8;
    if ((features.columns + 7) / 8 != features.bits.columns()) {
      return bad_array(features.bits, fmt::format("has {} bytes a row, not what {} columns take",
                                                  features.bits.columns(), features.columns));
    }
  } else if (features.indptr.present() && told_columns == 0) {
    for (int64_t i = 0; i < features.indices.rows(); ++i) {
      const int64_t column = features.indices.integer(i);
      if (column >= kMostColumns)
        return too_wide(features.indices, fmt::format("column {} at position {}", column, i));
      features.columns = std::max(features.columns, column + 1);
    }
  }
  return {};
}

bool is_list(const Array& array) { return array.shape().size() == 1; }

Status check_sparse(const SourceFeatures& features, int64_t nodes, const fs::path& folder) {
  const Array &indptr = features.indptr, &indices = features.indices, &values = features.values;
  if (!is_list(indptr) || !is_integer(indptr.dtype()) || indptr.rows() != nodes + 1) {
    return bad_array(indptr, fmt::format("is not a list of {} offsets", nodes + 1));
  }
  if (!indices.present()) {
    return Error{Cause::bad_data,
                 fmt::format("{}: has feat_indptr.npy but no feat_indices.npy", folder.string())};
  }
  if (!is_list(indices) || !is_integer(indices.dtype()))
    return bad_array(indices, "is not a list of columns");
  if (values.present() && (!is_list(values) || values.rows() != indices.rows())) {
    return bad_array(values, fmt::format("is not a list of {} values", indices.rows()));
  }
  return {};
}

}  // namespace

Result<SourceFeatures> open_source_features(const fs::path& folder, int64_t nodes, int64_t told_columns) {
  SourceFeatures features;
  TRY(features.dense, open_if_there(folder / "feat.npy"));
  TRY(features.indptr, open_if_there(folder / "feat_indptr.npy"));
  TRY(features.indices, open_if_there(folder / "feat_indices.npy"));
  TRY(features.values, open_if_there(folder / "feat_values.npy"));
  TRY(features.bits, open_if_there(folder / "feat_bits.npy"));
  const int kinds = (features.dense.present() ? 1 : 0) + (features.indptr.present() ? 1 : 0) +
                    (features.bits.present() ? 1 : 0);
  if (kinds > 1) {
    return Error{
        Cause::bad_data,
        fmt::format("{}: has more than one of feat.npy, feat_indptr.npy, feat_bits.npy", folder.string())};
  }
  for (const Array* table : {&features.dense, &features.bits}) {
    if (table->present() && (table->shape().size() != 2 || table->rows() != nodes)) {
      return bad_array(*table, fmt::format("is not a table of {} rows", nodes));
    }
  }
  if (features.bits.present() && features.bits.dtype() != Dtype::u1)
    return bad_array(features.bits, "holds no u1");
  if (features.indptr.present()) TRY(check_sparse(features, nodes, folder));
  TRY(set_columns(features, told_columns));
  return features;
}

Status write_features(const SourceFeatures& source, int64_t nodes, bool row_normalize, GraphWriter& writer) {
  int64_t columns = source.columns;
  if (source.dense.present()) {
    columns = source.dense.columns();
    TRY(write_dense(source, nodes, row_normalize, writer));
  } else if (source.indptr.present()) {
    TRY(auto rows, rows_of_csr(source, nodes));
    TRY(write_sparse(std::move(rows), row_normalize, writer));
  } else if (source.bits.present()) {
    TRY(write_sparse(rows_of_bits(source, nodes), row_normalize, writer));
  } else {
    return {};
  }
  writer.index().feature_columns["node"] = columns;
  return {};
}

}  // namespace gnnflow
