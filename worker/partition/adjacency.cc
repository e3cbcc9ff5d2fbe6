// Makes the undirected view. A graph that has every reverse already (found by comparing a sum of hashes over
// its edges with the sum over their reverses) is taken row by row; any other gets its reverses by a counting
// sort.
#include "worker/partition/adjacency.h"

#include <fmt/format.h>

#include "common/sampler/pick.h"

namespace gnnflow {
namespace {

struct Rows {
  std::span<const int64_t> indptr;
  IdView sources;
};

// visit(destination, source) over all edges but self loops.
template <typename Visit>
void each_edge(const Rows& rows, Visit visit) {
  for (int64_t to = 0; to + 1 < static_cast<int64_t>(rows.indptr.size()); ++to) {
    for (int64_t at = rows.indptr[static_cast<size_t>(to)]; at < rows.indptr[static_cast<size_t>(to) + 1];
         ++at) {
      if (rows.sources[at] != to) visit(to, rows.sources[at]);
    }
  }
}

bool has_all_reverses(const Rows& rows) {
  uint64_t forward = 0, backward = 0;
  each_edge(rows, [&](int64_t to, int64_t from) {
    const auto a = static_cast<uint64_t>(to), b = static_cast<uint64_t>(from);
    forward += mum(a ^ kPickC0, mum(b ^ kPickC1, kPickC2));
    backward += mum(b ^ kPickC0, mum(a ^ kPickC1, kPickC2));
  });
  return forward == backward;
}

// Leaves the first of equal neighbours of each node, in place.
void drop_duplicates(Adjacency& adjacency) {
  std::vector<int64_t> last(static_cast<size_t>(adjacency.nodes()), -1);
  int64_t kept = 0;
  for (int64_t i = 0; i < adjacency.nodes(); ++i) {
    const int64_t from = adjacency.offsets[static_cast<size_t>(i)],
                  to = adjacency.offsets[static_cast<size_t>(i) + 1];
    adjacency.offsets[static_cast<size_t>(i)] = kept;
    for (int64_t at = from; at < to; ++at) {
      const int32_t neighbour = adjacency.neighbours[static_cast<size_t>(at)];
      if (last[static_cast<size_t>(neighbour)] == i) continue;
      last[static_cast<size_t>(neighbour)] = i;
      adjacency.neighbours[static_cast<size_t>(kept++)] = neighbour;
    }
  }
  adjacency.offsets.back() = kept;
  adjacency.neighbours.resize(static_cast<size_t>(kept));
}

Status check_range(const RelationArrays& relation, int64_t nodes) {
  const IdView sources = relation.ids();
  for (int64_t at = 0; at < sources.size(); ++at) {
    if (sources[at] < 0 || sources[at] >= nodes) {
      return Error{Cause::bad_data, fmt::format("{}: id {} at position {} is not below the {} nodes",
                                                relation.indices.path().string(), sources[at], at, nodes)};
    }
  }
  return {};
}

}  // namespace

Result<Adjacency> undirected_adjacency(const RelationArrays& relation, int64_t nodes) {
  TRY(check_range(relation, nodes));
  const Rows rows{relation.indptr.as<int64_t>(), relation.ids()};
  const bool add_reverses = !has_all_reverses(rows);
  Adjacency adjacency;
  adjacency.offsets.assign(static_cast<size_t>(nodes) + 1, 0);
  each_edge(rows, [&](int64_t to, int64_t from) {
    ++adjacency.offsets[static_cast<size_t>(to) + 1];
    if (add_reverses) ++adjacency.offsets[static_cast<size_t>(from) + 1];
  });
  for (size_t i = 1; i < adjacency.offsets.size(); ++i) adjacency.offsets[i] += adjacency.offsets[i - 1];
  adjacency.neighbours.resize(static_cast<size_t>(adjacency.offsets.back()));
  std::vector<int64_t> next(adjacency.offsets.begin(), adjacency.offsets.end() - 1);
  const auto place = [&](int64_t node, int64_t neighbour) {
    adjacency.neighbours[static_cast<size_t>(next[static_cast<size_t>(node)]++)] =
        static_cast<int32_t>(neighbour);
  };
  each_edge(rows, [&](int64_t to, int64_t from) {
    place(to, from);
    if (add_reverses) place(from, to);
  });
  drop_duplicates(adjacency);
  return adjacency;
}

}  // namespace gnnflow
