// Training as a whole, on one rank and on two that talk over loopback: resume, agreement, errors, early stop.
#include <algorithm>

#include "tests/worker/trainer/training_support.h"
#include "worker/trainer/batch_pipeline.h"
#include "worker/trainer/models/registry.h"
#include "worker/trainer/train_step.h"

namespace gnnflow {
namespace {

constexpr ToyOptions kToy{.nodes = 200, .pairs = 1200, .columns = 6};

std::vector<float> weights_of(const fs::path& checkpoint) {
  return must(read_checkpoint(checkpoint)).weights;
}

class OnRanks : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, OnRanks, testing::Values(1, 2));

TEST_P(OnRanks, ResumedTrainingEndsInTheSameBitsAsTrainingThatNeverStopped) {
  const TempDir folder;
  const fs::path parts = toy_partition(folder, kToy, 2);
  const int ranks = GetParam();
  for (const std::string kind : {"adam", "sgd"}) {
    Json options = sage_options(5);
    options["optimizer"] = Json(Json::Object{{"kind", kind}, {"lr", 0.001}});
    if (kind == "sgd") options["optimizer"]["momentum"] = 0.9;
    const fs::path whole = folder / (kind + "-whole"), cut = folder / (kind + "-cut");
    ASSERT_TRUE(train_on({parts, options, ranks, whole, whole / "checkpoints", {}}));
    options["epochs"] = 2;
    ASSERT_TRUE(train_on({parts, options, ranks, cut, cut / "checkpoints", {}}));
    options["epochs"] = 5;
    const auto resumed =
        train_on({parts, options, ranks, cut, cut / "checkpoints", cut / "checkpoints" / "2"});
    ASSERT_TRUE(resumed) << resumed.error().message;
    EXPECT_EQ(weights_of(whole / "model" / "last"), weights_of(cut / "model" / "last")) << kind;
    EXPECT_EQ(weights_of(whole / "model" / "best"), weights_of(cut / "model" / "best")) << kind;
    EXPECT_EQ(must(read_checkpoint_files(whole / "checkpoints" / "5")),
              must(read_checkpoint_files(cut / "checkpoints" / "5")));
    EXPECT_EQ(must(read_file(whole / "model" / "metrics.json")),
              must(read_file(cut / "model" / "metrics.json")));
  }
}

TEST_P(OnRanks, TheFullScoreIsThatOfTheWholeNeighbourhoods) {
  const TempDir folder;
  const fs::path parts = toy_partition(folder, kToy, 2);
  ASSERT_TRUE(train_on({parts, sage_options(3), 1, folder / "train", {}, {}}));
  // All neighbours drawn by the sampler, in one process: what layer by layer must agree with.
  const fs::path model = folder / "train" / "model";
  Checkpoint checkpoint = must(read_checkpoint(model / "last"));
  checkpoint.fanout = {-1, -1};
  ASSERT_TRUE(write_checkpoint_files(folder / "all", encode_checkpoint(checkpoint)));
  const auto sampled =
      evaluate_on(parts, folder / "all", folder / "sampled", 1, parsed(R"({"how": "sampled"})"));
  ASSERT_TRUE(sampled) << sampled.error().message;
  const auto full =
      evaluate_on(parts, folder / "all", folder / "full", GetParam(), parsed(R"({"how": "full"})"));
  ASSERT_TRUE(full) << full.error().message;
  EXPECT_EQ(full->get("splits"), sampled->get("splits"));
  EXPECT_EQ(full->get("total").integer(), 80);
  EXPECT_EQ(full->get("majority").number(), 0.25) << "4 classes of 20";
  EXPECT_EQ(must(read_file(folder / "full" / "predictions.npy")),
            must(read_file(folder / "sampled" / "predictions.npy")));
  const Array predictions = must(Array::open(folder / "full" / "predictions.npy"));
  EXPECT_EQ(predictions.rows(), kToy.nodes);
  int64_t correct = 0;
  for (int64_t node = 0; node < kToy.nodes; ++node) {
    correct += toy_set(node) == 2 && predictions.integer(node) == toy_label(kToy, node) ? 1 : 0;
  }
  EXPECT_EQ(correct, full->get("correct").integer()) << "predictions are in original ids";
}

TEST(Ranks, WithGlobalSeedsHaveTheLossOfOneRank) {
  const TempDir folder;
  Json options = sage_options(1);
  options["sample"]["seeds"] = "global";
  options["sample"]["batch"] = 1000;  // one step
  std::vector<double> losses;
  std::vector<std::vector<float>> weights;
  for (const int parts : {1, 2, 2}) {
    const int ranks = losses.empty() ? 1 : 2;
    const fs::path work = folder / ("work" + std::to_string(losses.size()));
    const fs::path partition =
        losses.size() < 2 ? toy_partition(folder, kToy, parts) : folder / "parts200-1-2";
    const auto metrics = train_on({partition, options, ranks, work, {}, {}});
    ASSERT_TRUE(metrics) << metrics.error().message;
    losses.push_back(metrics->get("history").array()[0].get("loss").number());
    weights.push_back(weights_of(work / "model" / "last"));
    EXPECT_EQ(metrics->get("training_nodes").integer(), 80);
  }
  EXPECT_NEAR(losses[0], losses[1], 1e-5 * losses[0]);
  EXPECT_EQ(losses[1], losses[2]) << "Gloo repeats bit for bit";
  EXPECT_EQ(weights[1], weights[2]);
}

// Part 0 has many more seeds than part 1: rank 1 runs out and goes on without any.
TEST(Ranks, TakePartWithoutSeedsWhenOthersHaveSome) {
  const TempDir folder;
  const fs::path parts = toy_partition(folder, kToy, 2);
  MemoryRendezvous rendezvous;
  std::vector<Result<Json>> results(2, Error{Cause::failed, "never ran"});
  on_ranks(2, [&](int rank) {
    RankPlace place = place_of(parts, rank, 2);
    place.seeds = rank == 0 ? std::vector<SeedShare>{{0, 0, 1}, {1, 0, 1}} : std::vector<SeedShare>{};
    RankWork work = open_work(place, &rendezvous);
    TrainJob job{must(read_train_options(sage_options(2))), work.graph, *work.source, *work.group};
    job.output = job.folder = folder / ("rank" + std::to_string(rank));
    results[static_cast<size_t>(rank)] = train(job);
  });
  ASSERT_TRUE(results[0]) << results[0].error().message;
  ASSERT_TRUE(results[1]) << results[1].error().message;
  EXPECT_EQ(results[0]->get("history"), results[1]->get("history"));
  EXPECT_EQ(results[0]->get("training_nodes").integer(), 80);
  EXPECT_EQ(results[0]->get("steps").integer(), 10);
  EXPECT_FALSE(fs::exists(folder / "rank1" / "metrics.json")) << "only rank 0 writes";
}

TEST(Ranks, WhoseWeightsDifferEndWithABug) {
  const TempDir folder;
  const fs::path parts = toy_partition(folder, kToy, 2);
  MemoryRendezvous rendezvous;
  std::vector<Result<Json>> results(2, Error{Cause::failed, "never ran"});
  on_ranks(2, [&](int rank) {
    Json options = sage_options(2);
    options["seed"] = rank + 1;  // as if one had gone astray
    RankWork work = open_work(place_of(parts, rank, 2), &rendezvous);
    TrainJob job{must(read_train_options(options)), work.graph, *work.source, *work.group};
    job.output = job.folder = folder / "out";
    results[static_cast<size_t>(rank)] = train(job);
  });
  ASSERT_FALSE(results[0]);
  EXPECT_EQ(results[0].error().cause, Cause::bug);
  EXPECT_TRUE(results[0].error().message.starts_with("after epoch 1 the weights of rank 0 ("))
      << results[0].error().message;
}

TEST(Training, KeepsCheckpointsAndPublishesBestAndLast) {
  const TempDir folder;
  const fs::path parts = toy_partition(folder, kToy, 2);
  const fs::path checkpoints = folder / "checkpoints";
  const auto metrics = train_on({parts, sage_options(6), 1, folder.path(), checkpoints, {}});
  ASSERT_TRUE(metrics) << metrics.error().message;
  const int64_t best = metrics->get("best_epoch").integer();
  double highest = -1;
  int64_t first_highest = 0;
  for (const Json& one : metrics->get("history").array()) {
    if (one.get("val_accuracy").number() > highest) {
      highest = one.get("val_accuracy").number();
      first_highest = one.get("epoch").integer();
    }
  }
  EXPECT_EQ(best, first_highest) << "the earlier at a tie";
  EXPECT_TRUE(fs::exists(checkpoints / "6" / "checkpoint.json"));
  EXPECT_TRUE(fs::exists(checkpoints / "5" / "checkpoint.json"));
  EXPECT_TRUE(fs::exists(checkpoints / std::to_string(best) / "checkpoint.json"));
  EXPECT_EQ(std::distance(fs::directory_iterator(checkpoints), {}), best >= 5 ? 2 : 3);
  EXPECT_EQ(must(read_checkpoint(folder / "model" / "best")).epoch, best);
  EXPECT_EQ(weights_of(folder / "model" / "best"),
            must(read_checkpoint(folder / "model" / "last")).best_weights);
  EXPECT_EQ(must(read_checkpoint(folder / "model" / "last")).epoch, 6);
}

TEST(Training, StopsWhenTheScoreNoLongerRises) {
  const TempDir folder;
  const fs::path parts = toy_partition(folder, kToy, 2);
  Json options = sage_options(40);
  options["optimizer"]["lr"] = 0.0;  // no epoch is better than the first but by its samples
  options["early_stop"]["patience"] = 2;
  const auto metrics = train_on({parts, options, 1, folder.path(), folder / "checkpoints", {}});
  ASSERT_TRUE(metrics) << metrics.error().message;
  const int64_t epochs = metrics->get("epochs").integer();
  EXPECT_EQ(epochs, metrics->get("best_epoch").integer() + 2);
  EXPECT_LT(epochs, 40);
  EXPECT_TRUE(metrics->get("stopped_early").boolean());
  const auto again = train_on({parts, options, 1, folder.path(), folder / "checkpoints",
                               folder / "checkpoints" / std::to_string(epochs)});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->get("epochs").integer(), epochs) << "a resumed training that had stopped stays stopped";
}

