// Small graphs on disk for tests, made without the importer so that they can check it.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "common/graph/graph_dir.h"

namespace gnnflow {

struct ToyOptions {
  int64_t nodes = 40;
  int64_t pairs = 120;  // undirected, drawn with a fixed seed; duplicates and loops are left out
  int64_t columns = 3;  // 0: no features
  int64_t classes = 4;
  bool sparse = false;  // sparse feature rows: node i has the columns c with (i + c) % 3 == 0
  uint64_t seed = 1;
};

// The pairs (u, v), u != v, in the order of their rows.
std::vector<std::pair<int64_t, int64_t>> toy_pairs(const ToyOptions& options);

// Feature of a node in a dense toy graph, its label, and its set: 0 train, 1 val, 2 test.
float toy_feature(int64_t node, int64_t column);
int64_t toy_label(const ToyOptions& options, int64_t node);
int toy_set(int64_t node);

// Writes and opens it; a failure is a bug.
GraphDir toy_graph(const fs::path& folder, const ToyOptions& options = {});

}  // namespace gnnflow
