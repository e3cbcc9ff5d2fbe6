// Who gives the orders when connections come, fall silent, and are too many.
#include <csignal>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "common/base/text.h"
#include "tests/support/temp_dir.h"
#include "tests/worker/daemon/daemon_client.h"

namespace gnnflow {
namespace {

const std::string kToken = "s3.r1.step.1." + std::to_string(::getpid());

struct Connections : testing::Test {
  TempDir temp;
  fs::path root = temp / "h1";

  std::string said() { return read_file(root.string() + ".out").value_or(""); }
  size_t times_said(std::string_view text) {
    const std::string all = said();
    size_t times = 0;
    for (size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++times;
    return times;
  }
};

// A link that was cut sends no end: its connection only stays silent.
TEST_F(Connections, ANewOneOfTheSameControllerTakesOverFromOneThatFellSilent) {
  DaemonUnderTest daemon(root);
  DaemonClient silent(root, 5);
  silent.start_exec(kToken, {"sleep", "600"});
  DaemonClient client(root, 5);
  EXPECT_TRUE(client.greeting().boolean_or("ok", false)) << client.greeting().dump();
  EXPECT_EQ(client.greeting().get("jobs").array().size(), 1u);
  EXPECT_EQ(client.about(kToken, "ask").head.text_or("state", ""), "started");
  // What was still on the way over the old one is not obeyed: its end is closed.
  EXPECT_TRUE(silent.closed());
  client.about(kToken, "cancel");
  EXPECT_NE(client.event(kToken, "exited").type(), "none");
}

TEST_F(Connections, AnEarlierOneThatSaysHelloLateDoesNotTakeOver) {
  DaemonUnderTest daemon(root);
  MessageLink early = connect_to_daemon(root);
  DaemonClient client(root, 5);
  ASSERT_TRUE(client.greeting().boolean_or("ok", false));
  Json hello = DaemonClient::head_of("hello");
  hello["id"] = 1;
  hello["epoch"] = 5;
  hello["store"] = "s1";
  hello["host"] = "h1";
  ASSERT_TRUE(early.send({hello, ""}, Deadline::after(Milliseconds(5000))));
  Result<std::optional<Message>> reply = early.receive(Deadline::after(Milliseconds(10'000)));
  ASSERT_TRUE(reply && *reply);
  EXPECT_EQ((*reply)->head.text_or("cause", ""), "locked");
  EXPECT_EQ((*reply)->head.text_or("message", ""),
            "a later connection of this controller has taken this host over");
  EXPECT_TRUE(client.about(kToken, "ask").head.boolean_or("ok", false));
  // A higher epoch is another controller, whenever it connected.
  hello["epoch"] = 6;
  ASSERT_TRUE(early.send({hello, ""}, Deadline::after(Milliseconds(5000))));
  reply = early.receive(Deadline::after(Milliseconds(10'000)));
  ASSERT_TRUE(reply && *reply);
  EXPECT_TRUE((*reply)->head.boolean_or("ok", false));
  EXPECT_TRUE(client.closed());
}

TEST_F(Connections, ThatSayNothingKeepNobodyOut) {
  DaemonUnderTest daemon(root);
  std::vector<MessageLink> silent;
  for (int i = 0; i < 16; ++i) silent.push_back(connect_to_daemon(root));
  DaemonClient client(root);
  EXPECT_TRUE(client.greeting().boolean_or("ok", false));
  for (int i = 0; i < 20; ++i) silent.push_back(connect_to_daemon(root));
  EXPECT_TRUE(client.about(kToken, "ask").head.boolean_or("ok", false));
}

TEST_F(Connections, WaitQuietlyWhileNoDescriptorIsLeft) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  size_t open = 0;
  for (auto entry = fs::directory_iterator("/proc/" + std::to_string(daemon.pid()) + "/fd");
       entry != fs::directory_iterator(); ++entry) {
    ++open;
  }
  rlimit before{};
  ASSERT_EQ(::prlimit(daemon.pid(), RLIMIT_NOFILE, nullptr, &before), 0);
  rlimit none = before;
  none.rlim_cur = open;
  ASSERT_EQ(::prlimit(daemon.pid(), RLIMIT_NOFILE, &none, nullptr), 0);
  std::vector<MessageLink> waiting;  // the first may still find a number that was free
  ASSERT_TRUE(becomes_true([&] {
    if (waiting.size() < 8) waiting.push_back(connect_to_daemon(root));
    return times_said("accepting a connection") > 0;
  }));
  // It goes on with those that it has, and does not say it over and over.
  EXPECT_TRUE(client.about(kToken, "cancel").head.boolean_or("ok", false));
  ::usleep(1'500'000);
  EXPECT_EQ(times_said("accepting a connection"), 1u) << said();
  ASSERT_EQ(::prlimit(daemon.pid(), RLIMIT_NOFILE, &before, nullptr), 0);
  DaemonClient again(root);
  EXPECT_TRUE(again.greeting().boolean_or("ok", false));
}

TEST_F(Connections, SighupEndsTheDaemonLikeSigterm) {
  auto before = ::signal(SIGHUP, SIG_DFL);  // the tests themselves may run under nohup
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  client.start_exec(kToken, {"sleep", "600"});
  ASSERT_TRUE(becomes_true([&] { return processes_with("GNNFLOW_TOKEN", kToken).size() >= 2; }));
  ::signal(SIGHUP, before);
  ::kill(daemon.pid(), SIGHUP);
  const std::optional<ExitState> end = daemon.wait(Milliseconds(10'000));
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->good()) << end->text();
  EXPECT_TRUE(processes_with("GNNFLOW_TOKEN", kToken).empty());
}

TEST_F(Connections, SighupThatWasIgnoredAtTheStartStaysIgnored) {
  auto before = ::signal(SIGHUP, SIG_IGN);
  DaemonUnderTest daemon(root);
  ::signal(SIGHUP, before);
  DaemonClient client(root);
  ::kill(daemon.pid(), SIGHUP);
  EXPECT_FALSE(daemon.wait(Milliseconds(500)));
  EXPECT_TRUE(client.about(kToken, "ask").head.boolean_or("ok", false));
}

// ---- through the relay

struct Relayed {
  FileDescriptor ours;
  std::optional<ChildProcess> process;
};

Relayed start_relay(const fs::path& root, const fs::path& errors) {
  auto ends = *make_socket_pair();
  ChildOptions options;
  // Boost.Process gives every child /dev/null as stdin: the shell joins both to the descriptor it was given.
  options.argv = {"/bin/sh",
                  "-c",
                  "exec \"$0\" relay --root \"$1\" <&3 >&3 2>\"$2\" 3>&-",
                  GNNFLOW_PROGRAMS_FOLDER "/gnnflow-worker",
                  root.string(),
                  errors.string()};
  options.descriptors = {{ends.second.get(), 3}};
  Result<ChildProcess> started = ChildProcess::start(options);
  if (!started) bug(started.error().message);
  return {std::move(ends.first), *std::move(started)};
}

TEST_F(Connections, TheRelaySaysThatItIsReadyFirst) {
  DaemonUnderTest daemon(root);
  Relayed relayed = start_relay(root, temp / "errors");
  std::string line;
  char byte = 0;
  while (line.find('\n') == std::string::npos && ::read(relayed.ours.get(), &byte, 1) == 1) line += byte;
  EXPECT_EQ(line, "gnnflow-ready 1\n");
  MessageLink link(std::move(relayed.ours));
  Json hello = DaemonClient::head_of("hello");
  hello["id"] = 7;
  hello["epoch"] = 1;
  hello["store"] = "s1";
  hello["host"] = "h1";
  ASSERT_TRUE(link.send({hello, ""}, Deadline::after(Milliseconds(5000))));
  Result<std::optional<Message>> reply = link.receive(Deadline::after(Milliseconds(10'000)));
  ASSERT_TRUE(reply && *reply);
  EXPECT_TRUE((*reply)->head.boolean_or("ok", false));
  link.shut_down();
  const std::optional<ExitState> end = relayed.process->wait(Deadline::after(Milliseconds(10'000)));
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->good()) << end->text();
}

TEST_F(Connections, TheRelaySaysNothingButItsErrorWithoutADaemon) {
  Relayed relayed = start_relay(root, temp / "errors");
  char byte = 0;
  EXPECT_EQ(::read(relayed.ours.get(), &byte, 1), 0);
  const std::optional<ExitState> end = relayed.process->wait(Deadline::after(Milliseconds(10'000)));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 6);
  const std::string errors = read_file(temp / "errors").value_or("");
  EXPECT_NE(errors.find("daemon.sock: "), std::string::npos) << errors;
}

}  // namespace
}  // namespace gnnflow
