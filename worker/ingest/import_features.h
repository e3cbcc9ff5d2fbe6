// Features of an imported set: a dense table, sparse rows, or bits, brought to what the graph directory
// holds.
#pragma once

#include <limits>

#include "common/graph/graph_dir.h"

namespace gnnflow {

constexpr int64_t kMostColumns = std::numeric_limits<int32_t>::max();  // those of sparse rows are i4

// The arrays of the source; which are present says which kind it is.
struct SourceFeatures {
  Array dense;                    // [N, D] f4 or u1
  Array indptr, indices, values;  // [N + 1], [nnz], [nnz] (absent: all ones)
  Array bits;                     // [N, ceil(D / 8)] u1, least significant first
  int64_t columns = 0;            // D of sparse rows and bits
};

// Opens what lies in the folder. `told_columns`: D as the set's description says, 0 if it does not.
Result<SourceFeatures> open_source_features(const fs::path& folder, int64_t nodes, int64_t told_columns);

// Writes feat.npy, or feat.{indptr,indices,values}.npy. NaN and infinities are refused with their row.
Status write_features(const SourceFeatures& source, int64_t nodes, bool row_normalize, GraphWriter& writer);

}  // namespace gnnflow
