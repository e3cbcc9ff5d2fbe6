// Rows a second from a graph server over CURVE on loopback, beside bare CURVE messages of the same size.
// Prints one JSON object.
#include <cstdio>
#include <cstdlib>
#include <thread>

#include <unistd.h>

#include "common/base/json.h"
#include "common/zmq/socket.h"
#include "tests/bench/bench_graph.h"
#include "worker/graph_server/server.h"
#include "worker/graph_server/sharded_graph.h"
#include "worker/ingest/generate.h"
#include "worker/partition/partition.h"

namespace gnnflow::bench {
namespace {

constexpr int64_t kNodes = 60'000, kColumns = 100, kRowBytes = kColumns * 4;
constexpr size_t kList = 57'000;  // rows of a batch: inputs of one hop of 1024 seeds
constexpr size_t kReplyBytes = size_t{2} << 20;
constexpr double kSeconds = 2;

template <typename T>
T must(Result<T> result) {
  if (result) return std::move(result).value();
  std::fprintf(stderr, "graph_server_bench: %s\n", result.error().message.c_str());
  std::exit(exit_code(result.error().cause));
}
void must(const Status& status) {
  if (status) return;
  std::fprintf(stderr, "graph_server_bench: %s\n", status.error().message.c_str());
  std::exit(exit_code(status.error().cause));
}

void wait_and_receive(Socket& socket, Frames& frames, const StopSignal* stop) {
  while (!socket.receive_now(frames)) {
    if (!socket.wait(Deadline::after(Milliseconds(1000)), {}, stop)) return;
  }
}

// MB/s of replies of kReplyBytes, four requests under way, nothing done with them.
double bare_curve() {
  const KeyPair server_keys = must(make_key_pair()), client_keys = must(make_key_pair());
  AllowList allowed;
  allowed.set({client_keys.public_key});
  SocketContext server_context(1), client_context(1);
  must(server_context.check_keys(allowed));
  Socket server = must(Socket::bind_router(server_context, {.address = "127.0.0.1", .keys = server_keys}));
  Socket client = must(Socket::connect_dealer(client_context, {.address = "127.0.0.1",
                                                               .port = server.port(),
                                                               .server_key = server_keys.public_key,
                                                               .keys = client_keys}));
  StopSignal stop;
  std::jthread echo([&] {
    FramePool pool(size_t{64} << 20);
    Frames frames;
    while (!stop.raised()) {
      frames.count = 0;
      wait_and_receive(server, frames, &stop);
      if (frames.count < 2) continue;
      frames[1] = pool.take(kReplyBytes);
      server.send(frames);
    }
  });
  Frames frames;
  const auto ask = [&] {
    frames.count = 0;
    frames.add(Frame("rows"));
    client.send(frames);
  };
  for (int i = 0; i < 4; ++i) ask();
  double start = 0;
  size_t bytes = 0;
  for (int i = 0; start == 0 || seconds_now() - start < kSeconds; ++i) {
    if (i == 20) start = seconds_now(), bytes = 0;
    wait_and_receive(client, frames, nullptr);
    bytes += frames[0].size();
    ask();
  }
  const double rate = static_cast<double>(bytes) / (seconds_now() - start) / 1e6;
  stop.raise();
  return rate;
}

// Rows a second through a source, in lists of kList random nodes.
double rows_per_second(GraphSource& source) {
  std::vector<int32_t> nodes(kList);
  std::vector<float> out(kList * kColumns);
  double start = 0;
  int64_t rows = 0;
  for (uint64_t round = 0; start == 0 || seconds_now() - start < kSeconds; ++round) {
    if (round == 3) start = seconds_now(), rows = 0;
    for (size_t i = 0; i < nodes.size(); ++i) nodes[i] = static_cast<int32_t>(below(draw(round, i), kNodes));
    must(source.rows(kNodeType, nodes, out.data(), kColumns));
    rows += static_cast<int64_t>(nodes.size());
  }
  return static_cast<double>(rows) / (seconds_now() - start);
}

// Edges a second of one hop with fan-out 15.
double edges_per_second(GraphSource& source) {
  std::vector<int32_t> nodes(kList);
  Neighbours out;
  double start = 0;
  int64_t edges = 0;
  for (uint64_t round = 0; start == 0 || seconds_now() - start < kSeconds; ++round) {
    if (round == 3) start = seconds_now(), edges = 0;
    for (size_t i = 0; i < nodes.size(); ++i) nodes[i] = static_cast<int32_t>(below(draw(round, i), kNodes));
    must(source.neighbours({kRelation, round, 15, nodes}, out));
    edges += static_cast<int64_t>(out.sources.size());
  }
  return static_cast<double>(edges) / (seconds_now() - start);
}

Json measure(const fs::path& folder) {
  GenerateOptions generated = must(GenerateOptions::from_json(Json::Object{{"preset", "products-small"}}));
  generated.nodes = kNodes;
  generated.features = kColumns;
  must(generate_graph(generated, folder / "graph", 2, [](const Progress&) {}));
  PartitionOptions cut;
  cut.parts = 1;
  must(partition_graph(folder / "graph", folder / "partition", cut, [](const Progress&) {}));

  const KeyPair client_keys = must(make_key_pair());
  ServerOptions options;
  options.partition = folder / "partition";
  options.keys = must(make_key_pair());
  const auto server = must(GraphServer::start(options));
  server->allow({client_keys.public_key});
  ShardOptions here{.partition = folder / "partition", .mapped = {0}}, there = here;
  there.mapped.clear();
  there.servers = {{0, "127.0.0.1", server->port(), options.keys.public_key}};
  there.keys = client_keys;
  const auto mapped = must(open_sharded_graph(here)), remote = must(open_sharded_graph(there));

  Json json;
  json["benchmark"] = "graph_server";
  json["nodes"] = kNodes;
  json["row_bytes"] = kRowBytes;
  const double limit = bare_curve();
  json["limits"]["bare_curve_mb_per_second"] = limit;
  json["limits"]["mapped_rows_per_second"] = rows_per_second(*mapped);
  json["limits"]["mapped_million_edges_per_second"] = edges_per_second(*mapped) / 1e6;
  const double rows = rows_per_second(*remote);
  json["rows_per_second"] = rows;
  json["mb_per_second"] = rows * kRowBytes / 1e6;
  json["share_of_bare_curve"] = rows * kRowBytes / 1e6 / limit;
  json["million_edges_per_second"] = edges_per_second(*remote) / 1e6;
  json["server"] = server->stats();
  return json;
}

}  // namespace
}  // namespace gnnflow::bench

int main() {
  using namespace gnnflow;
  const char* base = std::getenv("TMPDIR");
  const fs::path folder = bench::must(
      make_temporary_folder(fs::path(base != nullptr && *base != '\0' ? base : "/tmp") / "gnnflow-bench"));
  const Json json = bench::measure(folder);
  std::puts(json.dump().c_str());
  bench::must(remove_tree(folder));
  return 0;
}
