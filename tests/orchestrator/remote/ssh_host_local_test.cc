// A far host behind a real sshd: programs brought there, a daemon, files, and what is told when it goes
// wrong.
#include <csignal>
#include <span>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "orchestrator/remote/daemon_link.h"
#include "orchestrator/remote/ssh_host.h"
#include "tests/orchestrator/remote/recorded_events.h"
#include "tests/support/fake_host.h"
#include "tests/support/throwaway_sshd.h"

namespace gnnflow {
namespace {

const fs::path kPrograms = GNNFLOW_PROGRAMS_FOLDER;
const std::string kStore(32, 'd');
constexpr Milliseconds kLease{5000}, kGrace{500};

Deadline soon() { return Deadline::after(Milliseconds(60'000)); }

bool wait_until(const std::function<bool()>& condition) {
  const Deadline deadline = soon();
  while (!condition()) {
    if (deadline.passed()) return false;
    ::usleep(10'000);
  }
  return true;
}

// Of this process.
int connections_to(int port) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    const int descriptor = std::stoi(entry.path().filename());
    const bool connected = ::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
    count += connected && peer.sin_family == AF_INET && ntohs(peer.sin_port) == port;
  }
  return count;
}

// The worker without the trainer, so that a test brings megabytes and not hundreds of them.
fs::path small_programs() {
  static const TempDir folder;
  static const bool made = [] {
    std::error_code error;
    for (const char* name : {"gnnflow-worker", "gnnflow-receive"})
      fs::create_symlink(kPrograms / name, folder / name, error);
    return !error;
  }();
  if (!made) bug("cannot link programs");
  return folder.path();
}

class SshHostTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(ThrowawaySshd::is_installed()) << "openssh-server is missing";
    ASSERT_TRUE(write_file_atomically(home.path() / "known_hosts", server.known_hosts_line()));
  }
  void TearDown() override {
    link.reset();
    if (pid > 0) ::kill(pid, SIGKILL);
    if (Result<fs::path> socket = daemon_socket_path(server.home() / "work" / kStore / "node2"))
      (void)remove_tree(socket->parent_path());
  }

  SshHostOptions options() const {
    SshHostOptions options;
    options.target = {"node2",       "127.0.0.1",       server.user(),
                      server.port(), server.identity(), home.path() / "known_hosts"};
    options.workspace = "~/work";
    options.store_id = kStore;
    options.programs = small_programs();
    return options;
  }
  void start_and_greet(SshHost& host, int64_t epoch = 1) {
    Status started = host.start_daemon(kLease, kGrace, soon());
    ASSERT_TRUE(started) << started.error().message;
    Result<std::unique_ptr<DaemonLink>> opened = DaemonLink::open(
        host, {.epoch = epoch, .store = kStore, .lease = kLease, .grace = kGrace}, events.sink(), soon());
    ASSERT_TRUE(opened) << opened.error().message;
    link = std::move(*opened);
    pid = static_cast<int>(link->greeting().integer_or("pid", 0));
  }
  std::string place() const {
    return "host node2 (" + server.user() + "@127.0.0.1:" + std::to_string(server.port()) + ")";
  }
  void expect_has(const std::string& text, const std::string& part) const {
    EXPECT_NE(text.find(part), std::string::npos) << text << "\nhas not: " << part;
  }
  HostFile file(const std::string& name, const std::string& content) const {
    here.file("from/" + name, content);
    return {name, static_cast<int64_t>(content.size()), digest_of(content)};
  }

  SshHome home;
  ThrowawaySshd server;
  TempDir here;
  StopSignal stop;
  RecordedEvents events;
  std::unique_ptr<DaemonLink> link;
  int pid = 0;
};

TEST_F(SshHostTest, StartsADaemonOnABareHostAndSpeaksWithIt) {
  SshHost host(options());
  EXPECT_EQ(host.root(), fs::path("~/work") / kStore / "node2");
  EXPECT_EQ(host.preparation(), "");
  EXPECT_EQ(server.connections(), 0) << "nothing was asked of it yet";
  start_and_greet(host);
  EXPECT_EQ(host.root(), server.home() / "work" / kStore / "node2");
  EXPECT_EQ(link->greeting().text_or("root", ""), host.root().string());
  EXPECT_EQ(host.address(), "127.0.0.1");
  EXPECT_TRUE(host.preparation().starts_with("programs sent: ")) << host.preparation();
  EXPECT_TRUE(*host.daemon_alive());
  const int first = pid;
  start_and_greet(host, 2);
  EXPECT_EQ(pid, first) << "a second daemon was started";

  ASSERT_TRUE(link->order(message_of("goodbye"), soon()));
  EXPECT_TRUE(wait_until([&] { return !host.daemon_alive().value_or(true); }));
  pid = 0;
}

TEST_F(SshHostTest, APreparedHostIsSentNothing) {
  {
    SshHost host(options());
    start_and_greet(host);
  }
  SshHost again(options());
  start_and_greet(again, 2);
  EXPECT_EQ(again.preparation(), "programs were there, nothing sent");
}

TEST_F(SshHostTest, ADaemonThatIsKilledIsSeenAndCanBeStartedAgain) {
  SshHost host(options());
  start_and_greet(host);
  const int first = pid;
  ::kill(first, SIGKILL);
  ASSERT_TRUE(events.wait_for(1));
  EXPECT_EQ(events.names().back(), "closed");
  EXPECT_TRUE(wait_until([&] { return !host.daemon_alive().value_or(true); }));
  Result<MessageLink> nobody = host.connect(soon());
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().cause, Cause::unreachable);
  expect_has(nobody.error().message, place() + ": it ended before it said that it is ready (exit code 6): ");
  start_and_greet(host, 2);
  EXPECT_NE(pid, first);
}

TEST_F(SshHostTest, FilesGoThereAndBackAndAreReadAndChecked) {
  SshHost host(options());
  const HostFile small = file("a", "hello"), large = file("b/c", std::string(3 << 20, 'x'));
  Status put = host.put(here / "from", {small, large}, "data/d", nullptr, stop);
  ASSERT_TRUE(put) << put.error().message;
  EXPECT_EQ(read_file(server.home() / "work" / kStore / "node2" / "data/d/a").value_or(""), "hello");
  EXPECT_EQ(host.read("data/d/a", 100).value_or(""), "hello");
  EXPECT_EQ(host.check({small, large, {"absent", 1, small.digest}}, "data/d", true, stop).value_or({}),
            (std::vector<bool>{true, true, false}));
  Status got = host.get("data/d", {small, large}, here / "back", nullptr, stop);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(digest_of_file(here / "back/b/c").value_or(""), large.digest);
  EXPECT_FALSE(*host.daemon_alive());
  EXPECT_EQ(server.logins(), 1);
  Result<std::string> absent = host.read("data/absent", 100);
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().cause, Cause::not_found);
  EXPECT_TRUE(absent.error().message.starts_with(place())) << absent.error().message;
}

