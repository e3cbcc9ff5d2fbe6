// What is made on a machine whose files nobody else sees, and read on another.
#include <atomic>
#include <thread>

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

TEST_F(FarArtifacts, ThatTwoHostsReadAreFetchedOnce) {
  bench.add_far_host("node3", "192.0.2.3");
  bench.host("node3").on_start([](const Json&) { return makes("thing", "c"); });
  bench.add("c", "make", {{"host", "node3"}, {"input", "${steps.a}"}});
  std::atomic<int> gets = 0;
  // It does not arrive before both have asked for it.
  bench.on_get = [&] {
    ++gets;
    const Deadline deadline = Deadline::after(Milliseconds(20'000));
    while (
        (bench.observer.lines_with("b running").empty() || bench.observer.lines_with("c running").empty()) &&
        !deadline.passed())
      std::this_thread::sleep_for(Milliseconds(5));
  };
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(gets, 2);  // its files, and their list
  EXPECT_EQ(read, "a1");
  const fs::path brought =
      fs::path("data") / (bench.store().pieces_of(bench.last("a").id)->front().digest + ".whole");
  for (const FakeHost* host : {&bench.host("node2"), &bench.host("node3")})
    EXPECT_TRUE(fs::exists(host->files() / brought / "thing/content")) << host->name();
}

// A program of the user's own stays one that can be run, here and there.
TEST_F(FarArtifacts, KeepWhatCanBeRun) {
  bench.host("node1").on_order([this](const Message& order) -> std::optional<Message> {
    const FakeHost& host = bench.host("node1");
    if (order.type() == "publish") {
      const fs::path out = host.files() / "tmp" / order.head.text_or("token", "") / "out/thing";
      EXPECT_TRUE(write_file_atomically(out / "tool", "#!/bin/sh", 0755));
    }
    return std::nullopt;
  });
  ASSERT_EQ(bench.run(), 0);
  const fs::path brought =
      fs::path("data") / (bench.store().pieces_of(bench.last("a").id)->front().digest + ".whole") / "thing";
  for (const fs::path& root : {bench.host().root(), bench.host("node2").files()}) {
    const auto may_run = [&](const char* file) {
      return (fs::status(root / brought / file).permissions() & fs::perms::owner_exec) != fs::perms::none;
    };
    EXPECT_TRUE(may_run("tool")) << root;
    EXPECT_FALSE(may_run("content")) << root;
  }
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
