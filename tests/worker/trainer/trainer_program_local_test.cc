// The program itself, by hand: what it prints and with which code it ends.
#include "common/base/child_process.h"
#include "common/base/text.h"
#include "tests/support/poke.h"
#include "tests/worker/trainer/training_support.h"

namespace gnnflow {
namespace {

struct Ended {
  ExitState state;
  std::string log;
};

Ended run(const TempDir& folder, std::vector<std::string> words) {
  words.insert(words.begin(), std::string(GNNFLOW_PROGRAMS_FOLDER) + "/gnnflow-trainer");
  ChildOptions options;
  options.argv = std::move(words);
  options.output = folder / "log";
  must(remove_tree(options.output));
  ChildProcess child = must(ChildProcess::start(options));
  const auto state = child.wait(Deadline::after(Milliseconds(60'000)));
  if (!state) bug("gnnflow-trainer did not end");
  return {*state, must(read_file(options.output))};
}

constexpr ToyOptions kToy{.nodes = 100, .pairs = 500, .columns = 6};

TEST(TrainerProgram, NamesItsLibraries) {
  const TempDir folder;
  const Ended ended = run(folder, {"--version"});
  EXPECT_EQ(ended.state.code, 0);
  EXPECT_NE(ended.log.find("libtorch "), std::string::npos);
  EXPECT_NE(ended.log.find("oneDNN "), std::string::npos);
}

TEST(TrainerProgram, TrainsAndScoresAPartitionByHand) {
  const TempDir folder;
  const fs::path parts = toy_partition(folder, kToy, 2);
  const Ended trained = run(folder, {"train", "--partition", parts.string(), "--model", "sage", "--fanout",
                                     "3,2", "--hidden", "8", "--epochs", "2", "--batch", "20", "--threads",
                                     "1", "--out", (folder / "model").string(), "--json"});
  ASSERT_EQ(trained.state.code, 0) << trained.log;
  const auto last_line = trained.log.substr(trained.log.rfind('\n', trained.log.size() - 2) + 1);
  EXPECT_EQ(parsed(trimmed(last_line)).get("epochs").integer(), 2);
  EXPECT_TRUE(fs::exists(folder / "model" / "best" / "model.safetensors"));
  const Ended scored = run(folder, {"evaluate", "--partition", parts.string(), "--model",
                                    (folder / "model").string(), "--out", (folder / "score").string()});
  ASSERT_EQ(scored.state.code, 0) << scored.log;
  EXPECT_EQ(parsed(must(read_file(folder / "score" / "metrics.json"))).get("total").integer(), 40);
}

TEST(TrainerProgram, EndsWithTheCodeOfItsCause) {
  const TempDir folder;
  const fs::path parts = toy_partition(folder, kToy, 1);
  const auto with = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"train", "--out", (folder / "model").string(), "--partition"});
    return run(folder, std::move(words));
  };
  EXPECT_EQ(run(folder, {"train"}).state.code, 2);
  EXPECT_EQ(run(folder, {"trian"}).state.code, 2);
  const Ended model = with({parts.string(), "--model", "sgae", "--fanout", "2,2"});
  EXPECT_EQ(model.state.code, 3);
  EXPECT_NE(model.log.find("unknown model 'sgae'; did you mean 'sage'?"), std::string::npos) << model.log;
  EXPECT_EQ(with({(folder / "nothing").string(), "--model", "sage", "--fanout", "2,2"}).state.code, 4);
  const Ended loss = with({parts.string(), "--model", "sage", "--fanout", "2,2", "--optimizer", "sgd", "--lr",
                           "1000000", "--weight-decay", "1000000", "--batch", "10"});
  EXPECT_EQ(loss.state.code, 12);
  EXPECT_NE(loss.log.find("batch "), std::string::npos) << loss.log;
  const Ended task = run(folder, {"train", "--task", (folder / "no.json").string()});
  EXPECT_EQ(task.state.code, 4);
}

TEST(TrainerProgram, RefusesATruncatedPart) {
  const TempDir folder;
  const fs::path parts = toy_partition(folder, kToy, 1);
  const fs::path features = parts / "part-0" / "nodes" / "node" / "feat.npy";
  fs::resize_file(features, fs::file_size(features) - 100);
  const Ended ended = run(folder, {"train", "--partition", parts.string(), "--model", "sage", "--fanout",
                                   "2,2", "--out", (folder / "model").string()});
  EXPECT_EQ(ended.state.code, 12);
  EXPECT_NE(ended.log.find("feat.npy"), std::string::npos) << ended.log;
}

TEST(TrainerProgram, NamesTheIdOfAMapThatIsNoNode) {
  const TempDir folder;
  const fs::path parts = toy_partition(folder, kToy, 2);
  const fs::path model = folder / "model", score = folder / "score";
  const auto train = [&] {
    return run(folder, {"train", "--partition", parts.string(), "--model", "sage", "--fanout", "2,2",
                        "--hidden", "4", "--epochs", "1", "--threads", "1", "--out", model.string()});
  };
  ASSERT_EQ(train().state.code, 0);
  for (const char* name : {"new_of_orig.npy", "orig_of_new.npy"}) {
    const fs::path map = parts / "maps" / "node" / name;
    const auto good = static_cast<int32_t>(must(Array::open(map)).integer(0));
    for (const int32_t id : {2'000'000'000, -2'000'000'000}) {
      poke<int32_t>(map, 0, id);
      for (const Ended& ended : {train(), run(folder, {"evaluate", "--partition", parts.string(), "--model",
                                                       model.string(), "--out", score.string()})}) {
        EXPECT_EQ(ended.state.code, 12) << ended.log;
        EXPECT_NE(
            ended.log.find(map.string() + ": id " + std::to_string(id) + " at position 0 is not below 100"),
            std::string::npos)
            << ended.log;
      }
    }
    poke<int32_t>(map, 0, good);
  }
}

}  // namespace
}  // namespace gnnflow
