// METIS behind plain vectors: the one place that knows it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/partition/adjacency.h"

namespace gnnflow {

struct MetisOptions {
  int parts = 2;
  int64_t seed = 0;
  double imbalance = 1.05;
  int64_t memory = 0;  // bytes it may take; 0: what the machine has left
};

// One weight per node, and its name for messages.
struct BalanceConstraint {
  std::string name;
  std::vector<int32_t> weights;  // not negative
};

// The part of each node. Not thread-safe: METIS draws from the C library's rand(), whose state is the
// process's. `no_resources` names the number when the graph does not fit into 32 bits or memory.
Result<std::vector<int32_t>> metis_assignment(const Adjacency& adjacency,
                                              const std::vector<BalanceConstraint>& constraints,
                                              const MetisOptions& options);

// Bytes that METIS takes beside its input, as measured on products-shaped graphs (docs/formats.md).
int64_t metis_memory(int64_t nodes, int64_t neighbours, int64_t constraints);
int64_t memory_left();  // of the machine, or of our control group when that is less

}  // namespace gnnflow
