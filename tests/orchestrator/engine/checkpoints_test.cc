// Checkpoints are copied here while a training goes on, and found again when its host is gone.
#include "orchestrator/engine/checkpoints.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "common/base/digest.h"
#include "tests/orchestrator/engine/engine_bench.h"

namespace gnnflow {
namespace {

using Lines = std::vector<std::string>;

void write_checkpoint(const fs::path& folder, int64_t epoch, int64_t best_epoch = 0) {
  const std::string weights = "weights of epoch " + std::to_string(epoch);
  ASSERT_TRUE(create_folders(folder / std::to_string(epoch)));
  ASSERT_TRUE(write_file_atomically(folder / std::to_string(epoch) / "weights", weights));
  Json index;
  index["best_epoch"] = best_epoch;
  index["files"]["weights"]["bytes"] = static_cast<int64_t>(weights.size());
  index["files"]["weights"]["digest"] = digest_of(weights);
  ASSERT_TRUE(write_file_atomically(folder / std::to_string(epoch) / "checkpoint.json", index.dump()));
}

// One rank, on a host of another machine. It makes what `to_make` says, one after the other, each when the
// last was copied (or can never be), and then fails; in a later run it ends well at once.
class CheckpointsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    add_host("node1", "192.0.2.1");
    bench.add("model", "train", {{"hosts", Json(Json::Array{"node1"})}, {"epochs", 10}});
    bench.on_tick = [this] { turn(); };
  }
  void add_host(const std::string& name, const std::string& address) {
    bench.add_far_host(name, address);
    names.push_back(name);
    bench.host(name).on_start([this, name](const Json& order) {
      spec = order.get("spec");
      host = name;
      folder = fs::path("checkpoints/model") / fs::path(spec.text_or("checkpoints", "")).filename();
      FakeJob job = makes("model", "the model");
      if (!failing) return job;
      job.code = std::nullopt;
      return job;
    });
  }
  fs::path here() { return bench.host().root() / folder; }
  fs::path there() { return bench.host(host).files() / folder; }
  bool is_here(int64_t epoch) { return fs::exists(here() / std::to_string(epoch) / "checkpoint.json"); }
  void turn() {
    const auto at = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
      return !bench.host(name).running().empty();
    });
    if (at == names.end()) return;
    const std::string token = bench.host(*at).running().front();
    if (made && !is_here(*made) && wait_for_copies) return;
    if (to_make.empty()) return bench.host(host).finish(token, 1);
    made = to_make.front();
    to_make.erase(to_make.begin());
    write_checkpoint(there(), *made, best_epoch);
    bench.host(host).report(
        token, message_of("checkpoint", {{"epoch", *made}, {"path", "/there"}, {"bytes", bytes}}));
  }
  std::vector<std::string> epochs_here() {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator at(here(), error), end; !error && at != end; at.increment(error)) {
      if (at->path().filename() != "incoming") names.push_back(at->path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  // The training's host leaves the workflow, another one takes its place.
  void move_to(const std::string& name) {
    bench.remove_host("node1");
    names.clear();
    add_host(name, "192.0.2.2");
    bench.step("model").options["hosts"] = Json(Json::Array{name});
    failing = false;
  }
  EngineBench bench;
  std::vector<std::string> names;
  std::vector<int64_t> to_make;
  std::optional<int64_t> made;
  int64_t bytes = 20, best_epoch = 0;
  bool failing = true, wait_for_copies = true;
  Json spec;  // of the last task
  std::string host;
  fs::path folder;  // below a root
};

TEST_F(CheckpointsTest, GoOnOnAnotherHostFromTheCopyHereWhenTheirHostHasLeftTheWorkflow) {
  to_make = {1, 2};
  ASSERT_EQ(bench.run(), 1);
  EXPECT_EQ(epochs_here(), (Lines{"1", "2"}));
  move_to("node2");
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(spec.text_or("resume", ""), (bench.host("node2").root() / folder / "2").string());
  EXPECT_EQ(bench.observer.lines_with("note model").back(),
            "note model: goes on from epoch 2, from the checkpoint on controller");
}

TEST_F(CheckpointsTest, AreCompleteWhereTrainingGoesOn) {
  to_make = {2};
  ASSERT_EQ(bench.run(), 1);
  move_to("node2");
  std::string weights, index;
  bench.host("node2").on_start([&](const Json&) {
    weights = read_file(bench.host("node2").files() / folder / "2/weights").value_or("none");
    index = read_file(bench.host("node2").files() / folder / "2/checkpoint.json").value_or("none");
    return makes("model", "the model");
  });
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(weights, "weights of epoch 2");
  EXPECT_NE(index.find("weights"), std::string::npos);
}

TEST_F(CheckpointsTest, AreKeptHereAsOnTheirHost) {
  best_epoch = 1;
  to_make = {1, 2, 3, 4};
  ASSERT_EQ(bench.run(), 1);
  EXPECT_EQ(epochs_here(), (Lines{"1", "3", "4"}));
}

TEST_F(CheckpointsTest, AreNotCopiedWhenThatIsOff) {
  bench.step("model").options["checkpoint_copy"] = 0;
  wait_for_copies = false;
  to_make = {1};
  ASSERT_EQ(bench.run(), 1);
  EXPECT_TRUE(epochs_here().empty());
}

TEST_F(CheckpointsTest, ThatAreTooLargeStayWhereTheyAreAndThatIsSaidOnce) {
  bytes = int64_t{3} << 30;
  wait_for_copies = false;
  to_make = {1, 2};
  ASSERT_EQ(bench.run(), 1);
  EXPECT_TRUE(epochs_here().empty());
  EXPECT_EQ(
      bench.observer.lines_with("note model"),
      (Lines{"note model: its checkpoints of 3.0 GiB stay on host node1 alone: `checkpoint_copy` is 1.0 "
             "GiB"}));
}

TEST_F(CheckpointsTest, ThatCannotBeHadGiveWayToTheNextBest) {
  to_make = {1, 2};
  ASSERT_EQ(bench.run(), 1);
  fs::remove_all(there() / "2");
  failing = false;
  // It says so, and then it is not there.
  bench.host("node1").on_order([&](const Message& order) -> std::optional<Message> {
    if (order.type() != "checkpoints") return std::nullopt;
    Message reply;
    reply.head["checkpoints"] = Json(Json::Array{});
    return reply;
  });
  ASSERT_TRUE(write_file_atomically(here() / "2/weights", "cut"));
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.observer.lines_with("note model").back(),
            "note model: goes on from epoch 1, from the checkpoint on controller");
}

