// Programs started, waited for, signalled and found again.
#include <csignal>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/close_range.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/child_process.h"
#include "common/base/stop_signal.h"
#include "common/base/text.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kLong(20'000);

ChildOptions shell(std::string script) { return {.argv = {"/bin/sh", "-c", std::move(script)}}; }

std::string run(const ChildOptions& options) {
  Result<std::string> text = run_and_read(options, Deadline::after(kLong));
  return text ? *text : "error: " + text.error().message;
}

ExitState end_of(const ChildOptions& options) {
  Result<ChildProcess> child = ChildProcess::start(options);
  EXPECT_TRUE(child) << child.error().message;
  std::optional<ExitState> state = child->wait(Deadline::after(kLong));
  EXPECT_TRUE(state);
  return state.value_or(ExitState{.code = -1});
}

bool no_children_left() { return ::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD; }

TEST(ChildProcess, TellsExitCodeAndSignal) {
  EXPECT_TRUE(end_of(shell("exit 0")).good());
  EXPECT_EQ(end_of(shell("exit 12")).code, 12);
  EXPECT_EQ(end_of(shell("exit 12")).text(), "exit code 12");
  ExitState killed = end_of(shell("kill -9 $$"));
  EXPECT_EQ(killed.signal, 9);
  EXPECT_FALSE(killed.good());
  EXPECT_EQ(killed.text(), "killed by signal 9");
  EXPECT_TRUE(no_children_left());
}

TEST(ChildProcess, ArgumentsArriveAsGiven) {
  EXPECT_EQ(run({.argv = {"/bin/sh", "-c", "printf '%s|' \"$@\"", "sh", "a b", "", "$x", "\"q\""}}),
            "a b||$x|\"q\"|");
}

TEST(ChildProcess, AProgramThatIsNotThereIsNamed) {
  Result<ChildProcess> child = ChildProcess::start({.argv = {"/no/such/program"}});
  EXPECT_EQ(child.error().message, "starting /no/such/program: No such file or directory");
  EXPECT_EQ(child.error().cause, Cause::not_found);
}

TEST(ChildProcess, AFileThatCannotBeExecutedIsNamedAndLeavesNoZombie) {
  TempDir dir;
  fs::path file = dir.file("broken",
                           "\x7f"
                           "ELF no program");
  fs::permissions(file, fs::perms::owner_all);
  Result<ChildProcess> child = ChildProcess::start({.argv = {file}});
  EXPECT_EQ(child.error().message, "starting " + file.string() + ": Exec format error");
  EXPECT_TRUE(no_children_left());
}

TEST(ChildProcess, AFolderThatIsNotThereIsNamed) {
  ChildOptions options = shell("true");
  options.working_folder = "/no/such/folder";
  EXPECT_EQ(ChildProcess::start(options).error().message,
            "starting /bin/sh in /no/such/folder: No such file or directory");
}

TEST(ChildProcess, FolderAndEnvironmentReachIt) {
  TempDir dir;
  ::setenv("GNNFLOW_TEST_OLD", "old", 1);
  ChildOptions options = shell("echo $GNNFLOW_TEST_OLD $GNNFLOW_TEST_NEW; pwd");
  options.environment = {{"GNNFLOW_TEST_NEW", "a=b c"}};
  options.working_folder = fs::canonical(dir.path());
  EXPECT_EQ(run(options), "old a=b c\n" + fs::canonical(dir.path()).string() + "\n");
  options.environment["GNNFLOW_TEST_OLD"] = "replaced";
  EXPECT_TRUE(run(options).starts_with("replaced "));
  EXPECT_STREQ(::getenv("GNNFLOW_TEST_OLD"), "old");
}

TEST(ChildProcess, OutputIsAppendedAndInputIsEmpty) {
  TempDir dir;
  ChildOptions options = shell("cat; echo out; echo err >&2");
  options.output = dir.file("log", "before\n");
  EXPECT_TRUE(end_of(options).good());
  EXPECT_EQ(*read_file(dir / "log"), "before\nout\nerr\n");
}