TEST_F(SshHostTest, ASessionThatDiedBetweenTwoCallsIsOpenedAgain) {
  SshHost host(options());
  const HostFile small = file("a", "hello");
  ASSERT_TRUE(host.put(here / "from", {small}, "data/d", nullptr, stop));
  server.stop();
  server.start();
  Result<std::string> read = host.read("data/d/a", 100);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, "hello");
}

TEST_F(SshHostTest, ATransferThatBreaksGoesOnWhereItBroke) {
  SshHost host(options());
  ASSERT_FALSE(*host.daemon_alive());
  const HostFile large = file("b", [] {
    std::string text(64 << 20, 'x');
    uint64_t state = 88172645463325252ull;
    for (char& letter : text) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      letter = static_cast<char>(state);
    }
    return text;
  }());
  bool broken = false;
  const TransferProgress breaks = [&](int64_t done) {
    if (broken || done < (8 << 20)) return;
    broken = true;
    server.stop();
    server.start();
  };
  Status put = host.put(here / "from", {large}, "data/d", breaks, stop);
  ASSERT_TRUE(put) << put.error().message;
  EXPECT_TRUE(broken);
  EXPECT_EQ(digest_of_file(host.root() / "data/d/b").value_or(""), large.digest);
  EXPECT_GE(server.logins(), 2);
}

TEST_F(SshHostTest, ATransferOutlivesAHostThatIsAwayForAMoment) {
  SshHost host(options());
  ASSERT_FALSE(*host.daemon_alive());
  const HostFile large = file("b", std::string(48 << 20, 'x'));
  std::thread comes_back;
  const TransferProgress breaks = [&](int64_t done) {
    if (comes_back.joinable() || done < (4 << 20)) return;
    server.stop();
    comes_back = std::thread([&] {
      ::usleep(1'500'000);
      server.start();
    });
  };
  Status put = host.put(here / "from", {large}, "data/d", breaks, stop);
  ASSERT_TRUE(comes_back.joinable());
  comes_back.join();
  ASSERT_TRUE(put) << put.error().message;
  EXPECT_EQ(digest_of_file(host.root() / "data/d/b").value_or(""), large.digest);
}