TEST_F(CheckpointsTest, OfAnotherHostThatCanBeReachedAreFetched) {
  wait_for_copies = false;
  bench.step("model").options["checkpoint_copy"] = 0;
  to_make = {1, 5};
  ASSERT_EQ(bench.run(), 1);
  add_host("node2", "192.0.2.2");
  bench.step("model").options["hosts"] = Json(Json::Array{"node2"});
  failing = false;
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(spec.text_or("resume", ""), (bench.host("node2").root() / folder / "5").string());
  EXPECT_EQ(bench.observer.lines_with("note model").back(),
            "note model: goes on from epoch 5, from the checkpoint on node1");
}

TEST_F(CheckpointsTest, ThatAHostClaimsButCannotGiveArePassedOverWithItsWords) {
  to_make = {1};
  ASSERT_EQ(bench.run(), 1);
  add_host("node2", "192.0.2.2");
  bench.step("model").options["hosts"] = Json(Json::Array{"node2"});
  failing = false;
  bench.host("node1").on_order([&](const Message& order) -> std::optional<Message> {
    if (order.type() != "checkpoints") return std::nullopt;
    Message reply;
    reply.head["checkpoints"] = Json(Json::Array{Json(Json::Object{{"epoch", 7}})});
    return reply;
  });
  ASSERT_EQ(bench.run(), 0);
  const auto notes = bench.observer.lines_with("note model");
  ASSERT_GE(notes.size(), 2u);
  EXPECT_EQ(notes[notes.size() - 2].find("note model: the checkpoint of epoch 7 cannot be had: "), 0u)
      << notes[notes.size() - 2];
  EXPECT_EQ(notes.back(), "note model: goes on from epoch 1, from the checkpoint on controller");
}

