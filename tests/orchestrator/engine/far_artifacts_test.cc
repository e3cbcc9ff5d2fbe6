// What is made on a machine whose files nobody else sees, and read on another.
#include <gtest/gtest.h>

#include "tests/orchestrator/engine/engine_bench.h"

namespace gnnflow {
namespace {

// `a` on node1, `b: reads a` on node2, both far.
class FarArtifacts : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"node1", "node2"}) {
      bench.add_far_host(name, std::string("192.0.2.") + name[4]);
      bench.host(name).on_start([this, name](const Json& order) {
        const Json& options = order.get("spec").get("options");
        const fs::path input = options.text_or("input", "");
        if (!input.empty()) {
          const FakeHost& host = bench.host(name);
          read =
              read_file(host.files() / input.lexically_relative(host.root()) / "content").value_or("nothing");
        }
        return makes("thing", order.get("spec").text_or("step", "") + options.get("value").dump());
      });
    }
    bench.add("a", "make", {{"value", 1}, {"host", "node1"}});
    bench.add("b", "make", {{"value", 1}, {"host", "node2"}, {"input", "${steps.a}"}});
  }
  EngineBench bench;
  std::string read;  // what b found
};

TEST_F(FarArtifacts, GoOverTheController) {
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(read, "a1");
  EXPECT_EQ(bench.observer.lines_with("end 0").size(), 1u);
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.observer.lines_with("end 0").back(), "end 0: nothing to do");
}

TEST_F(FarArtifacts, ThatWereRemovedWhereTheyAreReadComeFromAnotherCopy) {
  ASSERT_EQ(bench.run(), 0);
  fs::remove_all(bench.host("node2").files() / "data");
  bench.step("b").options["value"] = 2;
  read.clear();
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(read, "a1");
}

TEST_F(FarArtifacts, ThatWereRemovedHereComeFromWhereTheyWereMade) {
  ASSERT_EQ(bench.run(), 0);
  fs::remove_all(bench.host("node2").files() / "data");
  fs::remove_all(bench.host().root() / "data");
  bench.step("b").options["value"] = 2;
  read.clear();
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(read, "a1");
}

TEST_F(FarArtifacts, ThatAreGoneEverywhereAreMadeAgainByTheNextRun) {
  ASSERT_EQ(bench.run(), 0);
  fs::remove_all(bench.host("node1").files() / "outputs");
  fs::remove_all(bench.host("node2").files() / "data");
  fs::remove_all(bench.host().root() / "data");
  bench.step("b").options["value"] = 2;
  EXPECT_NE(bench.run(), 0);
  read.clear();
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("a").number, 2);
  EXPECT_EQ(bench.last("a").reason, "output thing lies on no host any more");
  EXPECT_EQ(read, "a1");
}

}  // namespace
}  // namespace gnnflow
