// Puts a rank together: its place, its graph, its peers, and the channel to the daemon.
#include "worker/trainer/job.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/log.h"
#include "common/base/text.h"
#include "common/zmq/keys.h"
#include "worker/graph_server/sharded_graph.h"
#include "worker/trainer/evaluate.h"
#include "worker/trainer/ops/products.h"
#include "worker/trainer/trainer.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kPeersTimeout{10 * 60 * 1000};  // servers may be on their way up

class ChannelRendezvous final : public Rendezvous {
 public:
  explicit ChannelRendezvous(JobChannel& channel) : channel_(channel) {}
  Status set(const std::string& key, const std::string& value) override {
    return channel_.store_set(key, value);
  }
  Result<std::string> get(const std::string& key, Deadline deadline) override {
    return channel_.store_get(key, deadline);
  }

 private:
  JobChannel& channel_;
};

Result<std::vector<ServerAddress>> servers_of(const Message& peers) {
  std::vector<ServerAddress> servers;
  for (const Json& one :
       peers.head.get("servers").is_array() ? peers.head.get("servers").array() : Json::Array{}) {
    ServerAddress server;
    server.part = static_cast<int>(one.integer_or("part", -1));
    server.address = one.text_or("address", "");
    server.port = static_cast<int>(one.integer_or("port", 0));
    server.public_key = one.text_or("key", "");
    if (server.part < 0 || server.address.empty() || server.port <= 0) {
      return Error{Cause::bug, fmt::format("bad entry in 'peers': {}", one.dump())};
    }
    servers.push_back(std::move(server));
  }
  return servers;
}

// Parts that lie elsewhere are asked of their servers. `ready` is said by every rank, for the controller
// waits for all.
Result<std::unique_ptr<GraphSource>> open_source(const RankPlace& place, const RankGraph& graph,
                                                 JobChannel& channel) {
  ShardOptions options;
  options.partition = place.partition;
  options.mapped = place.parts_here;
  options.stop = &channel.stop();
  TRY(options.keys, make_key_pair());
  Message ready;
  ready.head["type"] = "ready";
  ready.head["public_key"] = options.keys.public_key;
  channel.report(ready);
  const int parts = graph.partition().index().parts;
  if (static_cast<int>(place.parts_here.size()) < parts) {
    TRY(const Message peers,
        channel.wait_for("peers", Deadline::after(kPeersTimeout)).within("waiting for the graph servers"));
    TRY(auto servers, servers_of(peers));
    std::erase_if(servers, [&](const ServerAddress& server) {
      return std::find(place.parts_here.begin(), place.parts_here.end(), server.part) !=
             place.parts_here.end();
    });
    options.servers = std::move(servers);
  }
  return open_sharded_graph(options);
}

JobReports reports_to(JobChannel& channel) {
  JobReports reports;
  reports.progress = [&channel](const Progress& progress) { channel.progress(progress); };
  reports.metrics = [&channel](Json metrics) { channel.metrics(std::move(metrics)); };
  reports.checkpoint = [&channel](Json checkpoint) { channel.checkpoint(std::move(checkpoint)); };
  return reports;
}

struct Rank {
  RankGraph graph;
  std::unique_ptr<GraphSource> source;
  std::unique_ptr<RankGroup> group;
};

Result<Rank> open_rank(const RankPlace& place, JobChannel& channel) {
  set_compute_threads(place.threads);
  log_info("rank {} of {}, {} thread{}, {}, kernels {}", place.rank, place.ranks, place.threads,
           place.threads == 1 ? "" : "s", libraries_text(), kernels().name);
  TRY(auto graph, RankGraph::open(place));
  TRY(auto source, open_source(place, graph, channel));
  ChannelRendezvous rendezvous(channel);
  TRY(auto group, RankGroup::make({place.rank, place.ranks, place.address}, &rendezvous));
  return Rank{std::move(graph), std::move(source), std::move(group)};
}

}  // namespace

std::string libraries_text() {
  return fmt::format("libtorch {}, oneDNN {}", TORCH_VERSION, onednn_version());
}

Result<Json> run_train_task(const Task& task, JobChannel& channel) {
  TRY(const auto options, read_train_options(task.spec.get("options")));
  TRY(const auto place, read_place(task.spec));
  TRY(auto rank, open_rank(place, channel));
  TrainJob job{options, rank.graph, *rank.source, *rank.group};
  job.folder = task.folder;
  job.output = task.folder / "out" / "model";
  job.checkpoints = std::string(task.spec.text_or("checkpoints", ""));
  job.resume = std::string(task.spec.text_or("resume", ""));
  job.reports = reports_to(channel);
  job.stop = &channel.stop();
  job.threads = place.threads;
  return train(job);
}

Result<Json> run_evaluate_task(const Task& task, JobChannel& channel) {
  TRY(const auto options, read_evaluate_options(task.spec.get("options")));
  TRY(const auto place, read_place(task.spec));
  if (place.rank == 0 && !task.spec.get("inputs").get("model").is_string()) {
    return Error{Cause::bad_usage, "task.json: inputs.model is missing"};
  }
  TRY(auto rank, open_rank(place, channel));
  EvaluateJob job{options, rank.graph, *rank.source, *rank.group};
  job.model = std::string(task.spec.get("inputs").text_or("model", ""));
  job.output = task.folder / "out" / "score";
  job.reports = reports_to(channel);
  job.stop = &channel.stop();
  return evaluate(job);
}

Result<Json> run_standalone_train(const StandaloneTrain& train_options, JobChannel& channel) {
  TRY(const auto options, read_train_options(train_options.options));
  TRY(const auto place, place_of_whole_partition(train_options.partition, train_options.threads));
  TRY(auto rank, open_rank(place, channel));
  TrainJob job{options, rank.graph, *rank.source, *rank.group};
  job.folder = train_options.output;
  job.output = train_options.output;
  job.reports = reports_to(channel);
  job.stop = &channel.stop();
  job.threads = place.threads;
  return train(job);
}

Result<Json> run_standalone_evaluate(const StandaloneEvaluate& evaluate_options, JobChannel& channel) {
  TRY(const auto options, read_evaluate_options(evaluate_options.options));
  TRY(const auto place, place_of_whole_partition(evaluate_options.partition, evaluate_options.threads));
  TRY(auto rank, open_rank(place, channel));
  EvaluateJob job{options, rank.graph, *rank.source, *rank.group};
  job.model = evaluate_options.model;
  job.output = evaluate_options.output;
  job.reports = reports_to(channel);
  job.stop = &channel.stop();
  return evaluate(job);
}

}  // namespace gnnflow
