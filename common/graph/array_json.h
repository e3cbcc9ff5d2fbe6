// What graph.json and partition.json both say of arrays.
#pragma once

#include <map>
#include <string>

#include "common/base/json.h"
#include "common/graph/array_file.h"

namespace gnnflow {

using ArrayTable = std::map<std::string, ArrayInfo>;  // by path

// Puts in what was written, under its path.
Status keep(ArrayTable& arrays, Result<ArrayInfo> written);
Json arrays_to_json(const ArrayTable& arrays);
Result<ArrayTable> arrays_from_json(const Json& json, std::string_view where);
// Adds paths, types, shapes and digests: what the arrays are, not where they lie.
void digest_arrays(const ArrayTable& arrays, Digester& digester);

// {"name": number, ...}, numbers not negative.
Json counts_to_json(const std::map<std::string, int64_t>& counts);
Result<std::map<std::string, int64_t>> counts_from_json(const Json& json, std::string_view where);
void digest_counts(std::string_view what, const std::map<std::string, int64_t>& counts, Digester& digester);

}  // namespace gnnflow
