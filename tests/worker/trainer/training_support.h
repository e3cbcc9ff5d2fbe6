// Ranks as threads of one process, partitions of toy graphs, and small trainings over them.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/support/toy_graph.h"
#include "worker/graph_server/sharded_graph.h"
#include "worker/partition/partition.h"
#include "worker/trainer/evaluate.h"
#include "worker/trainer/trainer.h"

namespace gnnflow {

template <typename T>
T must(Result<T> result) {
  if (!result) bug(result.error().message);
  return std::move(result).value();
}

inline void must(const Status& status) {
  if (!status) bug(status.error().message);
}

// Keys in memory: what the channel and the controller are to real ranks.
class MemoryRendezvous final : public Rendezvous {
 public:
  Status set(const std::string& key, const std::string& value) override {
    std::lock_guard lock(mutex_);
    values_[key] = value;
    set_.notify_all();
    return {};
  }
  Result<std::string> get(const std::string& key, Deadline deadline) override {
    std::unique_lock lock(mutex_);
    if (!set_.wait_for(lock, deadline.left(), [&] { return values_.contains(key); })) {
      return Error{Cause::unreachable, "nobody set " + key};
    }
    return values_.at(key);
  }

 private:
  std::mutex mutex_;
  std::condition_variable set_;
  std::map<std::string, std::string> values_;  // guarded by mutex_
};

inline fs::path toy_partition(const TempDir& folder, const ToyOptions& options, int parts) {
  const std::string name = std::to_string(options.nodes) + "-" + std::to_string(options.seed);
  if (!fs::exists(folder / ("graph" + name))) toy_graph(folder / ("graph" + name), options);
  PartitionOptions cut;
  cut.parts = parts;
  cut.method = "random";
  const fs::path target = folder / ("parts" + name + "-" + std::to_string(parts));
  must(partition_graph(folder / ("graph" + name), target, cut, [](const Progress&) {}));
  return target;
}

// All parts are mapped by every rank; rank r trains on part r (or all parts, alone).
struct RankWork {
  RankGraph graph;
  std::unique_ptr<GraphSource> source;
  std::unique_ptr<RankGroup> group;
};
inline RankPlace place_of(const fs::path& partition, int rank, int ranks) {
  RankPlace place = must(place_of_whole_partition(partition, 1));
  place.rank = rank;
  place.ranks = ranks;
  if (ranks > 1) place.seeds = {{rank, 0, 1}};
  return place;
}
inline RankWork open_work(const RankPlace& place, Rendezvous* rendezvous,
                          Milliseconds timeout = Milliseconds(20'000)) {
  ShardOptions shards;
  shards.partition = place.partition;
  shards.mapped = place.parts_here;
  return {must(RankGraph::open(place)), must(open_sharded_graph(shards)),
          must(RankGroup::make({place.rank, place.ranks, place.address, timeout}, rendezvous))};
}

// `work(rank)` on a thread each.
template <typename Work>
void on_ranks(int ranks, Work work) {
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < ranks; ++rank) threads.emplace_back([&work, rank] { work(rank); });
}

struct TrainRequest {
  fs::path partition;
  Json options;
  int ranks = 1;
  fs::path folder;
  fs::path checkpoints, resume;
};
// What rank 0 returned.
inline Result<Json> train_on(const TrainRequest& request) {
  MemoryRendezvous rendezvous;
  std::vector<Result<Json>> results(static_cast<size_t>(request.ranks), Error{Cause::failed, "never ran"});
  on_ranks(request.ranks, [&](int rank) {
    auto& result = results[static_cast<size_t>(rank)];
    auto options = read_train_options(request.options);
    if (!options) {
      result = std::move(options).error();
      return;
    }
    RankWork work = open_work(place_of(request.partition, rank, request.ranks), &rendezvous);
    TrainJob job{*options, work.graph, *work.source, *work.group};
    job.folder = request.folder;
    job.output = request.folder / "model";
    job.checkpoints = request.checkpoints;
    job.resume = request.resume;
    result = train(job);
  });
  return results[0];
}

inline Result<Json> evaluate_on(const fs::path& partition, const fs::path& model, const fs::path& output,
                                int ranks, const Json& options, int64_t chunk_rows = 500) {
  MemoryRendezvous rendezvous;
  std::vector<Result<Json>> results(static_cast<size_t>(ranks), Error{Cause::failed, "never ran"});
  on_ranks(ranks, [&](int rank) {
    RankWork work = open_work(place_of(partition, rank, ranks), &rendezvous);
    const auto read = must(read_evaluate_options(options));
    EvaluateJob job{read, work.graph, *work.source, *work.group};
    job.model = model;
    job.output = output;
    job.chunk_rows = chunk_rows;
    results[static_cast<size_t>(rank)] = evaluate(job);
  });
  return results[0];
}

inline Json parsed(std::string_view text) { return must(Json::parse(text)); }

inline Json sage_options(int64_t epochs) {
  Json options = parsed(R"({"model": {"kind": "sage", "layers": 2, "hidden": 8, "dropout": 0.5},
      "sample": {"fanout": [3, 2], "batch": 16}, "optimizer": {"kind": "adam", "lr": 0.01}, "seed": 3})");
  options["epochs"] = epochs;
  return options;
}

}  // namespace gnnflow
