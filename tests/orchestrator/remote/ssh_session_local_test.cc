// Sessions with a real sshd: what is refused and how, and that programs behind any login shell are heard.
#include <atomic>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/text.h"
#include "orchestrator/remote/ssh_session.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throwaway_sshd.h"

namespace gnnflow {
namespace {

Deadline soon() { return Deadline::after(Milliseconds(60'000)); }

class SshSessionTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(ThrowawaySshd::is_installed()) << "openssh-server is missing"; }

  SshTarget target_of(const ThrowawaySshd& server) const {
    return {"node2",       "127.0.0.1",       server.user(),
            server.port(), server.identity(), home.path() / "known_hosts"};
  }
  void trust(const ThrowawaySshd& server) const { write_known(server.known_hosts_line()); }
  void write_known(const std::string& text) const {
    ASSERT_TRUE(write_file_atomically(home.path() / "known_hosts", text, 0600));
  }
  std::string known_line(int number) const {
    return (home.path() / "known_hosts").string() + ":" + std::to_string(number);
  }
  std::unique_ptr<SshSession> open(const SshTarget& target) {
    Result<std::unique_ptr<SshSession>> session = SshSession::open(target, soon());
    if (!session) ADD_FAILURE() << session.error().message;
    return session ? std::move(*session) : nullptr;
  }
  // The message of an error that must be `unreachable` and name the host.
  std::string refusal(const SshTarget& target, const SshSettings& settings = {}, Deadline deadline = soon()) {
    Result<std::unique_ptr<SshSession>> session = SshSession::open(target, deadline, settings);
    if (session) {
      ADD_FAILURE() << "it was let in";
      return "";
    }
    EXPECT_EQ(exit_code(session.error().cause), 6);
    EXPECT_TRUE(session.error().message.starts_with("host node2 (")) << session.error().message;
    EXPECT_EQ(session.error().message.find('\n'), std::string::npos);
    return session.error().message;
  }
  std::string place(const ThrowawaySshd& server) const {
    return "host node2 (" + server.user() + "@127.0.0.1:" + std::to_string(server.port()) + ")";
  }
  void expect_has(const std::string& text, const std::string& part) const {
    EXPECT_NE(text.find(part), std::string::npos) << text << "\nhas not: " << part;
  }

  SshHome home;
};

std::string fingerprint(const std::string& host_key) {
  return parse_host_key(split(host_key, ' ')[1]).value_or({}).fingerprint();
}

// A port on which this test answers, or does not.
class Listener {
 public:
  Listener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) bug("bind");
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
  }
  void listen() { ASSERT_EQ(::listen(socket_.get(), 16), 0); }
  FileDescriptor accept() { return FileDescriptor(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }
  int port = 0;

 private:
  FileDescriptor socket_;
};

TEST_F(SshSessionTest, RunsCommandsAndTellsTheirOutputErrorsAndEnd) {
  ThrowawaySshd server;
  trust(server);
  auto session = open(target_of(server));
  ASSERT_TRUE(session);
  EXPECT_EQ(session->place(), place(server));
  Result<FarRun> run = session->run("/bin/sh -c 'cat; echo oops >&2; exit 3'", "hello", soon());
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_EQ(run->status, 3);
  EXPECT_EQ(run->out, "hello");
  EXPECT_EQ(run->errors, "oops");
  Result<FarRun> coloured = session->run("/bin/sh -c 'printf \"\\033[31mred\\nline\" >&2'", "", soon());
  ASSERT_TRUE(coloured) << coloured.error().message;
  EXPECT_EQ(coloured->errors, "[31mred\nline") << "escape sequences of others";
  Result<FarRun> killed = session->run("/bin/sh -c 'kill -9 $$'", "", soon());
  ASSERT_TRUE(killed) << killed.error().message;
  EXPECT_NE(killed->status, 0);
  EXPECT_TRUE(session->alive());
  EXPECT_EQ(server.logins(), 1);
}

TEST_F(SshSessionTest, CarriesMegabytesBothWaysOverSeveralChannelsAtOnce) {
  ThrowawaySshd server;
  trust(server);
  auto session = open(target_of(server));
  ASSERT_TRUE(session);
  std::string sent(1 << 20, 'x');
  for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7919 >> 5);
  std::vector<std::thread> users;
  std::vector<std::string> got(8);
  for (std::string& one : got) {
    users.emplace_back([&] {
      Result<FarRun> run = session->run("cat", sent, soon());
      one = run ? run->out : run.error().message;
    });
  }
  for (std::thread& user : users) user.join();
  for (const std::string& one : got) EXPECT_EQ(one == sent, true) << one.size();
}

TEST_F(SshSessionTest, KeysAreExchangedAnewInTheMiddleOfATransfer) {
  ThrowawaySshd server({"RekeyLimit 1M"});
  trust(server);
  auto session = open(target_of(server));
  ASSERT_TRUE(session);
  std::string sent(24 << 20, 'x');
  for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7919 >> 7);
  Result<FarProgram> program = session->start("cat", soon());
  ASSERT_TRUE(program) << program.error().message;
  std::string got;
  std::thread reads([&] {
    std::string bytes(1 << 16, '\0');
    for (ssize_t count = 0; (count = ::read(program->pipe.get(), bytes.data(), bytes.size())) > 0;)
      got.append(bytes.data(), static_cast<size_t>(count));
  });
  for (size_t at = 0; at < sent.size();) {
    const ssize_t count = ::send(program->pipe.get(), sent.data() + at, sent.size() - at, MSG_NOSIGNAL);
    ASSERT_GT(count, 0);
    at += static_cast<size_t>(count);
  }
  ::shutdown(program->pipe.get(), SHUT_WR);
  reads.join();
  EXPECT_EQ(program->end.status(soon()), 0);
  EXPECT_TRUE(got == sent) << got.size();
}