TEST(ChildProcess, HasNoDescriptorsButThoseHandedOn) {
  // Whoever runs the tests may have left some open in us, which we would pass on.
  ASSERT_EQ(::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC), 0);
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  FileDescriptor ours(pair[0]), theirs(pair[1]);
  // Each is tried: a glob of /proc/self/fd would show the descriptor that reads the folder.
  ChildOptions options =
      shell("echo hello >&3; for i in /proc/$$/fd/*; do test -e $i && printf '%s ' ${i##*/}; done; exit 0");
  options.descriptors = {{theirs.get(), 3}};
  EXPECT_EQ(run(options), "0 1 2 3 ");
  char text[16] = {};
  ASSERT_EQ(::read(ours.get(), text, sizeof text), 6);
  EXPECT_STREQ(text, "hello\n");
}

TEST(ChildProcess, DescriptorsMayKeepOrSwapTheirNumbers) {
  TempDir dir;
  FileDescriptor a(::open(dir.file("a", "A").c_str(), O_RDONLY | O_CLOEXEC));
  FileDescriptor b(::open(dir.file("b", "B").c_str(), O_RDONLY | O_CLOEXEC));
  ChildOptions options = shell("cat <&" + std::to_string(a.get()) + "; cat <&" + std::to_string(b.get()));
  options.descriptors = {{a.get(), a.get()}, {b.get(), b.get()}};
  EXPECT_EQ(run(options), "AB");
  ::lseek(a.get(), 0, SEEK_SET);
  ::lseek(b.get(), 0, SEEK_SET);
  options.descriptors = {{a.get(), b.get()}, {b.get(), a.get()}};
  EXPECT_EQ(run(options), "BA");
}