TEST(Training, RefusesACheckpointOfOtherOptions) {
  const TempDir folder;
  const fs::path parts = toy_partition(folder, kToy, 2);
  ASSERT_TRUE(train_on({parts, sage_options(1), 1, folder.path(), folder / "checkpoints", {}}));
  Json options = sage_options(2);
  options["optimizer"]["lr"] = 0.5;
  const auto refused =
      train_on({parts, options, 1, folder.path(), folder / "checkpoints", folder / "checkpoints" / "1"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().cause, Cause::bad_data);
  EXPECT_TRUE(refused.error().message.starts_with(
      "the checkpoint to resume from does not fit: it was made with options "));
}

TEST(Training, EndsAtALossThatIsNoNumberWithTheBatch) {
  const TempDir folder;
  const fs::path parts = toy_partition(folder, kToy, 2);
  Json options = sage_options(3);
  options["optimizer"] = Json(Json::Object{{"kind", "sgd"}, {"lr", 1e6}, {"weight_decay", 1e6}});
  const auto ended = train_on({parts, options, 1, folder.path(), {}, {}});
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().cause, Cause::bad_data);
  EXPECT_TRUE(ended.error().message.starts_with("batch ")) << ended.error().message;
  EXPECT_TRUE(ended.error().message.find(" of epoch 1 (step ") != std::string::npos) << ended.error().message;
  EXPECT_TRUE(ended.error().message.find("look at the features and at the learning rate") !=
              std::string::npos);
}

