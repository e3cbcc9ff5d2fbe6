// What is kept even between parts, and how even and how cut an assignment is.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "common/base/json.h"
#include "common/graph/graph_dir.h"
#include "worker/partition/adjacency.h"
#include "worker/partition/metis.h"

namespace gnnflow {

// Weights of "nodes", "edges" (in-edges), "train", "val", "test" for each node.
Result<std::vector<BalanceConstraint>> make_constraints(const GraphDir& graph,
                                                        std::span<const std::string> names);

// {edge_cut, pairs, edge_cut_share, remote_edges, balance: {name: largest part over even share}, parts:
// [{nodes, ...}]}. `balance` and `parts` have all weights that the graph has, whatever was asked to be even.
Json partition_report(const GraphDir& graph, const Adjacency& adjacency, std::span<const int32_t> assignment,
                      int parts);

// A small table for a person.
std::string report_text(const Json& report);

}  // namespace gnnflow
