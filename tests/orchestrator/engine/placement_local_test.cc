// Placements: each host gets the files of its parts, and later only what it lacks. The lister is a small
// script.
#include <atomic>
#include <future>

#include <gtest/gtest.h>

#include "common/base/digest.h"
#include "tests/orchestrator/engine/engine_bench.h"

namespace gnnflow {
namespace {

using Lines = std::vector<std::string>;

class Placement : public ::testing::Test {
 protected:
  void SetUp() override {
    bench.host().on_start([](const Json& order) {
      FakeJob job;
      const std::string value = order.get("spec").get("options").get("value").dump();
      for (const char* file : {"shared", "part-0/x", "part-1/x"})
        job.files["thing/" + std::string(file)] = file + value;
      return job;
    });
    bench.add_host("node1");
    bench.add_host("node2");
    bench.add("parts", "make", {{"value", 1}});
    bench.add("data", "copy", {{"input", "${steps.parts}"}, {"place", Json(Json::Array{"node1", "node2"})}});
    write_lister("1");
  }
  // `worker list FOLDER --part P --json`
  void write_lister(const std::string& value) {
    const auto file = [&](const std::string& path) {
      return R"({"path":")" + path + R"(","bytes":)" + std::to_string(path.size() + value.size()) +
             R"(,"digest":")" + digest_of(path + value) + "\"}";
    };
    const std::string script = "#!/bin/sh\nif [ $4 = 0 ]; then echo '{\"files\":[" + file("shared") + "," +
                               file("part-0/x") + "]}'\nelse echo '{\"files\":[" + file("shared") + "," +
                               file("part-1/x") + "]}'\nfi\n";
    bench.worker = bench.folder.file("lister", script);
    fs::permissions(bench.worker, fs::perms::owner_all);
  }
  fs::path data(const std::string& host) {
    for (const auto& entry : fs::directory_iterator(bench.host(host).root() / "data")) return entry.path();
    return {};
  }
  EngineBench bench;
};

TEST_F(Placement, SendsEachHostItsPartsAndNothingTwice) {
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(read_file(data("node1") / "part-0/x").value_or(""), "part-0/x1");
  EXPECT_FALSE(fs::exists(data("node1") / "part-1"));
  EXPECT_TRUE(fs::exists(data("node2") / "shared"));
  EXPECT_EQ(bench.last("data").reason, "part 0 is not on node1");
  EXPECT_EQ(bench.observer.lines_with("data succeeded"),
            Lines{"data succeeded: 2 parts on 2 hosts, 32 B sent"});
  const auto sent = bench.host("node1").files_put();
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.observer.lines_with("end 0").back().substr(0, 20), "end 0: nothing to do");
  EXPECT_EQ(bench.host("node1").files_put(), sent);
  EXPECT_EQ(bench.host("node1").daemons_started(), 0);
}

TEST_F(Placement, SendsAgainOnlyTheFileThatWasCut) {
  ASSERT_EQ(bench.run(), 0);
  const auto before = bench.host("node2").files_put();
  ASSERT_TRUE(write_file_atomically(data("node2") / "part-1/x", "cut"));
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("data").reason, "part 1 on node2: file part-1/x has 3 bytes instead of 9");
  EXPECT_EQ(bench.host("node2").files_put(), before + 1);
  EXPECT_EQ(bench.observer.lines_with("data succeeded").back(),
            "data succeeded: 2 parts on 2 hosts, 9 B sent, 23 B were there");
  EXPECT_EQ(read_file(data("node2") / "part-1/x").value_or(""), "part-1/x1");
}

TEST_F(Placement, WhereThePartitionWasMadeNothingIsCopied) {
  bench.step("data").options["place"] = Json(Json::Array{"controller", "controller"});
  ASSERT_EQ(bench.run(), 0);
  EXPECT_FALSE(fs::exists(bench.host().root() / "data"));
  EXPECT_EQ(bench.observer.lines_with("data succeeded").back(),
            "data succeeded: 2 parts on 1 host, nothing to send, 25 B were there");
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("data").number, 1);
}

TEST_F(Placement, OfAnotherPartitionIsMadeAnew) {
  ASSERT_EQ(bench.run(), 0);
  bench.step("parts").options["value"] = 2;
  write_lister("2");
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("data").reason, "input parts changed, because value 1 -> 2, part 0 is not on node1");
}

TEST_F(Placement, ALostRowIsMendedByLookingThere) {
  ASSERT_EQ(bench.run(), 0);
  const auto before = bench.host("node2").files_put();
  ASSERT_TRUE(bench.store().remove_location({data("node2").filename(), "part-1", "node2", "", false}));
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.host("node2").files_put(), before);
  EXPECT_EQ(bench.observer.lines_with("data succeeded").back(),
            "data succeeded: 2 parts on 2 hosts, nothing to send, 32 B were there");
}

TEST_F(Placement, EndsAtOnceWhenItIsStoppedWhileFilesAreListed) {
  bench.worker = bench.folder.file("lister", "#!/bin/sh\nexec sleep 600\n");
  fs::permissions(bench.worker, fs::perms::owner_all);
  bench.observer.on_news = [&](const StepNews& news) {
    if (news.step == "data" && news.what == "running") bench.stop.raise(Cause::interrupted);
  };
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(bench.run(), 130);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(120));
}

TEST_F(Placement, FailsWithTheListersWords) {
  bench.worker = bench.folder.file("lister", "#!/bin/sh\necho 'no such part' >&2\nexit 12\n");
  fs::permissions(bench.worker, fs::perms::owner_all);
  EXPECT_NE(bench.run(), 0);
  EXPECT_EQ(bench.last("data").state, AttemptState::failed);
  EXPECT_NE(bench.last("data").message.find("no such part"), std::string::npos) << bench.last("data").message;
}

