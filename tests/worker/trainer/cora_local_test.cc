// A real graph: two ranks on two parts learn Cora, and the neighbours are what they learn it from.
#include "tests/worker/trainer/training_support.h"
#include "worker/ingest/import.h"

namespace gnnflow {
namespace {

class Cora : public testing::Test {
 protected:
  Cora() {
    ImportOptions import;
    import.row_normalize = true;
    must(import_graph(fs::path(GNNFLOW_SOURCE_FOLDER) / "tests/data/cora", folder_ / "graph", import,
                      [](const Progress&) {}));
    PartitionOptions cut;
    cut.parts = 2;
    must(partition_graph(folder_ / "graph", parts_, cut, [](const Progress&) {}));
  }
  double mean_accuracy(std::string_view options_text) {
    double total = 0;
    for (const int seed : {1, 2, 3}) {
      Json options = parsed(options_text);
      options["seed"] = seed;
      const auto trained = train_on({parts_, options, 2, folder_ / "work", {}, {}});
      if (!trained) bug(trained.error().message);
      const auto score =
          evaluate_on(parts_, folder_ / "work" / "model", folder_ / "score", 2, parsed("{}"), 20'000);
      if (!score) bug(score.error().message);
      EXPECT_EQ(score->get("total").integer(), 1000);
      std::printf("seed %d: %.3f\n", seed, score->get("accuracy").number());
      total += score->get("accuracy").number();
    }
    return total / 3;
  }
  TempDir folder_;
  const fs::path parts_ = folder_ / "parts";
};

TEST_F(Cora, IsLearntBySageToMoreThan77PerCent) {
  EXPECT_GE(mean_accuracy(R"({"model": {"kind": "sage", "layers": 2, "hidden": 64, "dropout": 0.8},
      "sample": {"fanout": [25, 10], "batch": 128},
      "optimizer": {"kind": "adam", "lr": 0.01, "weight_decay": 0.0005}, "epochs": 60})"),
            0.77);
}

TEST_F(Cora, IsNotLearntByAPerceptronThatSeesNoNeighbours) {
  const double accuracy =
      mean_accuracy(R"({"model": {"kind": "mlp", "layers": 2, "hidden": 64, "dropout": 0.5},
      "sample": {"batch": 128},
      "optimizer": {"kind": "adam", "lr": 0.01, "weight_decay": 0.0005}, "epochs": 60})");
  EXPECT_LE(accuracy, 0.65);
  EXPECT_GE(accuracy, 0.40) << "but it learns";
}

}  // namespace
}  // namespace gnnflow
