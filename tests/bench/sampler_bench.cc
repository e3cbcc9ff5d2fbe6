// Sampled edges a second on one and two threads, beside the machine's rate of random loads. Prints one JSON
// object.
#include <cstdio>
#include <thread>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/graph/graph_dir.h"
#include "tests/bench/bench_graph.h"

namespace gnnflow::bench {
namespace {

constexpr int kWarmUp = 5, kBatches = 40, kBatchSize = 1024;

struct Outcome {
  double seconds = 0;
  int64_t edges = 0, inputs = 0;
};

Outcome sample_batches(const RowsView& view, bool relabel, uint64_t seed) {
  Sampler sampler({.fanout = {15, 10, 5}, .relation = "node.edge.node", .relabel_leaves = relabel},
                  view.node_limit,
                  [&](uint64_t key, int fanout, std::span<const int32_t> nodes, Block& block) {
                    return draw_rows(view, key, fanout, nodes, 0, block.offsets, block.sources);
                  });
  Batch batch;
  Outcome outcome;
  std::vector<int64_t> positions(kBatchSize);
  std::vector<int32_t> seeds(kBatchSize);
  double start = 0;
  for (int step = -kWarmUp; step < kBatches; ++step) {
    if (step == 0) start = seconds_now();
    const uint64_t key = KeyChain(PickUse::generator).with(seed).with(static_cast<uint64_t>(step)).key();
    for (size_t i = 0; i < seeds.size(); ++i) {  // one of each stripe: distinct
      const uint64_t stripe = static_cast<uint64_t>(view.rows) / seeds.size();
      seeds[i] = static_cast<int32_t>(i * stripe + below(draw(key, i), stripe));
    }
    if (auto sampled = sampler.sample({seed, 0, step}, seeds, batch); !sampled) {
      std::fprintf(stderr, "%s\n", sampled.error().message.c_str());
      std::exit(exit_code(sampled.error().cause));
    }
    if (step < 0) continue;
    for (const Block& block : batch.blocks) outcome.edges += block.edge_count();
    outcome.inputs += static_cast<int64_t>(batch.inputs().size());
  }
  outcome.seconds = seconds_now() - start;
  return outcome;
}

Json measure(const RowsView& view, bool relabel, double loads) {
  Json json;
  double alone = 0;
  for (const int threads : {1, 2}) {
    double best = 0, milliseconds = 0;
    int64_t edges = 0, inputs = 0;
    for (int round = 0; round < 3; ++round) {
      std::vector<Outcome> outcomes(static_cast<size_t>(threads));
      {
        std::vector<std::jthread> workers;
        for (int t = 0; t < threads; ++t) {
          workers.emplace_back([&, t] {
            outcomes[static_cast<size_t>(t)] = sample_batches(view, relabel, static_cast<uint64_t>(t + 1));
          });
        }
      }
      double rate = 0;
      for (const Outcome& one : outcomes) rate += static_cast<double>(one.edges) / one.seconds / 1e6;
      if (rate > best) best = rate, milliseconds = outcomes[0].seconds / kBatches * 1e3;
      edges = outcomes[0].edges / kBatches, inputs = outcomes[0].inputs / kBatches;
    }
    Json& one = json[threads == 1 ? "one_thread" : "two_threads"];
    one["million_edges_per_second"] = best;
    one["milliseconds_per_batch"] = milliseconds;
    if (threads == 1) {
      alone = best;
      json["edges_per_batch"] = edges;
      json["input_nodes_per_batch"] = inputs;
      one["share_of_random_loads"] = best / loads;
    } else {
      one["speed_up"] = best / alone;
    }
  }
  return json;
}

Json run(const RowsView& view) {
  Json json;
  const double loads = random_loads(size_t{64} << 20);
  json["benchmark"] = "sampler";
  json["nodes"] = view.rows;
  json["edges"] = view.indptr[view.rows];
  json["limits"]["million_random_loads_per_second"] = loads;
  json["limits"]["random_row_copy_gb_per_second"] = random_row_copies(size_t{100} << 20, 400);
  json["leaves_unrelabelled"] = measure(view, false, loads);
  json["leaves_relabelled"] = measure(view, true, loads);
  return json;
}

int main_of(int count, char** arguments) {
  if (count > 1 && !parse_integer(arguments[1])) {
    auto graph = GraphDir::open(arguments[1]);
    if (!graph) {
      std::fprintf(stderr, "%s\n", graph.error().message.c_str());
      return exit_code(graph.error().cause);
    }
    const RelationArrays& edges = graph->relation();
    const int64_t nodes = graph->node().count;
    std::puts(run({.indptr = edges.indptr.as<int64_t>().data(),
                   .indices32 = edges.ids().narrow(),
                   .indices64 = edges.ids().wide(),
                   .rows = nodes,
                   .node_limit = nodes})
                  .dump()
                  .c_str());
    return 0;
  }
  const BenchGraph graph(count > 1 ? *parse_integer(arguments[1]) : 245'000);
  std::puts(run(graph.view()).dump().c_str());
  return 0;
}

}  // namespace
}  // namespace gnnflow::bench

// sampler_bench [NODES | GRAPH DIRECTORY]
int main(int count, char** arguments) { return gnnflow::bench::main_of(count, arguments); }