TEST_F(SshHostTest, AHostThatIsDownIsNamedByEveryCall) {
  SshHost host(options());
  server.stop();
  const std::string refused = place() + ": cannot connect: 127.0.0.1: connection refused";
  Status started = host.start_daemon(kLease, kGrace, soon());
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().message, refused);
  EXPECT_EQ(exit_code(started.error().cause), 6);
  EXPECT_EQ(host.daemon_alive().error().message, refused);
  EXPECT_EQ(host.read("a", 1).error().message, refused);
  EXPECT_EQ(host.put(here / "from", {file("a", "x")}, "data/d", nullptr, stop).error().message, refused);
}

TEST_F(SshHostTest, ARelayThatEndedIsLetGoOfByTheNextCall) {
  SshHost host(options());
  start_and_greet(host);
  EXPECT_EQ(connections_to(server.port()), 2) << "one for files, one for the relay";
  link.reset();
  EXPECT_TRUE(wait_until([&] {
    EXPECT_TRUE(host.daemon_alive().value_or(false));
    return connections_to(server.port()) == 1;
  }));
}

TEST_F(SshHostTest, OnceTheStopSignalIsRaisedAPreparedHostIsReachedToCleanUp) {
  {
    SshHost host(options());
    start_and_greet(host);
    link.reset();
  }
  SshHostOptions told = options();
  told.stop = &stop;
  stop.raise(Cause::interrupted);
  SshHost host(told);
  EXPECT_TRUE(host.daemon_alive().value_or(false));
  start_and_greet(host, 2);
  EXPECT_EQ(host.preparation(), "programs were there, nothing sent");
}

TEST_F(SshHostTest, OnceTheStopSignalIsRaisedNoProgramsAndNoFilesAreSent) {
  SshHostOptions told = options();
  told.stop = &stop;
  stop.raise(Cause::interrupted);
  SshHost host(told);
  const HostFile small = file("a", "hello");
  EXPECT_EQ(host.put(here / "from", {small}, "data/d", nullptr, stop).error().cause, Cause::interrupted);
  EXPECT_EQ(host.get("data/d", {small}, here / "back", nullptr, stop).error().cause, Cause::interrupted);
  EXPECT_EQ(host.check({small}, "data/d", true, stop).error().cause, Cause::interrupted);
  EXPECT_EQ(server.connections(), 0);
  Status started = host.start_daemon(kLease, kGrace, soon());
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().cause, Cause::interrupted) << started.error().message;
  EXPECT_TRUE(fs::is_empty(server.home() / "work/bundles/files"));
}

TEST_F(SshHostTest, AStartThatBeganBeforeTheStopSignalEndsWithIt) {
  SshHost first(options());
  start_and_greet(first);
  // Its relays never say that they are ready.
  const fs::path waits = here / "waits";
  ThrowawaySshd deaf({"ForceCommand case \"$SSH_ORIGINAL_COMMAND\" in *' relay '*) : > " + waits.string() +
                      "; cat > /dev/null;; *) eval \"$SSH_ORIGINAL_COMMAND\";; esac"});
  ASSERT_TRUE(write_file_atomically(home.path() / "known_hosts", deaf.known_hosts_line()));
  SshHostOptions told = options();
  told.workspace = (server.home() / "work").string();
  told.target.port = deaf.port();
  told.target.identity = deaf.identity();
  told.stop = &stop;
  SshHost host(told);
  std::jthread raises([&] {
    EXPECT_TRUE(wait_until([&] { return fs::exists(waits); }));
    stop.raise(Cause::interrupted);
  });
  Status started = host.start_daemon(kLease, kGrace, soon());
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().cause, Cause::interrupted) << started.error().message;
}

TEST_F(SshHostTest, ProgramsThatWereTakenAwayAreBroughtAgain) {
  SshHost host(options());
  start_and_greet(host);
  link.reset();
  ::kill(pid, SIGKILL);
  EXPECT_TRUE(wait_until([&] { return !host.daemon_alive().value_or(true); }));
  server.stop();
  ASSERT_TRUE(remove_tree(server.home() / "work"));
  server.start();
  SshHost again(options());
  start_and_greet(again, 2);
  EXPECT_TRUE(again.preparation().starts_with("programs sent: ")) << again.preparation();
}

TEST_F(SshHostTest, AReceiverWithAFlippedByteIsReplaced) {
  {
    SshHost host(options());
    ASSERT_FALSE(*host.daemon_alive());
  }
  fs::path receiver;
  for (const auto& entry : fs::recursive_directory_iterator(server.home() / "work/bundles/receive")) {
    if (entry.path().filename() == "gnnflow-receive") receiver = entry.path();
  }
  ASSERT_FALSE(receiver.empty());
  std::string content = read_file(receiver).value_or("");
  content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
  ASSERT_TRUE(write_file_atomically(receiver, content, 0755));
  SshHost host(options());
  Result<bool> alive = host.daemon_alive();
  ASSERT_TRUE(alive) << alive.error().message;
  content = read_file(receiver).value_or("");
  EXPECT_EQ(sha256_of(std::as_bytes(std::span(content))), receiver.parent_path().filename().string());
}