TEST_F(SshSessionTest, KeysAreExchangedAnewWhileNothingComesBack) {
  ThrowawaySshd server({"RekeyLimit 1M"});
  trust(server);
  auto session = open(target_of(server));
  ASSERT_TRUE(session);
  const std::string sent(24 << 20, 'x');
  Result<FarRun> run = session->run("wc -c", sent, soon());
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_EQ(trimmed(run->out), std::to_string(sent.size()));
}

// What is read for one channel may hold the answer that another waits for: none is left lying.
TEST_F(SshSessionTest, NoAnswerIsLeftLyingWhileManyShortCommandsRun) {
  ThrowawaySshd server;
  trust(server);
  auto session = open(target_of(server));
  ASSERT_TRUE(session);
  std::vector<std::thread> users;
  std::vector<std::string> wrong(6);
  for (std::string& one : wrong) {
    users.emplace_back([&] {
      for (int i = 0; i < 40 && one.empty(); ++i) {
        Result<FarRun> run = session->run("echo out; echo err >&2", "", soon());
        if (!run) {
          one = run.error().message;
        } else if (run->out != "out\n" || run->errors != "err" || run->status != 0) {
          one = run->out + "|" + run->errors + "|" + std::to_string(run->status);
        }
      }
    });
  }
  for (std::thread& user : users) user.join();
  EXPECT_EQ(wrong, std::vector<std::string>(6));
}

