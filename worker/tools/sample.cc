// sample: the blocks of one batch in original ids, from a graph or from a partition of it, for eyes and for
// diff.
#include <set>

#include <fmt/format.h>

#include "common/sampler/sampler.h"
#include "worker/graph_server/sharded_graph.h"
#include "worker/tools/printing.h"
#include "worker/tools/tools.h"

namespace gnnflow {
namespace {

// A graph to sample from: how ids are translated, and who draws.
struct SampledGraph {
  int64_t nodes = 0;
  std::vector<int64_t> new_of_original, original_of_new;  // empty: the same
  DrawNeighbours draw;

  int64_t original(int64_t id) const {
    return original_of_new.empty() ? id : original_of_new[static_cast<size_t>(id)];
  }
  int64_t from_original(int64_t id) const {
    return new_of_original.empty() ? id : new_of_original[static_cast<size_t>(id)];
  }
};

std::vector<int64_t> to_vector(const Array& ids) {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < ids.rows(); ++i) out.push_back(ids.integer(i));
  return out;
}

Result<SampledGraph> open_graph(const fs::path& folder) {
  TRY(auto opened, GraphDir::open(folder));
  if (!opened.nodes().contains(std::string(kNodeType)) ||
      !opened.relations().contains(std::string(kRelation))) {
    return Error{Cause::bad_data, fmt::format("{}: has no relation '{}'", folder.string(), kRelation)};
  }
  if (opened.node().original.present()) {
    return Error{Cause::bad_usage, fmt::format("{} is one part: sample from the partition", folder.string())};
  }
  SampledGraph graph;
  graph.nodes = opened.node().count;
  graph.draw = [opened = std::make_shared<GraphDir>(std::move(opened))](
                   uint64_t key, int fanout, std::span<const int32_t> nodes, Block& block) {
    const RelationArrays& relation = opened->relation();
    const IdView ids = relation.ids();
    RowsView rows;
    rows.indptr = relation.indptr.as<int64_t>().data();
    rows.indices32 = ids.narrow();
    rows.indices64 = ids.wide();
    rows.rows = rows.node_limit = opened->node().count;
    return draw_rows(rows, key, fanout, nodes, 0, block.offsets, block.sources)
        .within(relation.indices.path().string());
  };
  return graph;
}

Result<SampledGraph> open_partition(const fs::path& folder) {
  TRY(auto partition, PartitionDir::open(folder));
  TRY(partition.check_maps());
  ShardOptions options;
  options.partition = folder;
  for (int part = 0; part < partition.index().parts; ++part) options.mapped.push_back(part);
  TRY(auto opened, open_sharded_graph(options));
  SampledGraph graph;
  graph.nodes = partition.ranges().count();
  graph.new_of_original = to_vector(partition.new_of_original());
  graph.original_of_new = to_vector(partition.original_of_new());
  graph.draw = [source = std::shared_ptr<GraphSource>(std::move(opened)),
                answer = std::make_shared<Neighbours>()](
                   uint64_t key, int fanout, std::span<const int32_t> nodes, Block& block) -> Status {
    TRY(source->neighbours({kRelation, key, fanout, nodes}, *answer));
    block.offsets.swap(answer->offsets);
    block.sources.swap(answer->sources);
    return {};
  };
  return graph;
}

Result<std::vector<int32_t>> seeds_of(const SampleRequest& request, const SampledGraph& graph) {
  std::vector<int32_t> seeds;
  std::set<int64_t> seen;
  for (const int64_t seed : request.seeds) {
    if (!seen.insert(seed).second) {
      return Error{Cause::bad_usage, fmt::format("seed {} is given twice: a batch has each node once", seed)};
    }
    if (seed < 0 || seed >= graph.nodes) {
      return Error{Cause::bad_usage, fmt::format("seed {} is not below the {} nodes of {}", seed, graph.nodes,
                                                 request.folder.string())};
    }
    seeds.push_back(static_cast<int32_t>(graph.from_original(seed)));
  }
  return seeds;
}

Json ids_json(std::span<const int32_t> ids, const SampledGraph& graph) {
  Json out = Json::Array{};
  for (const int32_t id : ids) out.push_back(graph.original(id));
  return out;
}

// {layer, fanout, nodes: [...], edges: [[source, destination], ...]}: `nodes` are those that the layer reads.
Json layer_json(const Batch& batch, size_t layer, int fanout, const SampledGraph& graph) {
  const Block& block = batch.blocks[layer];
  const Buffer<int32_t>& read = batch.nodes[layer];
  Json edges = Json::Array{};
  for (int64_t to = 0; to < block.destinations(); ++to) {
    for (int32_t at = block.offsets[static_cast<size_t>(to)]; at < block.offsets[static_cast<size_t>(to) + 1];
         ++at) {
      const int32_t source = read[static_cast<size_t>(block.sources[static_cast<size_t>(at)])];
      edges.push_back(Json::Array{graph.original(source), graph.original(read[static_cast<size_t>(to)])});
    }
  }
  return Json::Object{{"layer", static_cast<int64_t>(layer)},
                      {"fanout", fanout},
                      {"nodes", ids_json(read.span(), graph)},
                      {"edges", std::move(edges)}};
}

Result<Json> sample(const SampleRequest& request) {
  for (const int fanout : request.fanout) {
    if (fanout != kAllNeighbours && (fanout < 1 || fanout > kMaxFanout)) {
      return Error{Cause::bad_usage, fmt::format("fan-out {} is neither -1 nor 1 to {}", fanout, kMaxFanout)};
    }
  }
  TRY(auto graph, is_partition(request.folder) ? open_partition(request.folder) : open_graph(request.folder));
  TRY(auto seeds, seeds_of(request, graph));
  Sampler sampler({.fanout = request.fanout, .relation = std::string(kRelation)}, graph.nodes, graph.draw);
  Batch batch;
  TRY(sampler.sample({static_cast<uint64_t>(request.seed), request.epoch, request.step}, seeds, batch));
  Json layers = Json::Array{};
  for (size_t layer = 0; layer < batch.blocks.size(); ++layer) {
    layers.push_back(layer_json(batch, layer, request.fanout[layer], graph));
  }
  return Json(
      Json::Object{{"version", 1}, {"seeds", ids_json(batch.seeds(), graph)}, {"layers", std::move(layers)}});
}

std::string layer_text(const Json& layer) {
  const Json::Array& edges = layer.get("edges").array();
  std::string text =
      fmt::format("layer {} (fan-out {}): {} nodes, {} edges\n", layer.integer_or("layer", 0),
                  layer.integer_or("fanout", 0), layer.get("nodes").array().size(), edges.size());
  text += "  nodes";
  for (const Json& node : layer.get("nodes").array()) text += fmt::format(" {}", node.integer());
  for (size_t i = 0; i < edges.size(); ++i) {
    const Json::Array& edge = edges[i].array();
    if (i == 0 || edges[i - 1].array()[1] != edge[1]) text += fmt::format("\n  {} <-", edge[1].integer());
    text += fmt::format(" {}", edge[0].integer());
  }
  return text + "\n";
}

}  // namespace

int run_sample(const SampleRequest& request, Output output) {
  const auto sampled = sample(request);
  if (!sampled) return print_failure(sampled.error());
  if (output == Output::json) {
    print_json(*sampled);
    return 0;
  }
  for (const Json& layer : sampled->get("layers").array()) print_text(layer_text(layer));
  return 0;
}

}  // namespace gnnflow