TEST(Training, SaysWhenTheFanoutDoesNotFitTheModel) {
  const TempDir folder;
  const fs::path parts = toy_partition(folder, kToy, 1);
  Json options = sage_options(1);
  options["sample"]["fanout"] = parsed("[5]");
  EXPECT_EQ(train_on({parts, options, 1, folder.path(), {}, {}}).error().message,
            "fanout has 1 numbers, but the model has 2 layers");
  options["sample"] = parsed("{}");
  EXPECT_EQ(train_on({parts, options, 1, folder.path(), {}, {}}).error().message,
            "model 'sage' needs `sample: { fanout: [...] }` with 2 numbers");
}

// A graph with its labels or splits replaced, cut into one part.
fs::path spoiled(const TempDir& folder, std::span<const int8_t> labels, std::span<const int32_t> train,
                 int64_t classes) {
  const fs::path graph = folder / "spoiled";
  const GraphDir good = toy_graph(folder / "good", kToy);
  GraphWriter writer = must(GraphWriter::create(graph));
  for (const auto& [path, info] : good.index().arrays) {
    if (path.ends_with("label.npy") || path.ends_with("train.npy")) continue;
    must(create_folders((writer.folder() / path).parent_path()));
    fs::copy_file(good.folder() / path, writer.folder() / path);
    writer.add(info);
  }
  writer.add(
      must(write_array<int8_t>(writer.folder(), "nodes/node/label.npy", Dtype::i1, {kToy.nodes}, labels)));
  writer.add(must(write_array<int32_t>(writer.folder(), "split/node/default/train.npy", Dtype::i4,
                                       {static_cast<int64_t>(train.size())}, train)));
  writer.index().nodes = good.index().nodes;
  writer.index().edges = good.index().edges;
  writer.index().feature_columns = good.index().feature_columns;
  writer.index().classes["node"] = classes;
  must(writer.commit());
  PartitionOptions cut;
  cut.parts = 1;
  must(partition_graph(graph, folder / "parts", cut, [](const Progress&) {}));
  return folder / "parts";
}