TEST_F(CheckpointsTest, ThatNobodyHasAnyMoreLetTrainingStartFromTheBeginningAndThatIsSaid) {
  bench.step("model").options["checkpoint_copy"] = 0;
  wait_for_copies = false;
  to_make = {1};
  ASSERT_EQ(bench.run(), 1);
  move_to("node2");
  ASSERT_EQ(bench.run(), 0);
  EXPECT_FALSE(spec.has("resume"));
  EXPECT_EQ(bench.observer.lines_with("note model").back(),
            "note model: starts from the beginning: its checkpoints are on node1, which cannot be asked");
}

TEST_F(CheckpointsTest, AreRemovedEverywhereWhenTheResultIsThere) {
  to_make = {1};
  ASSERT_EQ(bench.run(), 1);
  failing = false;
  ASSERT_EQ(bench.run(), 0);
  EXPECT_FALSE(fs::exists(here()));
  EXPECT_FALSE(fs::exists(there()));
  EXPECT_TRUE(bench.store().locations_of(folder.filename().string()).value().empty());
}

TEST_F(CheckpointsTest, OfALongerTrainingOutliveAShorterOneAndAreGoneWithItsOwnEnd) {
  to_make = {7};
  ASSERT_EQ(bench.run(), 1);
  bench.step("model").options["epochs"] = 5;
  failing = false;
  ASSERT_EQ(bench.run(), 0);
  EXPECT_TRUE(is_here(7));
  EXPECT_TRUE(fs::exists(there() / "7"));
  bench.step("model").options["epochs"] = 10;
  ASSERT_EQ(bench.run(), 0);
  EXPECT_TRUE(spec.has("resume"));
  EXPECT_FALSE(fs::exists(here()));
  EXPECT_FALSE(fs::exists(there()));
}

TEST_F(CheckpointsTest, OfOneTooLargeForACopyOutliveAShorterTrainingToo) {
  bench.step("model").options["checkpoint_copy"] = 0;
  to_make = {7};
  wait_for_copies = false;
  ASSERT_EQ(bench.run(), 1);
  bench.step("model").options["epochs"] = 5;
  failing = false;
  ASSERT_EQ(bench.run(), 0);
  EXPECT_FALSE(is_here(7));
  EXPECT_TRUE(fs::exists(there() / "7"));
}

TEST_F(CheckpointsTest, OfAResultThatWasRemovedByHandOnItsHostAreTakenFromTheCopyHere) {
  failing = false;
  const auto finished = [&](const Json& order) {
    spec = order.get("spec");
    FakeJob job;
    job.files["model/last/weights"] = "weights";
    job.files["model/last/checkpoint.json"] =
        R"({"files":{"weights":{"bytes":7,"digest":")" + digest_of("weights") + R"("}}})";
    job.reports.push_back(message_of("result", {{"epochs", 10}}));
    return job;
  };
  bench.host("node1").on_start(finished);
  ASSERT_EQ(bench.run(), 0);
  fs::remove_all(bench.host("node1").files() / "outputs");
  bench.step("model").options["epochs"] = 20;
  ASSERT_EQ(bench.run(), 0);
  const fs::path resume = spec.text_or("resume", "");
  EXPECT_EQ(resume.string().find((bench.host("node1").root() / "data").string()), 0u) << resume;
  EXPECT_TRUE(fs::exists(bench.host("node1").files() / resume.lexically_relative(bench.host("node1").root()) /
                         "weights"));
}

}  // namespace
}  // namespace gnnflow
