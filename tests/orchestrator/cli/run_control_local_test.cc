// Controllers beside which others look and ask: watched, stopped, in the background.
#include <thread>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/cli/detach.h"
#include "orchestrator/cli/status_watch.h"
#include "orchestrator/store/run_store.h"
#include "orchestrator/store/store_reader.h"
#include "tests/orchestrator/cli/recorded_console.h"
#include "tests/support/recording_observer.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

// Ends a run, or the controller itself, at the first look.
struct Watched {
  TempDir folder;
  std::optional<RunStore> store;
  int64_t run = 0;
  std::string out;

  Watched() {
    Result<RunStore> opened = RunStore::open(folder / "s");
    EXPECT_TRUE(opened) << opened.error().message;
    store.emplace(std::move(*opened));
    RunRow row;
    row.command = "run";
    run = *store->begin_run(row, {{0, "graph", "exec", Decision::attempt, 0, "never ran"}});
  }
  RunStatus watch(const std::function<void()>& meanwhile, bool terminal = false) {
    Result<StoreReader> reader = StoreReader::open(folder / "s");
    EXPECT_TRUE(reader);
    Console console;
    console.out_is_terminal = terminal;
    bool first = true;
    console.out = [&](std::string_view text) {
      out += text;
      if (std::exchange(first, false)) meanwhile();
    };
    Result<RunStatus> status = watch_status(*reader, *reader->status(), {"flow", 0, false}, console);
    EXPECT_TRUE(status) << status.error().message;
    return std::move(*status);
  }
};

TEST(WatchStatus, EndsWithTheRunAndItsResult) {
  Watched watched;
  RunStatus end = watched.watch([&] { EXPECT_TRUE(watched.store->end_run(watched.run, 0, "graph: done")); });
  EXPECT_EQ(end.state, StepState::succeeded);
  EXPECT_TRUE(watched.out.ends_with("graph: skipped: never ran\ngraph: done\n")) << watched.out;
}

TEST(WatchStatus, IsDrawnOverItselfOnATerminal) {
  Watched watched;
  watched.watch([&] { EXPECT_TRUE(watched.store->end_run(watched.run, 0, "graph: done")); }, true);
  const std::string clear = "\x1b[H\x1b[2J";
  const size_t second = watched.out.find(clear, 1);
  ASSERT_NE(second, std::string::npos) << watched.out;
  EXPECT_EQ(watched.out.find(clear + "run 1 of flow: running"), 0u) << watched.out;
  EXPECT_EQ(watched.out.find(clear + "run 1 of flow: succeeded", second), second) << watched.out;
  EXPECT_TRUE(watched.out.ends_with("graph: done\n")) << watched.out;
}

TEST(WatchStatus, EndsWhenTheControllerIsGone) {
  Watched watched;
  RunStatus end = watched.watch([&] { watched.store.reset(); });
  EXPECT_EQ(end.state, StepState::interrupted);
  EXPECT_EQ(status_exit_code(end), 11);
  EXPECT_TRUE(watched.out.ends_with("the controller is gone; `gnnflow run` goes on from here\n"))
      << watched.out;
}

TEST(WatchStatus, OfARunThatHasEndedShowsItOnce) {
  Watched watched;
  EXPECT_TRUE(watched.store->end_run(watched.run, 1, "failed: graph"));
  watched.watch([] {});
  EXPECT_EQ(watched.out.find("run 1 of flow: failed"), 0u) << watched.out;
  EXPECT_EQ(watched.out.find("run 1", 1), std::string::npos) << watched.out;
}

// A controller that ends its run when it is asked to.
class StopTest : public testing::Test {
 protected:
  StopTest() {
    Result<RunStore> opened =
        RunStore::open(state, {"flow", folder / "flow.yml", Milliseconds(0), Milliseconds(0)});
    if (!opened) bug(opened.error().message);
    store.emplace(std::move(*opened));
  }
  int64_t begin() {
    RunRow row;
    row.command = "run";
    return *store->begin_run(row, {{0, "graph", "exec", Decision::attempt, 0, "never ran"}});
  }
  // REQUIRES: nobody else uses the store.
  std::jthread obey(int64_t run) {
    return std::jthread([this, run] {
      const Deadline deadline = Deadline::after(Milliseconds(60'000));
      while (!store->stop_requested(run).value_or(false) && !deadline.passed()) {
        std::this_thread::sleep_for(Milliseconds(10));
      }
      if (Status ended = store->end_run(run, 8, "stopped"); !ended) bug(ended.error().message);
      store.reset();
    });
  }
  Ran stop(std::vector<std::string> words = {}) {
    words.insert(words.begin(), {"stop", "--state", state.string()});
    return run_here(folder.path(), words);
  }
  TempDir folder;
  fs::path state = folder / "s";
  std::optional<RunStore> store;
};

TEST_F(StopTest, AsksTheControllerAndWaitsForItsEnd) {
  const int64_t run = begin();
  std::jthread controller = obey(run);
  Ran ran = stop();
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "run 1 has ended: stopped\n");
  EXPECT_EQ(ran.err.find("asked process " + std::to_string(::getpid()) + " on "), 0u) << ran.err;
  EXPECT_NE(ran.err.find(" to stop run 1\n"), std::string::npos) << ran.err;
}

TEST_F(StopTest, WaitsForARunThatIsJustBeginning) {
  std::jthread controller([this] {
    std::this_thread::sleep_for(Milliseconds(300));
    obey(begin()).join();
  });
  Ran ran = stop();
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "run 1 has ended: stopped\n");
}

