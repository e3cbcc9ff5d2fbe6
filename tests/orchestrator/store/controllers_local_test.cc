// Processes: controllers that race for one state, and writers that are killed.
#include <array>
#include <csignal>
#include <functional>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/orchestrator/store/store_rows.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) bug("no pipe");
    out = FileDescriptor(ends[0]);
    in = FileDescriptor(ends[1]);
  }
  FileDescriptor out, in;
};

int in_a_child(const std::function<void()>& body) {
  const int pid = ::fork();
  if (pid == 0) {
    body();
    ::_exit(0);
  }
  return pid;
}

void reap(int pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
}

void say(const Pipe& pipe, std::string_view text) {
  if (::write(pipe.in.get(), text.data(), text.size()) < 0) ::_exit(3);
}

std::string hear(const Pipe& pipe) {
  char buffer[2048];
  const ssize_t got = ::read(pipe.out.get(), buffer, sizeof buffer);
  return got > 0 ? std::string(buffer, static_cast<size_t>(got)) : "";
}

// Two processes that begin at the same moment; each says how it went, the winner holds on until both have
// said so.
void race(const fs::path& folder) {
  Pipe go, hold;
  std::array<Pipe, 2> said;
  std::array<int, 2> pids;
  for (size_t i = 0; i < 2; ++i) {
    pids[i] = in_a_child([&] {
      go.in.reset();
      hold.in.reset();
      hear(go);
      Result<RunStore> store = RunStore::open(folder);
      say(said[i], store ? "won" : std::string(name_of(store.error().cause)) + " " + store.error().message);
      hear(hold);
    });
  }
  go.in.reset();  // end of file wakes both
  const std::array<std::string, 2> heard = {hear(said[0]), hear(said[1])};
  hold.in.reset();
  for (int pid : pids) reap(pid);
  const size_t winner = heard[0] == "won" ? 0 : 1;
  EXPECT_EQ(heard[winner], "won") << heard[1 - winner];
  EXPECT_TRUE(heard[1 - winner].starts_with("locked ")) << heard[1 - winner];
  EXPECT_NE(heard[1 - winner].find("process " + std::to_string(pids[winner]) + " on "), std::string::npos)
      << heard[1 - winner];
}

TEST(Controllers, OfTwoExactlyOneWins) {
  TempDir dir;
  for (int i = 0; i < 180; ++i) race(dir / "same");
  for (int i = 0; i < 20; ++i) race(dir / ("new" + std::to_string(i)));
  EXPECT_EQ(must(RunStore::open(dir / "same")).epoch(), 181) << "a loser raised the epoch";
}

TEST(Controllers, AProbeNeverRefusesAStart) {
  TempDir dir;
  must(RunStore::open(dir / "s"));
  const int prober = in_a_child([&] {
    StoreReader reader = must(StoreReader::open(dir / "s"));
    while (true) (void)reader.controller_alive();
  });
  for (int i = 0; i < 100; ++i) {
    Result<RunStore> store = RunStore::open(dir / "s");
    EXPECT_TRUE(store) << store.error().message;
  }
  ::kill(prober, SIGKILL);
  reap(prober);
}

// What a controller does to a state, step by step. Each returns when it is durable.
std::vector<std::function<void(RunStore&)>> story() {
  static int64_t run, attempt;
  const auto task = [](RunStore& store, TaskState state) {
    TaskRow row = must(store.tasks_of(attempt))[0];
    row.state = state;
    must(store.set_task(row));
  };
  return {
      [](RunStore& store) {
        run = must(store.begin_run(run_row(), {step_row("graph"), step_row("model")}));
      },
      [](RunStore& store) { attempt = must(store.begin_attempt(attempt_row(run, "graph"), task_rows(1))); },
      [](RunStore& store) { must(store.set_attempt(attempt, AttemptState::running)); },
      [task](RunStore& store) { task(store, TaskState::started); },
      [](RunStore& store) { must(store.set_progress(attempt, 0, Json(1))); },
      [](RunStore& store) { must(store.set_metrics(attempt, Json(0.5))); },
      [task](RunStore& store) { task(store, TaskState::exited); },
      [](RunStore& store) { must(store.set_attempt(attempt, AttemptState::publishing)); },
      [](RunStore& store) {
        must(store.succeed(attempt, {{"graph", "d1", 7}},
                           {{"d1", "graph", "controller", "outputs/graph", true}}));
      },
      [](RunStore& store) { must(store.add_event(run, "graph", "done")); },
      [](RunStore& store) { must(store.end_run(run, 0, "done")); },
  };
}