TEST(Training, SaysWhenThereIsNothingToTrainOn) {
  const TempDir folder;
  const std::vector<int8_t> labels(kToy.nodes, 1);
  const fs::path parts = spoiled(folder, labels, {}, 4);
  const auto ended = train_on({parts, sage_options(1), 1, folder.path(), {}, {}});
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().cause, Cause::bad_data);
  EXPECT_EQ(ended.error().message,
            parts.string() + ": no training nodes: the graph has no `train` split, or an empty one");
}

TEST(Training, NamesANodeWhoseLabelIsNoClass) {
  const TempDir folder;
  std::vector<int8_t> labels(kToy.nodes, 1);
  labels[17] = -1;
  const std::vector<int32_t> train = {3, 17};
  const fs::path parts = spoiled(folder, labels, train, 4);
  for (const char* seeds : {"local", "global"}) {
    Json options = sage_options(1);
    options["sample"]["seeds"] = seeds;
    const auto ended = train_on({parts, options, 1, folder.path(), {}, {}});
    ASSERT_FALSE(ended);
    EXPECT_EQ(ended.error().cause, Cause::bad_data);
    EXPECT_EQ(ended.error().message, "node 17 has label -1, but there are 4 classes");
  }
}

TEST(Evaluation, SaysWhenRanksDoNotCoverAllNodes) {
  const TempDir folder;
  const fs::path parts = toy_partition(folder, kToy, 2);
  ASSERT_TRUE(train_on({parts, sage_options(1), 1, folder.path(), {}, {}}));
  RankPlace place = place_of(parts, 0, 1);
  place.seeds = {{0, 0, 1}};
  RankWork work = open_work(place, nullptr);
  EvaluateJob job{{}, work.graph, *work.source, *work.group};
  job.model = folder / "model";
  job.output = folder / "score";
  const auto ended = evaluate(job);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().message,
            "the ranks' parts must cover every node once, but node 100 (new id) is nobody's");
}

}  // namespace
}  // namespace gnnflow