TEST_F(SshSessionTest, ANinthChannelIsRefusedAndAFreedOneIsUsedAgain) {
  ThrowawaySshd server;
  trust(server);
  auto session = open(target_of(server));
  ASSERT_TRUE(session);
  std::vector<FarProgram> programs;
  for (int i = 0; i < 8; ++i) {
    Result<FarProgram> program = session->start("cat", soon());
    ASSERT_TRUE(program) << program.error().message;
    programs.push_back(std::move(*program));
  }
  Result<FarProgram> ninth = session->start("cat", soon());
  ASSERT_FALSE(ninth);
  EXPECT_EQ(ninth.error().cause, Cause::temporary);
  programs.back().pipe.reset();
  EXPECT_EQ(programs.back().end.status(soon()), 0);
  const Deadline deadline = soon();
  while (!(ninth = session->start("cat", soon())) && !deadline.passed()) ::usleep(10'000);
  EXPECT_TRUE(ninth);
}

TEST_F(SshSessionTest, AProgramSeesTheEndOfItsInputWhenTheSessionEnds) {
  ThrowawaySshd server;
  trust(server);
  const fs::path mark = home.path() / "mark";
  auto session = open(target_of(server));
  ASSERT_TRUE(session);
  Result<FarProgram> program = session->start("/bin/sh -c 'cat; echo ended > " + mark.string() + "'", soon());
  ASSERT_TRUE(program);
  session.reset();
  EXPECT_EQ(program->end.status(soon()), -1);
  expect_has(program->end.last_words(), "the connection ended");
  std::error_code error;
  const Deadline deadline = soon();
  while (!fs::exists(mark, error) && !deadline.passed()) ::usleep(10'000);
  EXPECT_TRUE(fs::exists(mark, error));
}

TEST_F(SshSessionTest, ABrokenConnectionIsToldToWhoeverUsesIt) {
  ThrowawaySshd server;
  trust(server);
  auto session = open(target_of(server));
  ASSERT_TRUE(session);
  Result<FarProgram> program = session->start("cat", soon());
  ASSERT_TRUE(program);
  server.stop();
  EXPECT_EQ(program->end.status(soon()), -1);
  char byte = 0;
  EXPECT_EQ(::read(program->pipe.get(), &byte, 1), 0);
  EXPECT_FALSE(session->alive());
  Result<FarRun> run = session->run("true", "", soon());
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().cause, Cause::unreachable);
  expect_has(run.error().message, place(server) + ": the connection has ended");
}

TEST_F(SshSessionTest, AnUnknownHostKeyIsRefusedAndHostsTrustIsNamed) {
  ThrowawaySshd server;
  write_known("");
  const std::string message = refusal(target_of(server));
  EXPECT_EQ(message, place(server) + ": its host key is not known: ssh-ed25519 " +
                         fingerprint(server.host_key()) +
                         "; compare it, then record it with `gnnflow hosts trust FILE`");
  EXPECT_EQ(server.logins(), 0);
}

TEST_F(SshSessionTest, AChangedHostKeyIsRefusedWithBothFingerprintsAndTheLine) {
  ThrowawaySshd server;
  trust(server);
  const std::string before = fingerprint(server.host_key());
  server.change_host_key();
  const std::string message = refusal(target_of(server));
  expect_has(message, "its host key has changed: it shows ssh-ed25519 " + fingerprint(server.host_key()) +
                          ", but " + known_line(1) + " has ssh-ed25519 " + before);
}

TEST_F(SshSessionTest, AHostKeyOfAnotherTypeIsRefused) {
  ThrowawaySshd server;
  trust(server);
  server.change_host_key("ecdsa");
  const std::string message = refusal(target_of(server));
  expect_has(message, "it shows a host key of another type: ecdsa-sha2-nistp256 ");
  expect_has(message, known_line(1) + " has ssh-ed25519 SHA256:");
}

TEST_F(SshSessionTest, ARevokedHostKeyIsRefused) {
  ThrowawaySshd server;
  write_known(server.known_hosts_line() + "@revoked * " + server.host_key() + "\n");
  expect_has(refusal(target_of(server)), "is revoked in " + known_line(2));
}

TEST_F(SshSessionTest, AHostWithSeveralKeysShowsTheOneThatIsKnown) {
  TempDir keys;
  make_ssh_key(keys / "rsa", "rsa");
  make_ssh_key(keys / "ecdsa", "ecdsa");
  ThrowawaySshd server({"HostKey " + (keys / "rsa").string(), "HostKey " + (keys / "ecdsa").string()});
  for (const char* type : {"rsa", "ecdsa"}) {
    const std::string line = read_file(keys / (std::string(type) + ".pub")).value_or("");
    write_known("[127.0.0.1]:" + std::to_string(server.port()) + " " + line);
    EXPECT_TRUE(open(target_of(server))) << type;
  }
}

TEST_F(SshSessionTest, KeysAreMetInTheOrderOfTheWayAndCanBeRecorded) {
  ThrowawaySshd server;
  std::vector<MetHostKey> met;
  SshSettings settings;
  settings.meet = [&](const MetHostKey& key) -> Result<bool> {
    met.push_back(key);
    return true;
  };
  const SshTarget target = target_of(server);
  Status status = SshSession::meet(target, soon(), settings);
  ASSERT_TRUE(status) << status.error().message;
  ASSERT_EQ(met.size(), 1u);
  EXPECT_EQ(met[0].finding.verdict, KeyVerdict::unknown);
  EXPECT_EQ(met[0].place, place(server));
  EXPECT_EQ(known_hosts_line(met[0].host, met[0].port, met[0].key) + "\n", server.known_hosts_line());
  EXPECT_EQ(server.logins(), 0);
  ASSERT_TRUE(record_host_key(target.known_hosts, met[0].host, met[0].port, met[0].key));
  EXPECT_TRUE(open(target));
  met.clear();
  EXPECT_TRUE(SshSession::meet(target, soon(), settings));
  EXPECT_TRUE(met.empty()) << "a known key was shown";
}

TEST_F(SshSessionTest, AWrongUserOrKeyIsRefusedWithWhatWasTried) {
  ThrowawaySshd server;
  trust(server);
  SshTarget target = target_of(server);
  target.user = "nobody-here";
  const std::string user = refusal(target);
  expect_has(user, "login refused: no key of ours is accepted for user 'nobody-here'");
  expect_has(user, "it takes: publickey");

  TempDir keys;
  make_ssh_key(keys / "other");
  target = target_of(server);
  target.identity = keys / "other";
  expect_has(refusal(target), "for user '" + server.user() + "' (" + (keys / "other").string());

  target.identity = keys / "absent";
  expect_has(refusal(target), "identity " + (keys / "absent").string() + ": there is no such file");
}

TEST_F(SshSessionTest, AKeyWithAPassphraseIsNeverAskedFor) {
  ThrowawaySshd server;
  trust(server);
  TempDir keys;
  make_ssh_key(keys / "locked", "ed25519", "secret");
  SshTarget target = target_of(server);
  target.identity = keys / "locked";
  expect_has(refusal(target), (keys / "locked").string() + ", which has a passphrase or cannot be read");
}

TEST_F(SshSessionTest, ThePortThatNobodyListensOnIsNamed) {
  Listener nobody;
  const std::string message =
      refusal({"node2", "127.0.0.1", "ann", nobody.port, {}, home.path() / "known_hosts"});
  EXPECT_EQ(message, "host node2 (ann@127.0.0.1:" + std::to_string(nobody.port) +
                         "): cannot connect: 127.0.0.1: connection refused");
}

TEST_F(SshSessionTest, ANameWithoutAnAddressIsNamed) {
  const std::string message = refusal({"node2", "no-such-host.invalid", "ann", 22, {}, {}});
  expect_has(message,
             "host node2 (ann@no-such-host.invalid:22): the name 'no-such-host.invalid' has no address: ");
}

TEST_F(SshSessionTest, AHostThatAcceptsAndStaysSilentIsGivenUpWithItsStage) {
  Listener silent;
  silent.listen();
  SshSettings settings;
  settings.patience.login = Milliseconds(300);
  const SshTarget target{"node2", "127.0.0.1", "ann", silent.port, {}, {}};
  expect_has(refusal(target, settings), "it accepts connections but says nothing; is that an ssh server?");

  std::thread greets([&] {
    FileDescriptor first = silent.accept(), second = silent.accept();
    const std::string_view banner = "SSH-2.0-OpenSSH_9.2\r\n";
    EXPECT_EQ(::write(second.get(), banner.data(), banner.size()), static_cast<ssize_t>(banner.size()));
    char bytes[4096];
    while (::read(second.get(), bytes, sizeof bytes) > 0) {
    }
  });
  settings.patience.login = Milliseconds(1500);
  expect_has(refusal(target, settings), "it stopped answering while keys were exchanged");
  greets.join();
}

TEST_F(SshSessionTest, AServerThatHangsUpIsTriedAgainAndThenNamed) {
  Listener port;
  port.listen();
  std::atomic<int> calls = 0;
  std::jthread hangs_up([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      FileDescriptor caller = port.accept();
      ++calls;
    }
  });
  const std::string message = refusal({"node2", "127.0.0.1", "ann", port.port, {}, {}});
  expect_has(message, "it hung up before it said anything");
  EXPECT_GT(calls, 1);
  hangs_up.request_stop();
  FileDescriptor last(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port.port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  (void)::connect(last.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
}

TEST_F(SshSessionTest, ManyAtOnceGetThroughMaxStartups) {
  ThrowawaySshd server({"MaxStartups 2:100:2"});
  trust(server);
  SshSettings settings;
  settings.gate = std::make_shared<SshGate>();
  std::vector<std::thread> users;
  std::vector<std::string> errors(8);
  for (std::string& error : errors) {
    users.emplace_back([&] {
      Result<std::unique_ptr<SshSession>> session = SshSession::open(target_of(server), soon(), settings);
      if (!session) error = session.error().message;
    });
  }
  for (std::thread& user : users) user.join();
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

TEST_F(SshSessionTest, TheConfigurationSaysUserPortKeyAndKnownHosts) {
  ThrowawaySshd server;
  TempDir elsewhere;
  const fs::path known = elsewhere.file("known", server.known_hosts_line());
  home.config("Host worker\n  HostName 127.0.0.1\n  User " + server.user() + "\n  Port " +
              std::to_string(server.port()) + "\n  IdentityFile " + server.identity().string() +
              "\n  UserKnownHostsFile " + known.string() + "\n  LogLevel DEBUG3\n  Ciphers aes256-ctr\n");
  testing::internal::CaptureStderr();
  auto session = open({"node2", "worker"});
  ASSERT_TRUE(session);
  EXPECT_EQ(session->place(), place(server));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  // What the entry says goes first.
  SshTarget target{"node2", "worker"};
  target.user = "somebody-else";
  expect_has(refusal(target), "host node2 (somebody-else@127.0.0.1:");
}

TEST_F(SshSessionTest, AJumpOfTheConfigurationIsGoneThrough) {
  ThrowawaySshd jump, server;
  home.config("Host gate\n  HostName 127.0.0.1\n  Port " + std::to_string(jump.port()) + "\n  User " +
              jump.user() + "\n  IdentityFile " + jump.identity().string() +
              "\nHost worker\n  HostName 127.0.0.1\n  ProxyJump gate\n");
  SshTarget target = target_of(server);
  target.address = "worker";
  write_known(jump.known_hosts_line());
  const std::string unknown = refusal(target);
  expect_has(unknown, place(server) + ": its host key is not known");
  write_known(jump.known_hosts_line() + server.known_hosts_line());
  auto session = open(target);
  ASSERT_TRUE(session);
  EXPECT_EQ(jump.logins(), 2);
  EXPECT_EQ(server.logins(), 1);
  const std::string sent(3 << 20, 'j');
  Result<FarRun> run = session->run("wc -c", sent, soon());
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_EQ(trimmed(run->out), std::to_string(sent.size()));

  write_known(server.known_hosts_line());
  expect_has(refusal(target), place(server) + ": jump (" + jump.user() + "@127.0.0.1:" +
                                  std::to_string(jump.port()) + "): its host key is not known");
  server.stop();
  write_known(jump.known_hosts_line());
  expect_has(refusal(target), "Connection refused");
}

TEST_F(SshSessionTest, SeveralJumpsAreGoneThroughInTheirOrder) {
  ThrowawaySshd first, second, server;
  const auto gate = [](const std::string& name, const ThrowawaySshd& jump) {
    return "Host " + name + "\n  HostName 127.0.0.1\n  Port " + std::to_string(jump.port()) + "\n  User " +
           jump.user() + "\n  IdentityFile " + jump.identity().string() + "\n";
  };
  home.config(gate("first", first) + gate("second", second) +
              "Host worker\n  HostName 127.0.0.1\n  ProxyJump first,second\n");
  SshTarget target = target_of(server);
  target.address = "worker";
  write_known("");
  expect_has(refusal(target), "127.0.0.1:" + std::to_string(first.port()) + "): its host key is not known");
  EXPECT_EQ(second.connections(), 0);
  write_known(first.known_hosts_line() + second.known_hosts_line() + server.known_hosts_line());
  EXPECT_TRUE(open(target));
  EXPECT_EQ(second.logins(), 1);
}

TEST_F(SshSessionTest, AProxyCommandThatIsNoJumpIsRefusedWithWhatToWrite) {
  home.config("Host worker\n  ProxyCommand nc %h %p\n");
  Result<std::unique_ptr<SshSession>> session = SshSession::open({"node2", "worker"}, soon());
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().message,
            "host node2: its ProxyCommand 'nc %h %p' is not supported: write ProxyJump in ~/.ssh/config");
}

TEST_F(SshSessionTest, ALoginShellThatPrintsABannerIsPassedOver) {
  ThrowawaySshd server(
      {"ForceCommand echo 'Welcome! gnnflow-ready 2'; echo to stderr >&2; eval \"$SSH_ORIGINAL_COMMAND\""});
  trust(server);
  auto session = open(target_of(server));
  ASSERT_TRUE(session);
  const std::string far = "/bin/sh -c 'printf \"gnnflow-ready 1\\nGNF1\"; cat'";
  Result<FarLink> link = start_messages(*session, far, soon());
  ASSERT_TRUE(link) << link.error().message;
  char bytes[4] = {};
  ASSERT_EQ(::recv(link->link.descriptor(), bytes, 4, MSG_WAITALL), 4);
  EXPECT_EQ(std::string_view(bytes, 4), "GNF1");
}

TEST_F(SshSessionTest, ALoginShellThatNeverEndsItsTalkIsGivenUp) {
  ThrowawaySshd server({"ForceCommand yes 'welcome to this machine' | head -c 1000000"});
  trust(server);
  auto session = open(target_of(server));
  ASSERT_TRUE(session);
  Result<FarLink> link = start_messages(*session, "anything", soon());
  ASSERT_FALSE(link);
  expect_has(link.error().message, "its login shell prints without end");
}

TEST_F(SshSessionTest, AProgramThatDoesNotBeginIsToldWithItsLastWords) {
  ThrowawaySshd server;
  trust(server);
  auto session = open(target_of(server));
  ASSERT_TRUE(session);
  Result<FarLink> link =
      start_messages(*session, "/bin/sh -c 'echo some talk; echo no such thing >&2; exit 127'", soon());
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().message,
            place(server) +
                ": it ended before it said that it is ready (exit code 127): no such thing; its "
                "output was 'some talk'");
  EXPECT_EQ(link.error().cause, Cause::unreachable);
  link =
      start_messages(*session, "/bin/sh -c 'echo write error: No space left on device >&2; exit 1'", soon());
  ASSERT_FALSE(link);
  EXPECT_EQ(exit_code(link.error().cause), 13);
}

TEST_F(SshSessionTest, TheStopSignalEndsAnOpening) {
  Listener silent;
  silent.listen();
  StopSignal stop;
  SshSettings settings;
  settings.stop = &stop;
  std::thread raises([&] {
    FileDescriptor caller = silent.accept();
    stop.raise(Cause::interrupted);
    char bytes[4096];
    while (::read(caller.get(), bytes, sizeof bytes) > 0) {
    }
  });
  Result<std::unique_ptr<SshSession>> session =
      SshSession::open({"node2", "127.0.0.1", "ann", silent.port, {}, {}}, soon(), settings);
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().cause, Cause::interrupted);
  raises.join();
}

TEST_F(SshSessionTest, TheStopSignalEndsTheWaitForAProgram) {
  ThrowawaySshd server;
  trust(server);
  auto session = open(target_of(server));
  ASSERT_TRUE(session);
  const auto raise_soon = [](StopSignal& stop) {
    return std::jthread([&] {
      ::usleep(200'000);
      stop.raise(Cause::interrupted);
    });
  };
  StopSignal stop, later;
  std::jthread raises = raise_soon(stop);
  Result<FarRun> run = session->run("sleep 300", "", soon(), &stop);
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().cause, Cause::interrupted);
  EXPECT_TRUE(run.error().message.starts_with(place(server) + ": ")) << run.error().message;
  raises = raise_soon(later);
  Result<FarLink> link = start_messages(*session, "sleep 300", soon(), &later);
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().cause, Cause::interrupted);
  EXPECT_TRUE(session->alive());
  EXPECT_EQ(session->run("echo goes on", "", soon()).value_or({}).out, "goes on\n");
}

}  // namespace
}  // namespace gnnflow