std::string facts(const fs::path& folder) {
  Database database = raw_database(folder);
  EXPECT_EQ(must(database.text("PRAGMA integrity_check")), "ok");
  EXPECT_EQ(must(database.text("PRAGMA foreign_key_check")), "");
  return must(database.text(
      "SELECT (SELECT count(*) FROM run) || (SELECT count(*) FROM run WHERE ended_ms IS NOT NULL) || '/' ||"
      " coalesce((SELECT state || metrics FROM attempt), 'none') || '/' || coalesce((SELECT state || "
      "progress FROM task), 'none') || '/' ||"
      " (SELECT count(*) FROM piece) || (SELECT count(*) FROM location) || (SELECT count(*) FROM event)"));
}

TEST(Controllers, KilledAfterAnyCallLeaveExactlyWhatHadReturned) {
  const std::vector<std::string> expected = {
      "00/none/none/000",
      "10/none/none/000",
      "10/intentnull/intentnull/000",
      "10/runningnull/intentnull/000",
      "10/runningnull/startednull/000",
      "10/runningnull/started1/000",
      "10/running0.5/started1/000",
      "10/running0.5/exited1/000",
      "10/publishing0.5/exited1/000",
      "10/succeeded0.5/exited1/110",
      "10/succeeded0.5/exited1/111",
      "11/succeeded0.5/exited1/111",
  };
  for (size_t calls = 0; calls < expected.size(); ++calls) {
    TempDir dir;
    reap(in_a_child([&] {
      RunStore store = must(RunStore::open(dir / "s"));
      for (size_t i = 0; i < calls; ++i) story()[i](store);
      ::kill(::getpid(), SIGKILL);
    }));
    if (calls > 0) {
      const StepState state = must(must(StoreReader::open(dir / "s")).status()).state;
      EXPECT_EQ(state, calls == story().size() ? StepState::succeeded : StepState::interrupted) << calls;
    }
    EXPECT_EQ(facts(dir / "s"), expected[calls]) << "after " << calls << " calls";
    const RunStore store = must(RunStore::open(dir / "s"));
    EXPECT_EQ(store.epoch(), 2) << "no lock needs a human";
  }
}

TEST(Controllers, KilledAtAnyMomentLoseNothingThatHadReturned) {
  TempDir dir;
  int64_t told_before = 0;
  for (int round = 0; round < 40; ++round) {
    Pipe told;
    const int writer = in_a_child([&] {
      RunStore store = must(RunStore::open(dir / "s"));
      const int64_t run = must(store.begin_run(run_row(), {}));
      while (true) {
        must(store.add_event(run, "", "x"));
        say(told, ".");
      }
    });
    told.in.reset();
    // Some of its commits are waited for, then it is killed in the middle of another one.
    int64_t heard = 0;
    for (std::string dots = hear(told); heard < round && !dots.empty(); dots = hear(told))
      heard += static_cast<int64_t>(dots.size());
    ::kill(writer, SIGKILL);
    reap(writer);
    for (std::string dots = hear(told); !dots.empty(); dots = hear(told))
      heard += static_cast<int64_t>(dots.size());
    Database database = raw_database(dir / "s");
    ASSERT_EQ(must(database.text("PRAGMA integrity_check")), "ok");
    const int64_t there = must(database.integer("SELECT count(*) FROM event"));
    // One more may have been committed and not yet told.
    EXPECT_GE(there, told_before + heard);
    told_before = there;
  }
  EXPECT_GT(told_before, 0);
}

TEST(Controllers, KilledWhileMakingTheStateAreFollowedByOneThatFinishesIt) {
  for (int round = 0; round < 40; ++round) {
    TempDir dir;
    const int maker = in_a_child([&] { must(RunStore::open(dir / "s")); });
    ::usleep(static_cast<useconds_t>(round * 300));
    ::kill(maker, SIGKILL);
    reap(maker);
    RunStore store = must(RunStore::open(dir / "s"));
    EXPECT_EQ(store.store_id().size(), 32u);
    must(store.begin_run(run_row(), {}));
  }
}

// Root may read everything: only another user shows it.
TEST(Controllers, AReaderWhoMayNotReadIsToldTheFolder) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
  TempDir dir;
  must(RunStore::open(dir / "s"));
  fs::permissions(dir.path(), fs::perms::owner_all | fs::perms::others_read | fs::perms::others_exec);
  Pipe said;
  const int reader = in_a_child([&] {
    if (::setuid(65534) != 0) ::_exit(2);
    Result<StoreReader> opened = StoreReader::open(dir / "s");
    say(said, opened ? "opened" : opened.error().message);
  });
  EXPECT_NE(hear(said).find("folder " + (dir / "s").string()), std::string::npos);
  reap(reader);
}

}  // namespace
}  // namespace gnnflow