TEST_F(Placement, ThatFailsBeforeItsHostsAreAskedHasBegunNoTaskAndSaysWhy) {
  bench.worker = bench.folder.file("lister", "#!/bin/sh\nexit 12\n");
  fs::permissions(bench.worker, fs::perms::owner_all);
  EXPECT_NE(bench.run(), 0);
  const auto tasks = bench.store().tasks_of(bench.last("data").id).value();
  ASSERT_EQ(tasks.size(), 2u);
  for (const TaskRow& task : tasks) {
    EXPECT_EQ(task.state, TaskState::intent);
    EXPECT_EQ(task.started_ms, 0);
    EXPECT_EQ(task.tail, bench.last("data").message);
  }
}

TEST_F(Placement, ToAHostThatCannotBeReachedHasNotBegunItsTaskThere) {
  bench.cut_off["node2"] = Error{Cause::unreachable, "no route to it"};
  EXPECT_EQ(bench.run(), 6);
  const auto tasks = bench.store().tasks_of(bench.last("data").id).value();
  ASSERT_EQ(tasks.size(), 2u);
  EXPECT_EQ(tasks[0].state, TaskState::exited);
  EXPECT_GT(tasks[0].started_ms, 0);
  EXPECT_EQ(tasks[1].state, TaskState::intent);
  EXPECT_EQ(tasks[1].tail, "no route to it");
  EXPECT_EQ(bench.observer.lines_with("data failed"), Lines{"data failed: to node2: no route to it"});
  EXPECT_EQ(bench.status_of("data").state, StepState::failed);
}

TEST_F(Placement, ThatIsPlacedElsewhereLeavesNoTaskUnfinished) {
  bench.worker = bench.folder.file("lister", "#!/bin/sh\nexit 12\n");
  fs::permissions(bench.worker, fs::perms::owner_all);
  EXPECT_NE(bench.run(), 0);
  write_lister("1");
  const AttemptRow left =
      bench.leave("data", bench.last("data").key, AttemptState::running, TaskState::started, "node1");
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.store().tasks_of(left.id).value().front().state, TaskState::killed);
}

// A put that takes longer than jobs may take to end.
TEST_F(Placement, IsWaitedForWhenTheRunIsStopped) {
  std::promise<void> free;
  std::shared_future<void> freed = free.get_future().share();
  std::atomic<bool> putting = false;
  bench.on_put = [&] {
    putting = true;
    (void)freed.wait_for(std::chrono::seconds(120));
  };
  bench.tick = Milliseconds(25);
  const Monotonic began = bench.clock.now();
  bench.on_tick = [&] {
    if (!putting) return;
    bench.stop.raise(Cause::interrupted);
    const bool late = bench.clock.now() - began > Milliseconds(40'000);
    if (late && bench.per_tick.count() != 0) free.set_value();
    bench.per_tick = Milliseconds(late ? 0 : 1'000);
  };
  EXPECT_EQ(bench.run(), 130);
  EXPECT_EQ(bench.last("data").state, AttemptState::cancelled);
  EXPECT_EQ(bench.observer.lines_with("note step data"), Lines{});
}

TEST_F(Placement, ThatHangsWhenTheRunIsStoppedIsLeftToTheNextRunAndSaidSo) {
  std::promise<void> free;
  std::shared_future<void> freed = free.get_future().share();
  std::atomic<bool> putting = false;
  bench.on_put = [&] {
    putting = true;
    (void)freed.wait_for(std::chrono::seconds(120));
  };
  bench.tick = Milliseconds(25);
  bench.on_tick = [&] {
    if (!putting) return;
    bench.stop.raise(Cause::interrupted);
    bench.per_tick = Milliseconds(1'000);
  };
  bench.observer.on_note = [&](std::string_view text) {
    if (text.starts_with("step data")) free.set_value();
  };
  EXPECT_EQ(bench.run(), 130);
  EXPECT_EQ(bench.last("data").state, AttemptState::running);
  EXPECT_EQ(
      bench.observer.lines_with("note step data"),
      Lines{"note step data: a host has not said that sending has ended; the next run goes on with it"});
  bench.on_put = nullptr;
  bench.on_tick = nullptr;
  StopSignal not_stopped;
  EngineSetup next = bench.setup();
  next.stop = &not_stopped;
  EXPECT_EQ(run_workflow(std::move(next)), 0);
}

TEST_F(Placement, OfAControllerThatDiedBetweenTwoHostsGoesOn) {
  bench.step("data").options["place"] = Json(Json::Array{"node1", "node1"});
  bench.worker = bench.folder.file("lister", "#!/bin/sh\nexit 12\n");
  fs::permissions(bench.worker, fs::perms::owner_all);
  EXPECT_NE(bench.run(), 0);
  write_lister("1");
  bench.leave("data", bench.last("data").key, AttemptState::running, TaskState::exited, "node1");
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("data").state, AttemptState::succeeded);
  EXPECT_EQ(read_file(data("node1") / "part-1/x").value_or(""), "part-1/x1");
}

TEST_F(Placement, DataThatWasFoundDamagedIsComparedAndSentAgain) {
  bench.add("reader", "make", {{"input", "${steps.data}"}});
  bool damaged = true;
  bench.step("reader").options["host"] = "node1";
  bench.host("node1").on_start(
      [&](const Json&) { return damaged ? fails(Cause::bad_data, "part-0/x: bad") : makes("thing", "r"); });
  EXPECT_EQ(bench.run(), 12);
  damaged = false;
  ASSERT_TRUE(write_file_atomically(data("node1") / "part-0/x", "part-0/X1"));  // the same size
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(read_file(data("node1") / "part-0/x").value_or(""), "part-0/x1");
}

}  // namespace
}  // namespace gnnflow
