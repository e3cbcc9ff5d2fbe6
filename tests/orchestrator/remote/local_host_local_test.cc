// Programs and full disks: a host entry on this machine with a real daemon.
#include <csignal>

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/child_process.h"
#include "common/base/digest.h"
#include "orchestrator/remote/local_host.h"
#include "tests/orchestrator/remote/recorded_events.h"
#include "tests/support/fake_host.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

const fs::path kWorker = fs::path(GNNFLOW_PROGRAMS_FOLDER) / "gnnflow-worker";
const std::string kStore(32, 'c');
constexpr Milliseconds kLease{5000}, kGrace{500};

Deadline soon() { return Deadline::after(Milliseconds(20'000)); }

bool wait_until(const std::function<bool()>& condition) {
  const Deadline deadline = soon();
  while (!condition()) {
    if (deadline.passed()) return false;
    ::usleep(10'000);
  }
  return true;
}

class LocalHostTest : public testing::Test {
 protected:
  void TearDown() override {
    link.reset();
    // Whatever the test has done to it: no daemon outlives the test.
    if (pid > 0) ::kill(pid, SIGKILL);
    EXPECT_TRUE(wait_until([&] { return !host.daemon_alive().value_or(true); }));
    if (Result<fs::path> socket = daemon_socket_path(host.root())) (void)remove_tree(socket->parent_path());
  }
  void start_and_greet(int64_t epoch = 1) {
    Status started = host.start_daemon(kLease, kGrace, soon());
    ASSERT_TRUE(started) << started.error().message;
    Result<std::unique_ptr<DaemonLink>> opened = DaemonLink::open(
        host, {.epoch = epoch, .store = kStore, .lease = kLease, .grace = kGrace}, events.sink(), soon());
    ASSERT_TRUE(opened) << opened.error().message;
    link = std::move(*opened);
    pid = static_cast<int>(link->greeting().integer_or("pid", 0));
  }

  TempDir dir;
  LocalHost host{"node1", dir.path(), kStore, kWorker};
  RecordedEvents events;
  std::unique_ptr<DaemonLink> link;
  int pid = 0;
};

TEST_F(LocalHostTest, StartsADaemonOnceAndItAnswers) {
  EXPECT_FALSE(*host.daemon_alive());
  start_and_greet();
  EXPECT_TRUE(*host.daemon_alive());
  EXPECT_EQ(link->greeting().text_or("root", ""), host.root().string());
  EXPECT_GT(pid, 0);
  const int first = pid;
  start_and_greet(2);
  EXPECT_EQ(pid, first) << "a second daemon was started";
}

TEST_F(LocalHostTest, ADaemonThatIsKilledIsSeenAtOnceAndCanBeStartedAgain) {
  start_and_greet();
  const int first = pid;
  ::kill(pid, SIGKILL);
  ASSERT_TRUE(events.wait_for(1));
  EXPECT_EQ(events.names().back(), "closed");
  EXPECT_TRUE(wait_until([&] { return !host.daemon_alive().value_or(true); }));
  start_and_greet(2);
  EXPECT_NE(pid, first);
}

TEST_F(LocalHostTest, GoodbyeEndsTheDaemon) {
  start_and_greet();
  const ProcessIdentity identity = identity_of(pid).value_or({});
  EXPECT_TRUE(identity.alive());
  Result<Message> reply = link->order(message_of("goodbye"), soon());
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_TRUE(wait_until([&] { return !host.daemon_alive().value_or(true); }));
  EXPECT_TRUE(wait_until([&] { return !identity.alive(); }));
  pid = 0;
}

TEST_F(LocalHostTest, BeatsKeepADaemonWithAShortLeaseAlive) {
  ASSERT_TRUE(host.start_daemon(Milliseconds(3000), kGrace, soon()));
  Result<std::unique_ptr<DaemonLink>> opened =
      DaemonLink::open(host, {.epoch = 1, .store = kStore, .lease = Milliseconds(3000), .grace = kGrace},
                       events.sink(), soon());
  ASSERT_TRUE(opened);
  link = std::move(*opened);
  pid = static_cast<int>(link->greeting().integer_or("pid", 0));
  ::usleep(4'500'000);
  EXPECT_TRUE(*host.daemon_alive());
  EXPECT_TRUE(link->order(message_of("ask", {{"token", "a.b.c.1.0"}}), soon()));
}

TEST_F(LocalHostTest, AWorkerThatIsNotThereIsNamed) {
  LocalHost other{"node2", dir.path(), kStore, dir / "no-worker"};
  Status status = other.start_daemon(kLease, kGrace, soon());
  ASSERT_FALSE(status);
  EXPECT_EQ(exit_code(status.error().cause), 6);
  EXPECT_NE(status.error().message.find("host node2: its daemon did not start: "), std::string::npos)
      << status.error().message;
  EXPECT_NE(status.error().message.find((dir / "no-worker").string()), std::string::npos);
}

TEST_F(LocalHostTest, ADaemonThatNeverAnswersIsToldWithItsLog) {
  ASSERT_TRUE(create_folders(host.root()));
  ASSERT_TRUE(write_file_atomically(host.root() / "daemon.log", "one\nno room for a socket\n"));
  {
    Result<FileLock> held = FileLock::take(host.root() / "lock");
    ASSERT_TRUE(held);
    Status status = host.start_daemon(kLease, kGrace, Deadline::after(Milliseconds(200)));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().cause, Cause::unreachable);
    EXPECT_NE(status.error().message.find("host node1: its daemon does not answer"), std::string::npos)
        << status.error().message;
    EXPECT_NE(status.error().message.find("daemon.log says: one; no room for a socket"), std::string::npos)
        << status.error().message;
  }
  LocalHost ends{"node1", dir.path(), kStore, "/bin/true"};
  Status status = ends.start_daemon(kLease, kGrace, soon());
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("its daemon ended as soon as it had started"), std::string::npos)
      << status.error().message;
}

TEST_F(LocalHostTest, WaitsForADaemonThatIsEndingAndStartsAnother) {
  start_and_greet();
  const int first = pid;
  link->order_later(message_of("goodbye"), [](Result<Message>) {});
  // Once its socket is gone it answers nobody, and holds the lock until it has ended.
  const fs::path socket = *daemon_socket_path(host.root());
  ASSERT_TRUE(wait_until([&] { return !fs::exists(socket); }));
  start_and_greet(2);
  EXPECT_NE(pid, first);
}

// In a mount namespace of its own: a disk of one megabyte.
TEST(LocalHostDisk, AFullDiskIsNoResourcesAndNamesHostAndPath) {
  TempDir dir;
  const std::string content(4 << 20, 'x');
  dir.file("source/x", content);
  ASSERT_TRUE(create_folders(dir / "small"));
  int said[2];
  ASSERT_EQ(::pipe(said), 0);
  const int child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", (dir / "small").c_str(), "tmpfs", 0, "size=1m") != 0) {
      ::_exit(77);
    }
    LocalHost host{"node1", dir / "small", kStore, kWorker};
    StopSignal stop;
    Status status = host.put(dir / "source", {{"x", 4 << 20, digest_of(content)}}, "data/d1", nullptr, stop);
    const std::string line =
        status ? "put" : std::string(name_of(status.error().cause)) + " " + status.error().message;
    ::_exit(::write(said[1], line.data(), line.size()) < 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "needs the right to mount";
  char line[1024] = {};
  ASSERT_GT(::read(said[0], line, sizeof line - 1), 0);
  EXPECT_TRUE(
      std::string_view(line).starts_with("no_resources host node1: writing " + (dir / "small").string()))
      << line;
}

}  // namespace
}  // namespace gnnflow
