// Ranks that map their own part only and ask servers for the other: the same weights as with everything
// mapped.
#include "tests/worker/graph_server/toy_servers.h"
#include "tests/worker/trainer/training_support.h"

namespace gnnflow {
namespace {

constexpr ToyOptions kToy{.nodes = 200, .pairs = 1200, .columns = 6};

TEST(RemoteParts, GiveTheSameWeightsAndScoresAsMappedOnes) {
  const TempDir folder;
  const fs::path parts = toy_partition(folder, kToy, 2);
  ToyServers servers(parts);
  servers.start(0);
  servers.start(1);
  std::vector<KeyPair> keys = {must(make_key_pair()), must(make_key_pair())};
  servers.allow({keys[0].public_key, keys[1].public_key});

  MemoryRendezvous rendezvous;
  on_ranks(2, [&](int rank) {
    RankPlace place = place_of(parts, rank, 2);
    place.parts_here = {rank};
    ShardOptions shards;
    shards.partition = parts;
    shards.mapped = place.parts_here;
    shards.servers = {servers.address(1 - rank)};
    shards.keys = keys[static_cast<size_t>(rank)];
    const RankGraph graph = must(RankGraph::open(place));
    const auto source = must(open_sharded_graph(shards));
    const auto group = must(RankGroup::make({rank, 2, "127.0.0.1"}, &rendezvous));
    for (const std::string seeds : {"local", "global"}) {
      Json options = sage_options(2);
      options["sample"]["seeds"] = seeds;
      TrainJob job{must(read_train_options(options)), graph, *source, *group};
      job.folder = folder / "remote";
      job.output = folder / "remote" / seeds;
      int64_t remote = 0;
      job.reports.metrics = [&](const Json& metrics) { remote += metrics.get("remote_rows").integer(); };
      const auto trained = train(job);
      EXPECT_EQ(remote > 0, rank == 0) << "rank 0 reports; it cannot have all rows itself";
      EXPECT_TRUE(trained) << trained.error().message;
    }
    EvaluateJob score{{}, graph, *source, *group};
    score.model = folder / "remote" / "local";
    score.output = folder / "remote-score";
    const auto scored = evaluate(score);
    EXPECT_TRUE(scored) << scored.error().message;
  });
  for (const std::string seeds : {"local", "global"}) {
    Json options = sage_options(2);
    options["sample"]["seeds"] = seeds;
    must(train_on({parts, options, 2, folder / "mapped", {}, {}}));
    EXPECT_EQ(must(read_checkpoint(folder / "mapped" / "model" / "last")).weights,
              must(read_checkpoint(folder / "remote" / seeds / "last")).weights)
        << seeds;
    if (seeds == "local") {
      must(evaluate_on(parts, folder / "mapped" / "model", folder / "mapped-score", 2, parsed("{}")));
      EXPECT_EQ(must(read_file(folder / "mapped-score" / "predictions.npy")),
                must(read_file(folder / "remote-score" / "predictions.npy")));
      EXPECT_EQ(must(read_file(folder / "mapped-score" / "metrics.json")),
                must(read_file(folder / "remote-score" / "metrics.json")));
    }
  }
}

// The one-part table, read without relabelling, against the same graph in two parts: both sum in the order of
// the edges.
TEST(LeafTable, GivesTheLossOfFetchedRows) {
  const TempDir folder;
  Json options = sage_options(2);
  options["sample"]["seeds"] = "global";
  const auto direct = must(train_on({toy_partition(folder, kToy, 1), options, 1, folder / "one", {}, {}}));
  const auto fetched = must(train_on({toy_partition(folder, kToy, 2), options, 1, folder / "two", {}, {}}));
  for (size_t epoch = 0; epoch < 2; ++epoch) {
    const double loss = direct.get("history").array()[epoch].get("loss").number();
    EXPECT_NEAR(fetched.get("history").array()[epoch].get("loss").number(), loss, 1e-5 * loss);
  }
}

TEST(SparseFeatures, AreReadLikeDenseOnes) {
  const TempDir folder;
  ToyOptions sparse = kToy;
  sparse.sparse = true;
  const auto trained =
      train_on({toy_partition(folder, sparse, 1), sage_options(2), 1, folder / "work", {}, {}});
  ASSERT_TRUE(trained) << trained.error().message;
  EXPECT_EQ(must(read_checkpoint(folder / "work" / "model" / "last")).shape.inputs, 6);
}

}  // namespace
}  // namespace gnnflow