TEST(ChildProcess, WaitGivesUpAtItsDeadlineAndTheDestructorEndsTheChild) {
  int pid = 0;
  {
    Result<ChildProcess> child = ChildProcess::start(shell("exec sleep 100"));
    ASSERT_TRUE(child);
    pid = child->pid();
    EXPECT_FALSE(child->wait(Deadline::after(Milliseconds(20))));
    EXPECT_TRUE(child->identity().alive());
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_TRUE(no_children_left());
}

TEST(ChildProcess, SignalsReachTheChildOrItsWholeGroup) {
  Result<ChildProcess> single = ChildProcess::start(shell("exec sleep 100"));
  single->signal(SIGTERM);
  EXPECT_EQ(single->wait(Deadline::after(kLong))->signal, SIGTERM);

  TempDir dir;
  ChildOptions options{
      .argv = {"/usr/bin/env", "setsid", "sh", "-c", "sleep 100 & echo $! > pid; mv pid ready; wait"}};
  options.working_folder = dir.path();
  Result<ChildProcess> group = ChildProcess::start(options);
  ASSERT_TRUE(group);
  Deadline deadline = Deadline::after(kLong);
  while (!fs::exists(dir / "ready") && !deadline.passed()) ::usleep(2000);
  Result<ProcessIdentity> grandchild = identity_of(std::stoi(*read_file(dir / "ready")));
  ASSERT_TRUE(grandchild);
  group->signal_group(SIGKILL);
  EXPECT_EQ(group->wait(deadline)->signal, SIGKILL);
  while (grandchild->alive() && !deadline.passed()) ::usleep(2000);
  EXPECT_FALSE(grandchild->alive());
}

TEST(ChildProcess, OneThatWasMovedFromSignalsNobody) {
  Result<ChildProcess> child = ChildProcess::start(shell("exec sleep 100"));
  ASSERT_TRUE(child);
  ChildProcess moved = std::move(*child);
  child->signal(SIGKILL);
  child->signal_group(SIGKILL);
  EXPECT_TRUE(moved.identity().alive());
}

TEST(ChildProcess, IgnoredPipesOfOursAreNotInherited) {
  static StopSignal stop;
  stop_on_signals(stop);
  // A program that ignores SIGPIPE would report the error and exit on its own.
  EXPECT_EQ(end_of(shell("kill -13 $$; exit 3")).signal, SIGPIPE);
}

TEST(ProcessIdentity, IsAliveUntilItEndsAndNoOtherProcess) {
  Result<ChildProcess> child = ChildProcess::start(shell("exec sleep 100"));
  ASSERT_TRUE(child);
  ProcessIdentity identity = child->identity();
  EXPECT_TRUE(identity.alive());
  ProcessIdentity later = identity;
  later.start_time += 1;
  EXPECT_FALSE(later.alive());
  ProcessIdentity other_boot = identity;
  other_boot.boot = "another";
  EXPECT_FALSE(other_boot.alive());
  child->signal(SIGKILL);
  child->wait(Deadline::after(kLong));
  EXPECT_FALSE(identity.alive()) << "a zombie is not alive";
  EXPECT_EQ(identity_of(0).error().cause, Cause::not_found);
}

TEST(RunAndRead, TellsCauseCodeAndLastWords) {
  Result<std::string> text =
      run_and_read(shell("echo data; echo one >&2; echo two >&2; exit 4"), Deadline::after(kLong));
  EXPECT_EQ(text.error().cause, Cause::not_found);
  EXPECT_EQ(text.error().message, "/bin/sh: exit code 4: one | two");
  EXPECT_EQ(run_and_read(shell("exit 99"), Deadline::after(kLong)).error().cause, Cause::failed);
}

TEST(RunAndRead, ReadsMoreThanAPipeHolds) {
  EXPECT_EQ(run(shell("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2")).size(), 1'000'000u);
}

TEST(RunAndRead, DoesNotWaitForWhatTheProgramLeftBehind) {
  EXPECT_EQ(run(shell("sleep 3 & echo done")), "done\n");
}

TEST(RunAndRead, EndsWhenWhatTheProgramLeftBehindWritesForEver) {
  const std::string script = "timeout -s KILL 20 yes & echo $! > /dev/stderr; exit 1";
  auto start = std::chrono::steady_clock::now();
  Result<std::string> text = run_and_read(shell(script), Deadline::after(kLong));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_EQ(text.error().cause, Cause::failed);
  std::optional<int64_t> writer =
      parse_integer(text.error().message.substr(text.error().message.rfind(' ') + 1));
  ASSERT_TRUE(writer) << text.error().message;
  ::kill(static_cast<pid_t>(*writer), SIGTERM);
}

TEST(RunAndRead, EndsAtItsDeadline) {
  Result<std::string> text = run_and_read(shell("exec sleep 100"), Deadline::after(Milliseconds(30)));
  EXPECT_EQ(text.error().message, "/bin/sh did not end in time");
  EXPECT_TRUE(no_children_left());
}

TEST(RunAndRead, EndsAndTakesTheProgramWithItWhenItIsStopped) {
  StopSignal stop;
  EXPECT_EQ(*run_and_read(shell("echo done"), Deadline::after(kLong), &stop), "done\n");
  std::jthread stopper([&] {
    std::this_thread::sleep_for(Milliseconds(50));
    stop.raise(Cause::terminated);
  });
  Result<std::string> text = run_and_read(shell("exec sleep 100"), Deadline::after(kLong), &stop);
  EXPECT_EQ(text.error().cause, Cause::terminated);
  EXPECT_TRUE(no_children_left());
}

TEST(ProcessesWith, FindsExactValuesOnly) {
  std::string value = random_hex(8);
  ChildOptions options = shell("exec sleep 100");
  options.environment = {{"GNNFLOW_TEST_TOKEN", value}};
  Result<ChildProcess> child = ChildProcess::start(options);
  ASSERT_TRUE(child);
  EXPECT_EQ(processes_with("GNNFLOW_TEST_TOKEN", value), std::vector<int>{child->pid()});
  EXPECT_TRUE(processes_with("GNNFLOW_TEST_TOKEN", value.substr(1)).empty());
  EXPECT_TRUE(processes_with("TEST_TOKEN", value).empty());
  child->signal(SIGKILL);
  child->wait(Deadline::after(kLong));
  EXPECT_TRUE(processes_with("GNNFLOW_TEST_TOKEN", value).empty());
}

TEST(Program, KnowsItselfAndItsNeighbours) {
  EXPECT_EQ(own_program().filename(), "common_base_local_tests");
  EXPECT_EQ(program_beside("gnnflow-worker"), own_program().parent_path() / "gnnflow-worker");
  EXPECT_GE(usable_cores(), 1);
}

}  // namespace
}  // namespace gnnflow