TEST_F(SshHostTest, AFullDiskThereIsNoResourcesAndNamesTheHost) {
  ASSERT_TRUE(create_folders(server.home() / "work"));
  if (::mount("tmpfs", (server.home() / "work").c_str(), "tmpfs", 0, "size=256k") != 0)
    GTEST_SKIP() << "needs the right to mount";
  SshHost host(options());
  Status started = host.start_daemon(kLease, kGrace, soon());
  ::umount2((server.home() / "work").c_str(), MNT_DETACH);
  ASSERT_FALSE(started);
  EXPECT_EQ(exit_code(started.error().cause), 13);
  EXPECT_TRUE(started.error().message.starts_with(place() + ": gnnflow-receive could not be brought to "))
      << started.error().message;
  expect_has(started.error().message, "No space left on device");
}

TEST_F(SshHostTest, AWorkspaceThatRunsNoProgramsIsNamed) {
  ASSERT_TRUE(create_folders(server.home() / "work"));
  if (::mount("tmpfs", (server.home() / "work").c_str(), "tmpfs", MS_NOEXEC, nullptr) != 0)
    GTEST_SKIP() << "needs the right to mount";
  SshHost host(options());
  Status started = host.start_daemon(kLease, kGrace, soon());
  ::umount2((server.home() / "work").c_str(), MNT_DETACH);
  ASSERT_FALSE(started);
  EXPECT_EQ(exit_code(started.error().cause), 6);
  expect_has(started.error().message, "Permission denied");
  expect_has(started.error().message, "is its file system mounted noexec?");
}

TEST_F(SshHostTest, AWorkspaceWithLettersThatShellsReadIsRefused) {
  SshHostOptions odd = options();
  odd.workspace = "~/my work";
  SshHost host(odd);
  Status started = host.start_daemon(kLease, kGrace, soon());
  ASSERT_FALSE(started);
  EXPECT_EQ(exit_code(started.error().cause), 3);
  expect_has(started.error().message, "workspace '~/my work': ");
}

// One with its own sshd settings: what a login shell does.
class OddShell : public SshHostTest {
 protected:
  std::string error_with(const std::string& forced) {
    ThrowawaySshd odd({"ForceCommand " + forced});
    EXPECT_TRUE(write_file_atomically(home.path() / "known_hosts", odd.known_hosts_line()));
    SshHostOptions told = options();
    told.target.port = odd.port();
    told.target.identity = odd.identity();
    SshHost host(told);
    Result<bool> alive = host.daemon_alive();
    if (alive) return "";
    EXPECT_EQ(exit_code(alive.error().cause), 6);
    return alive.error().message;
  }
};

TEST_F(OddShell, ABannerOnBothStreamsDoesNotMatter) {
  EXPECT_EQ(
      error_with("echo 'Welcome to this machine'; echo gnnflow-probe? >&2; eval \"$SSH_ORIGINAL_COMMAND\""),
      "");
}

TEST_F(OddShell, NoCommandsAtAllIsTold) {
  const std::string message = error_with("echo 'This account is currently not available.'; exit 1");
  expect_has(
      message,
      "commands cannot be run there (exit code 1): This account is currently not available.; a host needs a "
      "login shell, /bin/sh and coreutils");
}

TEST_F(OddShell, NoShellIsTold) {
  const std::string message =
      error_with("echo 'bash: line 1: /bin/sh: No such file or directory' >&2; exit 127");
  expect_has(message, "commands cannot be run there (exit code 127): bash: line 1: /bin/sh: No such file");
}

TEST_F(OddShell, AnotherKindOfMachineIsRefused) {
  ThrowawaySshd odd({"ForceCommand echo gnnflow-probe; echo /home/ann; echo riscv64; echo absent"});
  ASSERT_TRUE(write_file_atomically(home.path() / "known_hosts", odd.known_hosts_line()));
  SshHostOptions told = options();
  told.target.port = odd.port();
  told.target.identity = odd.identity();
  SshHost host(told);
  Result<bool> alive = host.daemon_alive();
  ASSERT_FALSE(alive);
  EXPECT_EQ(alive.error().cause, Cause::unfit);
  expect_has(alive.error().message, "it is a machine of another kind (riscv64)");
}

}  // namespace
}  // namespace gnnflow
