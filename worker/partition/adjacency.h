// The undirected view of a graph that partitioners work on: each node's neighbours once, without itself.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/result.h"
#include "common/graph/graph_dir.h"

namespace gnnflow {

struct Adjacency {
  std::vector<int64_t> offsets;     // [nodes + 1]
  std::vector<int32_t> neighbours;  // each pair stands twice
  int64_t nodes() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t pairs() const { return offsets.back() / 2; }
};

// `bad_data` names an index out of range.
Result<Adjacency> undirected_adjacency(const RelationArrays& relation, int64_t nodes);

}  // namespace gnnflow