TEST_F(StopTest, OfARunThatHasEndedSaysHow) {
  EXPECT_TRUE(store->end_run(begin(), 0, "done"));
  begin();
  Ran ran = stop({"1"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "run 1 had ended already: succeeded\n");
  EXPECT_FALSE(*store->stop_requested(2));
}

TEST_F(StopTest, OfARunThatHasFailedSaysWhatFailed) {
  EXPECT_TRUE(store->end_run(begin(), 1, "failed: graph"));
  store.reset();
  Ran ran = stop({"1"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "run 1 had ended already: failed: graph\n");
}

TEST_F(StopTest, WhereNothingRunsIsFine) {
  store.reset();
  Ran ran = stop();
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "nothing runs in " + state.string() + "\n");
}

TEST_F(StopTest, OfAnUnknownRunIsNotFound) {
  begin();
  store.reset();
  Ran ran = stop({"7"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.err, "gnnflow: " + state.string() + ": no run 7; there are 1 to 1\n");
}

// The child of detach() does `work`; what it told is what this process gets.
Detached detached(const fs::path& log, const BackgroundWork& work) {
  Result<Detached> done = detach(log, "/", work);
  if (!done) bug(done.error().message);
  return *done;
}

TEST(Detach, SaysThatTheRunHasBegunAndLetsItGoOn) {
  TempDir folder;
  const fs::path log = folder / "controller.log";
  Detached begun = detached(log, [&](const Console& console, StartReport& report) -> Result<int> {
    auto view = reporting_view(std::make_unique<RecordingObserver>(), report);
    view->run_began(7, "flow", 1);
    view->tick();
    console.err("still here\n");
    const Deadline deadline = Deadline::after(Milliseconds(60'000));
    while (!fs::exists(folder / "go") && !deadline.passed()) std::this_thread::sleep_for(Milliseconds(5));
    view->run_ended(0, "done");
    console.out("at its end\n");
    return 0;
  });
  EXPECT_TRUE(begun.goes_on);
  EXPECT_EQ(begun.run, 7);
  EXPECT_GT(begun.pid, 0);
  EXPECT_EQ(::getsid(begun.pid), begun.pid) << "it is still in the terminal's session";
  folder.file("go", "");
  EXPECT_EQ(::waitpid(begun.pid, nullptr, 0), begun.pid);
  EXPECT_NE(read_file(log)->find("still here\nat its end\n"), std::string::npos) << *read_file(log);
}

TEST(Detach, PassesOnARunThatEndedAtOnce) {
  TempDir folder;
  Detached ended = detached(folder / "log", [](const Console&, StartReport& report) -> Result<int> {
    auto view = reporting_view(std::make_unique<RecordingObserver>(), report);
    view->run_began(3, "flow", 1);
    view->run_ended(0, "nothing to do");
    return 0;
  });
  EXPECT_FALSE(ended.goes_on);
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(ended.text, "nothing to do");
}

TEST(Detach, PassesOnWhatFailedBeforeAnythingWasStarted) {
  TempDir folder;
  Detached failed = detached(folder / "log", [](const Console&, StartReport& report) -> Result<int> {
    auto view = reporting_view(std::make_unique<RecordingObserver>(), report);
    view->failure("", "no such file x", "");
    view->run_ended(4, "failed before anything ran");
    return 4;
  });
  EXPECT_FALSE(failed.goes_on);
  EXPECT_EQ(failed.exit_code, 4);
  EXPECT_EQ(failed.text, "no such file x");
}

TEST(Detach, PassesOnWhyThereWasNoRun) {
  TempDir folder;
  Detached failed = detached(folder / "log", [](const Console&, StartReport&) -> Result<int> {
    return Error{Cause::locked, "another controller"};
  });
  EXPECT_FALSE(failed.goes_on);
  EXPECT_EQ(failed.exit_code, 5);
  EXPECT_EQ(failed.text, "another controller");
  EXPECT_NE(read_file(folder / "log")->find("gnnflow: another controller\n"), std::string::npos);
}

TEST(Detach, SaysWhenTheControllerEndsWithoutAWord) {
  TempDir folder;
  Result<Detached> died =
      detach(folder / "log", "/", [](const Console&, StartReport&) -> Result<int> { ::_exit(9); });
  ASSERT_FALSE(died);
  EXPECT_EQ(died.error().message,
            "the controller ended before its run began (exit code 9); see " + (folder / "log").string());
}

TEST(Detach, SaysWhenItsLogCannotBeWritten) {
  TempDir folder;
  Detached failed =
      detached(folder / "no/such/log", [](const Console&, StartReport&) -> Result<int> { return 0; });
  EXPECT_EQ(failed.exit_code, 4);
  EXPECT_EQ(failed.text, "opening " + (folder / "no/such/log").string() + ": No such file or directory");
}

}  // namespace
}  // namespace gnnflow
