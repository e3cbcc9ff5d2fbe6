// Partitions of toy graphs for tests of graph servers: on disk, mapped or served, and blocks in original ids.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/graph/partition_dir.h"
#include "tests/support/temp_dir.h"
#include "tests/support/toy_graph.h"
#include "worker/graph_server/graph_source.h"
#include "worker/graph_server/server.h"
#include "worker/graph_server/sharded_graph.h"
#include "worker/partition/partition.h"

namespace gnnflow {

constexpr ToyOptions kServedToy{.nodes = 300, .pairs = 4000, .columns = 20};

// Writes graph and partition below `folder`, once per name; returns the partition's folder.
inline fs::path make_partition(const TempDir& folder, const ToyOptions& toy, int parts,
                               const std::string& method);

// Servers for parts of one partition.
class ToyServers {
 public:
  explicit ToyServers(fs::path partition) : partition_(std::move(partition)) {}
  void start(int part, int port = 0);
  void stop(int part) { servers_.erase(part); }
  void allow(const std::vector<std::string>& keys);
  GraphServer& server(int part) { return *servers_.at(part); }
  ServerAddress address(int part) const;
  ServerOptions options;  // of servers started from now on

 private:
  fs::path partition_;
  std::map<int, std::unique_ptr<GraphServer>> servers_;
  std::map<int, KeyPair> keys_;
  std::map<int, int> ports_;
  std::vector<std::string> allowed_;
};

// One batch, each layer as (destination, its neighbours in the order drawn), in original ids.
using Layers = std::vector<std::vector<std::pair<int64_t, std::vector<int64_t>>>>;

inline Layers sample_whole(const fs::path& graph, const std::vector<int>& fanout,
                           const std::vector<int64_t>& seeds, const BatchKey& key);
inline Layers sample_parts(GraphSource& source, const fs::path& partition, const std::vector<int>& fanout,
                           const std::vector<int64_t>& seeds, const BatchKey& key, bool relabel_leaves);

inline Layers layers_of(const Batch& batch, const std::function<int64_t(int32_t)>& original) {
  Layers layers;
  for (size_t l = 0; l < batch.blocks.size(); ++l) {
    const Block& block = batch.blocks[l];
    auto& layer = layers.emplace_back();
    for (size_t i = 0; i < batch.nodes[l + 1].size(); ++i) {
      auto& [destination, neighbours] = layer.emplace_back();
      destination = original(batch.nodes[l + 1][i]);
      for (int32_t e = block.offsets[i]; e < block.offsets[i + 1]; ++e) {
        const int32_t source = block.sources[static_cast<size_t>(e)];
        neighbours.push_back(
            original(block.relabelled ? batch.nodes[l][static_cast<size_t>(source)] : source));
      }
    }
  }
  return layers;
}

inline fs::path make_partition(const TempDir& folder, const ToyOptions& toy, int parts,
                               const std::string& method) {
  const fs::path graph = folder / "graph";
  if (!is_graph(graph)) toy_graph(graph, toy);
  const fs::path target = folder / fmt::format("{}-{}", method, parts);
  if (is_partition(target)) return target;
  PartitionOptions options;
  options.parts = parts;
  options.method = method;
  const auto made = partition_graph(graph, target, options, [](const Progress&) {});
  if (!made) bug(made.error().message);
  return target;
}

inline void ToyServers::start(int part, int port) {
  if (!keys_.contains(part)) keys_[part] = make_key_pair().value();
  ServerOptions told = options;
  told.partition = partition_;
  told.part = part;
  told.keys = keys_[part];
  told.port = port;
  auto server = GraphServer::start(told);
  ASSERT_TRUE(server) << server.error().message;
  (*server)->allow(allowed_);
  ports_[part] = (*server)->port();
  servers_[part] = std::move(*server);
}

inline void ToyServers::allow(const std::vector<std::string>& keys) {
  allowed_ = keys;
  for (const auto& [part, server] : servers_) server->allow(keys);
}

inline ServerAddress ToyServers::address(int part) const {
  return {part, "127.0.0.1", ports_.at(part), keys_.at(part).public_key};
}

inline Layers sample_whole(const fs::path& folder, const std::vector<int>& fanout,
                           const std::vector<int64_t>& seeds, const BatchKey& key) {
  const GraphDir graph = GraphDir::open(folder).value();
  const RelationArrays& edges = graph.relation();
  const RowsView view{.indptr = edges.indptr.as<int64_t>().data(),
                      .indices32 = edges.ids().narrow(),
                      .indices64 = edges.ids().wide(),
                      .rows = graph.node().count,
                      .node_limit = graph.node().count};
  Sampler sampler({.fanout = fanout, .relation = std::string(kRelation)}, view.rows,
                  [&](uint64_t layer, int k, std::span<const int32_t> nodes, Block& block) {
                    return draw_rows(view, layer, k, nodes, 0, block.offsets, block.sources);
                  });
  Batch batch;
  const Status sampled = sampler.sample(key, std::vector<int32_t>(seeds.begin(), seeds.end()), batch);
  EXPECT_TRUE(sampled) << sampled.error().message;
  return layers_of(batch, [](int32_t id) { return int64_t{id}; });
}

inline Layers sample_parts(GraphSource& source, const fs::path& folder, const std::vector<int>& fanout,
                           const std::vector<int64_t>& seeds, const BatchKey& key, bool relabel_leaves) {
  const PartitionDir partition = PartitionDir::open(folder).value();
  std::vector<int32_t> ids;
  for (const int64_t seed : seeds)
    ids.push_back(static_cast<int32_t>(partition.new_of_original().integer(seed)));
  Neighbours drawn;
  Sampler sampler({.fanout = fanout, .relation = std::string(kRelation), .relabel_leaves = relabel_leaves},
                  partition.ranges().count(),
                  [&](uint64_t layer, int k, std::span<const int32_t> nodes, Block& block) {
                    const Status status = source.neighbours({kRelation, layer, k, nodes}, drawn);
                    block.offsets.swap(drawn.offsets);
                    block.sources.swap(drawn.sources);
                    return status;
                  });
  Batch batch;
  const Status sampled = sampler.sample(key, ids, batch);
  EXPECT_TRUE(sampled) << sampled.error().message;
  return layers_of(batch, [&](int32_t id) { return partition.original_of_new().integer(id); });
}

}  // namespace gnnflow
