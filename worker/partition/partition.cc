// partition: undirected view -> part of each node -> new ids -> parts, maps, splits -> index, in one new
// folder.
#include "worker/partition/partition.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "common/graph/array_json.h"
#include "common/sampler/pick.h"
#include "worker/partition/balance.h"
#include "worker/partition/metis.h"
#include "worker/partition/part_writer.h"

namespace gnnflow {
namespace {

using Report = std::function<void(const Progress&)>;

Status check_graph(const GraphDir& graph, const PartitionOptions& options) {
  const auto& nodes = graph.nodes();
  const auto& relations = graph.relations();
  if (nodes.size() != 1 || relations.size() != 1 || !nodes.contains(std::string(kNodeType)) ||
      !relations.contains(std::string(kRelation))) {
    return Error{Cause::bad_data,
                 fmt::format("{}: has {} node types and {} relations; partition takes graphs with the one "
                             "type '{}' and the one relation '{}'",
                             graph.folder().string(), nodes.size(), relations.size(), kNodeType, kRelation)};
  }
  if (graph.node().original.present()) {
    return Error{Cause::bad_data,
                 fmt::format("{}: is a part of a partition, not a whole graph", graph.folder().string())};
  }
  if (options.parts > graph.node().count) {
    return Error{Cause::bad_workflow, fmt::format("{} parts are more than the {} nodes of {}", options.parts,
                                                  graph.node().count, graph.folder().string())};
  }
  return {};
}

// Equal numbers of nodes, drawn by a shuffle that is a function of the seed.
std::vector<int32_t> random_assignment(int64_t nodes, int parts, int64_t seed) {
  std::vector<int32_t> assignment(static_cast<size_t>(nodes));
  for (int64_t i = 0; i < nodes; ++i) assignment[static_cast<size_t>(i)] = static_cast<int32_t>(i % parts);
  const uint64_t key =
      KeyChain(PickUse::generator).with(static_cast<uint64_t>(seed)).with("assignment").key();
  for (int64_t i = nodes - 1; i > 0; --i) {
    const auto other = below(draw(key, static_cast<uint64_t>(i)), static_cast<uint64_t>(i) + 1);
    std::swap(assignment[static_cast<size_t>(i)], assignment[other]);
  }
  return assignment;
}

Result<std::vector<int32_t>> assign(const GraphDir& graph, const Adjacency& adjacency,
                                    const PartitionOptions& options) {
  if (options.parts == 1) return std::vector<int32_t>(static_cast<size_t>(graph.node().count), 0);
  if (options.method == "random") return random_assignment(graph.node().count, options.parts, options.seed);
  TRY(auto constraints, make_constraints(graph, options.balance));
  return metis_assignment(adjacency, constraints,
                          {options.parts, options.seed, options.imbalance, options.memory});
}

// New ids by part, in ascending original id.
struct Relabelling {
  std::vector<int64_t> begin;  // [parts + 1]
  std::vector<int64_t> original_of_new;
  std::vector<int32_t> new_of_original;
};

Result<Relabelling> relabel(std::span<const int32_t> assignment, int parts) {
  Relabelling ids;
  ids.begin.assign(static_cast<size_t>(parts) + 1, 0);
  for (const int32_t part : assignment) {
    if (part < 0 || part >= parts)
      return Error{Cause::bug, fmt::format("a node was assigned to part {} of {}", part, parts)};
    ++ids.begin[static_cast<size_t>(part) + 1];
  }
  for (size_t p = 1; p < ids.begin.size(); ++p) {
    if (ids.begin[p] == 0) {
      return Error{
          Cause::failed,
          fmt::format("part {} got no nodes: try another seed, fewer parts, or method random", p - 1)};
    }
    ids.begin[p] += ids.begin[p - 1];
  }
  std::vector<int64_t> next(ids.begin.begin(), ids.begin.end() - 1);
  ids.original_of_new.resize(assignment.size());
  ids.new_of_original.resize(assignment.size());
  for (size_t original = 0; original < assignment.size(); ++original) {
    const int64_t id = next[static_cast<size_t>(assignment[original])]++;
    ids.original_of_new[static_cast<size_t>(id)] = static_cast<int64_t>(original);
    ids.new_of_original[original] = static_cast<int32_t>(id);
  }
  return ids;
}

Status write_maps(const fs::path& folder, std::span<const int32_t> assignment, const Relabelling& ids,
                  PartitionIndex& index) {
  const auto nodes = static_cast<int64_t>(assignment.size());
  const Dtype dtype = dtype_for_ids(nodes);
  TRY(keep(index.arrays, write_array(folder, "assignment/node.npy", Dtype::i4, {nodes}, assignment)));
  TRY(keep(index.arrays, write_ids(folder, "maps/node/orig_of_new.npy", dtype, ids.original_of_new)));
  const std::vector<int64_t> wide(ids.new_of_original.begin(), ids.new_of_original.end());
  return keep(index.arrays, write_ids(folder, "maps/node/new_of_orig.npy", dtype, wide));
}

Status write_splits(const fs::path& folder, const GraphDir& graph, PartitionIndex& index) {
  for (const auto& [scheme, split] : graph.node().splits) {
    const std::pair<const Array*, std::string_view> sets[] = {
        {&split.train, "train"}, {&split.val, "val"}, {&split.test, "test"}};
    for (const auto& [ids, name] : sets) {
      if (!ids->present()) continue;
      TRY(auto out, ArrayWriter::create(folder, fmt::format("split/node/{}/{}.npy", scheme, name),
                                        ids->dtype(), ids->shape()));
      TRY(out.write(std::span(ids->data(), static_cast<size_t>(ids->rows() * ids->row_bytes()))));
      TRY(keep(index.arrays, out.finish()));
    }
  }
  return {};
}

Status write_parts(const fs::path& folder, const GraphDir& graph, const Relabelling& ids,
                   PartitionIndex& index, const Report& progress) {
  for (int part = 0; part < index.parts; ++part) {
    const auto begin = static_cast<size_t>(ids.begin[static_cast<size_t>(part)]);
    const auto end = static_cast<size_t>(ids.begin[static_cast<size_t>(part) + 1]);
    PartPlan plan{part, index.parts, std::span(ids.original_of_new).subspan(begin, end - begin),
                  ids.new_of_original, index.graph_digest};
    TRY(auto written, write_part(graph, plan, folder).within(fmt::format("writing part {}", part)));
    index.part_digests.push_back(written.digest());
    progress({"writing parts", part + 1, index.parts, "parts", ""});
  }
  return {};
}

PartitionIndex start_index(const GraphDir& graph, const PartitionOptions& options, const Relabelling& ids) {
  PartitionIndex index;
  const std::string type(kNodeType);
  index.parts = options.parts;
  index.method = options.parts == 1 ? "single" : options.method;
  index.seed = options.seed;
  index.graph_digest = graph.index().digest();
  index.ranges[type].begin = ids.begin;
  index.edges = graph.index().edges;
  index.classes = graph.index().classes;
  index.feature_columns[type] = graph.node().feature_columns;
  index.options = options.to_json();
  return index;
}

}  // namespace

Result<PartitionIndex> partition_graph(const fs::path& source, const fs::path& target,
                                       const PartitionOptions& options, const Report& progress) {
  TRY(auto graph, GraphDir::open(source));
  TRY(check_graph(graph, options));
  TRY(auto folder, NewFolder::create(target));
  progress({"reading edges", 0, 0, "", ""});
  TRY(auto adjacency, undirected_adjacency(graph.relation(), graph.node().count));
  progress({options.method, 0, 0, "", fmt::format("{} parts", options.parts)});
  TRY(auto assignment,
      assign(graph, adjacency, options).within(fmt::format("partitioning {}", source.string())));
  TRY(auto ids, relabel(assignment, options.parts));
  PartitionIndex index = start_index(graph, options, ids);
  index.report = partition_report(graph, adjacency, assignment, options.parts);
  adjacency = {};
  TRY(write_maps(folder.path(), assignment, ids, index));
  TRY(write_splits(folder.path(), graph, index));
  TRY(write_parts(folder.path(), graph, ids, index, progress));
  TRY(write_file_atomically(folder.path() / "partition.json", index.to_json().dump_pretty() + "\n"));
  TRY(folder.publish());
  return index;
}

}  // namespace gnnflow
