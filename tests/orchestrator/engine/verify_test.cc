// Reading back what was made, wherever it lies.
#include "orchestrator/engine/verify.h"

#include <gtest/gtest.h>

#include "tests/orchestrator/engine/engine_bench.h"

namespace gnnflow {
namespace {

// `thing` was made on node1 and brought to the controller for `user`.
class Verify : public ::testing::Test {
 protected:
  void SetUp() override {
    bench.add_host("node1");
    bench.add("thing", "make", {{"host", "node1"}});
    bench.add("user", "make", {{"input", "${steps.thing}"}});
    for (const char* name : {"controller", "node1"})
      bench.host(name).on_start([](const Json& order) {
        return makes("thing", "content of " + order.get("spec").text_or("step", ""));
      });
    ASSERT_EQ(bench.run(), 0);
  }
  std::vector<std::string> faults(const StopSignal& stop) {
    std::vector<std::string> lines;
    auto copies = verify_outputs(bench.workflow, bench.store(), bench.lend(), stop);
    if (!copies) return {copies.error().message};
    looked_at = copies->size();
    for (const VerifiedCopy& copy : *copies) {
      if (copy.fault)
        lines.push_back(copy.step + " on " + copy.host + ": " + std::string(name_of(copy.fault->cause)) +
                        ", " + copy.fault->message);
    }
    return lines;
  }
  std::vector<std::string> faults() { return faults(bench.stop); }
  fs::path file_of(const std::string& step, const std::string& host) {
    const PieceRow piece = bench.store().pieces_of(bench.last(step).id).value().front();
    const auto copies = bench.store().locations_of(piece.digest);
    for (const LocationRow& copy : *copies) {
      if (copy.host == host) return bench.host(host).root() / copy.path / "content";
    }
    return {};
  }
  fs::path path_list(const std::string& step, const std::string& host) {
    return file_of(step, host).parent_path().string() + ".manifest.json";
  }
  EngineBench bench;
  size_t looked_at = 0;
};

TEST_F(Verify, LooksAtEveryCopyAndFindsThemGood) {
  EXPECT_EQ(faults(), std::vector<std::string>{});
  EXPECT_EQ(looked_at, 3u);
}

TEST_F(Verify, SeesAByteThatChangedOnAnotherHost) {
  const fs::path file = file_of("thing", "node1");
  std::string text = read_file(file).value();
  text[0] = 'C';
  ASSERT_TRUE(write_file_atomically(file, text));
  EXPECT_EQ(faults(), std::vector<std::string>{"thing on node1: bad_data, file content is damaged"});
}

TEST_F(Verify, SeesWhatIsGone) {
  fs::remove_all(file_of("thing", "controller").parent_path());
  EXPECT_EQ(faults(), std::vector<std::string>{"thing on controller: bad_data, file content is damaged"});
  fs::remove_all(file_of("thing", "controller").parent_path().parent_path());
  EXPECT_EQ(faults(), std::vector<std::string>{"thing on controller: bad_data, it is gone"});
}

TEST_F(Verify, SeesAListOfFilesThatChanged) {
  const fs::path list = path_list("user", "controller");
  ASSERT_TRUE(write_file_atomically(list, read_file(list).value() + " "));
  EXPECT_EQ(faults(), std::vector<std::string>{"user on controller: bad_data, its list of files is damaged"});
}

// Outputs of an exec step may be called as parts are, and may hold the same.
TEST_F(Verify, LooksOnceAtEachOutputWhateverItsNameAndContent) {
  const PieceRow thing = bench.store().pieces_of(bench.last("thing").id).value().front();
  const std::string path =
      file_of("thing", "node1").parent_path().lexically_relative(bench.host("node1").root()).string();
  const AttemptRow two = bench.leave("user", "another key", AttemptState::running, TaskState::exited);
  ASSERT_TRUE(bench.store().succeed(
      two.id, {{"part-0", thing.digest, thing.bytes}, {"part-1", thing.digest, thing.bytes}},
      {{thing.digest, "part-0", "node1", path, true}, {thing.digest, "part-1", "node1", path, true}}));
  EXPECT_EQ(faults(), std::vector<std::string>{});
  EXPECT_EQ(looked_at, 2u + 2u);
  fs::remove(path_list("thing", "node1"));
  EXPECT_EQ(faults(), (std::vector<std::string>{"thing on node1: bad_data, it is gone",
                                                "user on node1: bad_data, it is gone",
                                                "user on node1: bad_data, it is gone"}));
}

TEST_F(Verify, EndsWhenStopped) {
  StopSignal stop;
  stop.raise(Cause::interrupted);
  EXPECT_EQ(faults(stop), std::vector<std::string>{"stopped while verifying"});
}

}  // namespace
}  // namespace gnnflow
