// The daemon program: jobs, their ends, and its own.
#include <csignal>
#include <thread>

#include <gtest/gtest.h>

#include "common/base/text.h"
#include "tests/support/temp_dir.h"
#include "tests/worker/daemon/daemon_client.h"

namespace gnnflow {
namespace {

// Of this process alone: tests run beside each other, and what carries a token is killed.
const std::string kToken = "s1.r1.step.1." + std::to_string(::getpid());

std::vector<int> carriers(std::string_view token) { return processes_with("GNNFLOW_TOKEN", token); }

bool holds_nothing(const fs::path& folder) {
  std::error_code error;
  return fs::is_empty(folder, error) && !error;
}

struct DaemonTest : testing::Test {
  TempDir temp;
  fs::path root = temp / "h1";
  fs::path marks = temp / "marks";

  std::vector<std::string> sh(const std::string& script) { return {"sh", "-c", script}; }
  size_t marks_made() {
    std::string text = read_file(marks).value_or("");
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }
};

TEST_F(DaemonTest, StartsATokenOnce) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  auto command = sh("echo ran >> " + marks.string());
  EXPECT_EQ(client.start_exec(kToken, command).head.text_or("state", ""), "started");
  EXPECT_EQ(client.event(kToken, "exited").head.integer_or("code", -1), 0);
  EXPECT_EQ(client.start_exec(kToken, command).head.text_or("state", ""), "exited");
  Message acknowledged = client.about(kToken, "acknowledge");
  EXPECT_TRUE(acknowledged.head.boolean_or("ok", false));
  EXPECT_EQ(client.start_exec(kToken, command).head.text_or("state", ""), "exited");
  EXPECT_EQ(marks_made(), 1u);
}

TEST_F(DaemonTest, TellsAProgramsExitCodeAndItsLastLines) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  client.start_exec(kToken, sh("echo out; echo trouble >&2; exit 3"));
  Json end = client.event(kToken, "exited").head;
  EXPECT_EQ(end.text_or("state", ""), "exited");
  EXPECT_EQ(end.integer_or("code", -1), 3);
  EXPECT_EQ(end.text_or("cause", ""), "failed");
  EXPECT_EQ(end.text_or("message", ""), "sh ended with exit code 3");
  EXPECT_NE(end.text_or("tail", "").find("out\ntrouble\n"), std::string::npos);
}

TEST_F(DaemonTest, TellsTheSignalThatEndedAProgram) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  client.start_exec(kToken, sh("kill -9 $$"));
  Json end = client.event(kToken, "exited").head;
  EXPECT_EQ(end.text_or("state", ""), "killed");
  EXPECT_EQ(end.integer_or("signal", -1), 9);
  EXPECT_EQ(end.text_or("message", ""), "sh was killed by signal 9");
}

TEST_F(DaemonTest, NamesAProgramThatIsNotThere) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  client.start_exec(kToken, {"no-such-program-of-ours"});
  Json end = client.event(kToken, "exited").head;
  EXPECT_EQ(end.integer_or("code", -1), 4);
  EXPECT_EQ(end.text_or("cause", ""), "not_found");
  EXPECT_EQ(end.text_or("message", ""), "no-such-program-of-ours: no such program in PATH");
}

TEST_F(DaemonTest, StagesInputsAndPublishesOutputsOnce) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  temp.file("source/in.txt", "hello");
  Json more, stage;
  stage["from"] = temp.path().string() + "/source/in.txt";
  stage["to"] = "data/in.txt";
  more["stage"] = Json::Array{stage};
  more["environment"]["GREETING"] = "dear";
  more["outputs"]["card"] = "made/card.md";
  client.start_exec(kToken, sh("mkdir made; echo $GREETING $(cat data/in.txt) > made/card.md"), more);
  EXPECT_EQ(client.event(kToken, "exited").head.integer_or("code", -1), 0);

  Json publish = DaemonClient::head_of("publish", kToken);
  publish["to"] = "outputs/step/abc/1";
  publish["pieces"] = Json::Array{"card"};
  Message first = client.order(publish), second = client.order(publish);
  ASSERT_TRUE(first.head.boolean_or("ok", false)) << first.head.dump();
  EXPECT_EQ(first.head.get("pieces"), second.head.get("pieces"));
  EXPECT_EQ(read_file(root / "outputs/step/abc/1/card/card.md").value_or(""), "dear hello\n");
  EXPECT_TRUE(fs::exists(root / "outputs/step/abc/1/card.manifest.json"));

  EXPECT_TRUE(client.about(kToken, "discard").head.boolean_or("ok", false));
  EXPECT_FALSE(fs::exists(root / "tmp" / kToken));
  EXPECT_EQ(client.order(publish).head.get("pieces"), first.head.get("pieces"));
}

TEST_F(DaemonTest, FailsAProgramThatDidNotMakeItsOutput) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  Json more;
  more["outputs"]["card"] = "card.md";
  client.start_exec(kToken, sh("true"), more);
  Json end = client.event(kToken, "exited").head;
  EXPECT_EQ(end.integer_or("code", -1), 1);
  EXPECT_EQ(end.text_or("message", ""), "output 'card': card.md was not made by sh");
}

TEST_F(DaemonTest, CancelAsksFirstAndKillsAfterTheTimeOfGrace) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root, 1, {.grace = Milliseconds(500)});
  std::string other = kToken + "1";
  client.start_exec(kToken, sh("trap 'echo asked >> " + marks.string() + "; exit 0' TERM; touch " +
                               marks.string() + "; while true; do sleep 0.05; done"));
  client.start_exec(other,
                    sh("trap '' TERM; touch " + marks.string() + "2; while true; do sleep 0.05; done"));
  ASSERT_TRUE(becomes_true([&] { return fs::exists(marks) && fs::exists(marks.string() + "2"); }));
  client.about(kToken, "cancel");
  client.about(other, "cancel");
  EXPECT_EQ(client.event(kToken, "exited").head.integer_or("code", -1), 0);
  EXPECT_EQ(marks_made(), 1u);
  EXPECT_NE(client.event(other, "exited").head.text_or("state", "none"), "none");
  EXPECT_TRUE(carriers(other).empty());
}

TEST_F(DaemonTest, EndsWhatAProgramLeavesBehindInASessionOfItsOwn) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  client.start_exec(
      kToken,
      {"python3", "-c", "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True)"});
  EXPECT_EQ(client.event(kToken, "exited").head.integer_or("code", -1), 0);
  EXPECT_TRUE(carriers(kToken).empty());
  EXPECT_TRUE(client.about(kToken, "ask").head.boolean_or("gone", false));
}

TEST_F(DaemonTest, EndsWhatAKilledShimLeavesBehind) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  client.start_exec(kToken,
                    {"python3", "-c",
                     "import subprocess, time; subprocess.Popen(['sleep', '600'], start_new_session=True); "
                     "open('" +
                         marks.string() + "', 'w').close(); time.sleep(600)"});
  int64_t shim = client.event(kToken, "started").head.integer_or("pid", 0);
  ASSERT_TRUE(becomes_true([&] { return fs::exists(marks); }));
  ASSERT_GE(carriers(kToken).size(), 3u);
  ::kill(static_cast<pid_t>(shim), SIGKILL);
  EXPECT_EQ(client.event(kToken, "exited").head.integer_or("signal", -1), 9);
  EXPECT_TRUE(carriers(kToken).empty());
}

TEST_F(DaemonTest, AfterItsDeathTheNextDaemonEndsAllAndCallsItLost) {
  {
    DaemonUnderTest daemon(root);
    DaemonClient client(root);
    client.start_exec(kToken,
                      {"python3", "-c",
                       "import subprocess, time; subprocess.Popen(['sleep', '600'], start_new_session=True); "
                       "open('" +
                           marks.string() + "', 'w').close(); time.sleep(600)"});
    ASSERT_TRUE(becomes_true([&] { return fs::exists(marks); }));
    daemon.kill();
    // The shim and its program die with the daemon; the session of its own is left.
    EXPECT_TRUE(becomes_true([&] { return carriers(kToken).size() == 1; }));
    DaemonUnderTest next(root);
    EXPECT_TRUE(carriers(kToken).empty());
    DaemonClient again(root, 2);
    Json answer = again.about(kToken, "ask").head;
    EXPECT_EQ(answer.text_or("state", ""), "lost");
    EXPECT_TRUE(answer.boolean_or("gone", false));
    EXPECT_FALSE(fs::exists(root / "tmp" / kToken));
    EXPECT_TRUE(fs::exists(root / "logs" / (kToken + ".log")));
  }
}

TEST_F(DaemonTest, ARecordedEndAndItsOutputsOutliveTheDaemon) {
  std::optional<DaemonUnderTest> daemon(std::in_place, root);
  {
    DaemonClient client(root);
    Json more;
    more["outputs"]["x"] = "x";
    client.start_exec(kToken, sh("echo 1 > x"), more);
    EXPECT_EQ(client.event(kToken, "exited").head.integer_or("code", -1), 0);
  }
  daemon->kill();
  daemon.emplace(root);
  DaemonClient client(root, 2);
  EXPECT_EQ(client.event(kToken, "exited").head.integer_or("code", -1), 0);
  Json publish = DaemonClient::head_of("publish", kToken);
  publish["to"] = "outputs/step/abc/1";
  publish["pieces"] = Json::Array{"x"};
  EXPECT_TRUE(client.order(publish).head.boolean_or("ok", false));
}

TEST_F(DaemonTest, EndsWithItsLeaseAndLeavesNothing) {
  DaemonSettings settings{Milliseconds(700), Milliseconds(500), false};
  DaemonUnderTest daemon(root, settings);
  fs::path socket = daemon.socket();
  {
    DaemonClient client(root, 1, settings);
    client.start_exec(kToken,
                      sh("trap '' TERM; touch " + marks.string() + "; while true; do sleep 0.05; done"));
    ASSERT_TRUE(becomes_true([&] { return fs::exists(marks); }));
    ASSERT_TRUE(create_folders(root / "checkpoints/step/key/1"));
  }
  std::optional<ExitState> end = daemon.wait(Milliseconds(4000));
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->good()) << end->text();
  EXPECT_TRUE(carriers(kToken).empty());
  EXPECT_TRUE(holds_nothing(root / "tmp"));
  EXPECT_TRUE(fs::exists(root / "checkpoints/step/key/1"));
  EXPECT_FALSE(fs::exists(socket.parent_path()));
}

// A daemon that stood still for longer than its lease finds jobs that have ended themselves in a hurry.
TEST_F(DaemonTest, EndsWhatAJobLeftThatEndedItselfWithoutBeats) {
  DaemonSettings settings{Milliseconds(700), Milliseconds(300), false};
  DaemonUnderTest daemon(root, settings);
  {
    DaemonClient client(root, 1, settings);
    // Neither the token nor the session lead to it, only the lock that it holds.
    client.start_exec(kToken, sh("env -i setsid sh -c 'echo $$ > " + marks.string() +
                                 "; exec sleep 60' & trap '' TERM; while true; do sleep 0.05; done"));
    ASSERT_TRUE(becomes_true([&] { return !read_file(marks).value_or("").empty(); }));
  }
  Result<ProcessIdentity> left = identity_of(static_cast<int>(*parse_integer(trimmed(*read_file(marks)))));
  ASSERT_TRUE(left);
  ::kill(daemon.pid(), SIGSTOP);
  const bool ended = becomes_true([&] { return carriers(kToken).empty(); });
  ::kill(daemon.pid(), SIGCONT);
  ASSERT_TRUE(ended);
  ASSERT_TRUE(daemon.wait(Milliseconds(8000)));
  EXPECT_FALSE(left->alive());
  if (left->alive()) ::kill(left->pid, SIGKILL);
}

TEST_F(DaemonTest, BeatsKeepItAlivePastTheFirstLease) {
  DaemonSettings settings{Milliseconds(600), Milliseconds(200), false};
  DaemonUnderTest daemon(root, settings);
  DaemonClient client(root, 1, settings);
  for (int i = 0; i < 6; ++i) {
    Json beat = DaemonClient::head_of("beat");
    beat["lease_ms"] = 600;
    client.send(beat);
    EXPECT_FALSE(daemon.wait(Milliseconds(200)));
  }
  EXPECT_TRUE(daemon.wait(Milliseconds(3000)));
}

TEST_F(DaemonTest, ABeatThatAsksForAnAnswerGetsOne) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  Json beat = DaemonClient::head_of("beat");
  beat["answer"] = true;
  EXPECT_TRUE(client.order(beat).head.boolean_or("ok", false));
}

TEST_F(DaemonTest, GoodbyeWaitsForNoTimeOfGrace) {
  const DaemonSettings settings{Milliseconds(600'000), Milliseconds(600'000), false};
  DaemonUnderTest daemon(root, settings);
  fs::path socket = daemon.socket();
  DaemonClient client(root, 1, settings);
  client.start_exec(kToken, sh("true"));
  client.event(kToken, "exited");
  EXPECT_TRUE(client.about("", "goodbye").head.boolean_or("ok", false));
  EXPECT_TRUE(daemon.wait(Milliseconds(60'000)));
  EXPECT_FALSE(fs::exists(socket.parent_path()));
  EXPECT_TRUE(holds_nothing(root / "tmp"));
}

TEST_F(DaemonTest, GoodbyeCancelsWhatRuns) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  client.start_exec(kToken, {"sleep", "600"});
  ASSERT_TRUE(becomes_true([&] { return carriers(kToken).size() >= 2; }));
  EXPECT_TRUE(client.about("", "goodbye").head.boolean_or("ok", false));
  EXPECT_TRUE(carriers(kToken).empty());
  EXPECT_TRUE(daemon.wait(Milliseconds(2000)));
}

TEST_F(DaemonTest, SigtermEndsItLikeItsLease) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  client.start_exec(kToken, {"sleep", "600"});
  ASSERT_TRUE(becomes_true([&] { return carriers(kToken).size() >= 2; }));
  daemon.terminate();
  std::optional<ExitState> end = daemon.wait(Milliseconds(5000));
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->good());
  EXPECT_TRUE(carriers(kToken).empty());
}

TEST_F(DaemonTest, GivesLogsByOffset) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  client.start_exec(kToken, sh("printf 0123456789"));
  client.event(kToken, "exited");
  Json log = DaemonClient::head_of("log", kToken);
  log["offset"] = 4;
  log["limit"] = 3;
  Message piece = client.order(log);
  EXPECT_EQ(piece.head.integer_or("size", 0), 10);
  EXPECT_EQ(piece.body, "456");
  log["offset"] = 100;
  EXPECT_EQ(client.order(log).body, "");
  Json missing = DaemonClient::head_of("log", "s1.other");
  EXPECT_EQ(client.order(missing).head.text_or("cause", ""), "not_found");
}

TEST_F(DaemonTest, RefusesALowerEpochAlsoAfterARestart) {
  std::optional<DaemonUnderTest> daemon(std::in_place, root);
  DaemonClient old(root, 3);
  DaemonClient client(root, 5);
  EXPECT_TRUE(old.closed());
  DaemonClient late(root, 4);
  EXPECT_EQ(late.greeting().text_or("cause", ""), "locked");
  EXPECT_EQ(late.greeting().text_or("message", ""),
            "epoch 4 is over: a controller with epoch 5 has taken this host over");
  EXPECT_EQ(client.about(kToken, "ask").head.boolean_or("ok", false), true);
  daemon->kill();
  daemon.emplace(root);
  EXPECT_EQ(DaemonClient(root, 4).greeting().text_or("cause", ""), "locked");
  EXPECT_EQ(DaemonClient(root, 5).greeting().boolean_or("ok", false), true);
}

TEST_F(DaemonTest, ASecondDaemonLosesAndSaysWhoHasTheLock) {
  DaemonUnderTest daemon(root);
  Result<std::string> second = run_and_read(daemon_command(root), Deadline::after(Milliseconds(5000)));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().cause, Cause::locked);
  EXPECT_NE(
      second.error().message.find("another daemon has it (process " + std::to_string(daemon.pid()) + ")"),
      std::string::npos)
      << second.error().message;
}

TEST_F(DaemonTest, InTheBackgroundTheLauncherReturnsWhenItIsUp) {
  ChildOptions command = daemon_command(root);
  command.argv.push_back("--background");
  Result<std::string> launched = run_and_read(command, Deadline::after(Milliseconds(5000)));
  ASSERT_TRUE(launched) << launched.error().message;
  Result<std::string> second = run_and_read(command, Deadline::after(Milliseconds(5000)));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().cause, Cause::locked);
  DaemonClient client(root);
  int pid = static_cast<int>(client.greeting().integer_or("pid", 0));
  EXPECT_EQ(::getsid(pid), ::getpgid(pid));
  EXPECT_NE(::getsid(pid), ::getsid(0));
  EXPECT_EQ(fs::read_symlink("/proc/" + std::to_string(pid) + "/cwd"), "/");
  EXPECT_TRUE(client.about("", "goodbye").head.boolean_or("ok", false));
  EXPECT_TRUE(becomes_true([&] { return ::kill(pid, 0) != 0; }));
}

TEST_F(DaemonTest, AServerThatDiesIsStartedAgainAsOftenAsItMay) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  Json more;
  more["kind"] = "serve";
  more["restarts"] = 1;
  client.start_exec(kToken, sh("echo up >> " + marks.string() + "; sleep 600"), more);
  ASSERT_TRUE(becomes_true([&] { return marks_made() == 1; }));
  for (int pid : carriers(kToken)) ::kill(pid, SIGKILL);
  EXPECT_EQ(client.event(kToken, "restarted").head.integer_or("count", 0), 1);
  ASSERT_TRUE(becomes_true([&] { return marks_made() == 2; }));
  for (int pid : carriers(kToken)) ::kill(pid, SIGKILL);
  EXPECT_EQ(client.event(kToken, "exited").head.integer_or("signal", 0), 9);
}

TEST_F(DaemonTest, CutsOffAJobThatDoesNotReadItsChannel) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  client.start_exec(kToken, {"sleep", "600"});
  ASSERT_TRUE(becomes_true([&] { return carriers(kToken).size() >= 2; }));
  ::kill(static_cast<pid_t>(client.event(kToken, "started").head.integer_or("pid", 0)), SIGSTOP);
  Json forward = DaemonClient::head_of("forward", kToken);
  forward["message"]["type"] = "peers";
  bool cut = false;
  for (int i = 0; i < 16 && !cut; ++i) {
    cut = !client.order(forward, std::string(1 << 20, 'x')).head.boolean_or("ok", false);
  }
  EXPECT_TRUE(cut);
  Json end = client.event(kToken, "exited").head;
  EXPECT_EQ(end.integer_or("signal", 0), 9);
  EXPECT_EQ(end.text_or("message", ""), "it does not read its channel");
  EXPECT_TRUE(carriers(kToken).empty());
}

TEST_F(DaemonTest, RefusesPathsThatLeaveItsFolder) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  auto cause = [&](Json head) { return client.order(std::move(head)).head.text_or("cause", ""); };
  EXPECT_EQ(cause(DaemonClient::head_of("ask", "../../x")), "bad_data");
  EXPECT_EQ(cause(DaemonClient::head_of("log", "a/b")), "bad_data");
  for (const char* path : {"outputs/../journal", "journal", "/etc", "bundles/x", "outputs/"}) {
    Json remove = DaemonClient::head_of("remove");
    remove["path"] = path;
    EXPECT_EQ(cause(remove), "bad_data") << path;
  }
  Json publish = DaemonClient::head_of("publish", kToken);
  publish["to"] = "outputs/../../x";
  publish["pieces"] = Json::Array{"a"};
  EXPECT_EQ(cause(publish), "bad_data");
  Json forged = DaemonClient::head_of("start", kToken);
  forged["program"] = "worker";
  forged["spec"]["kind"] = "train";
  forged["spec"]["checkpoints"] = "/etc/x";
  EXPECT_EQ(cause(forged), "bad_data");
  EXPECT_EQ(cause(DaemonClient::head_of("dance")), "bad_data");
}

TEST_F(DaemonTest, RefusesOrdersBeforeHelloAndTheWrongStore) {
  DaemonUnderTest daemon(root);
  Result<MessageLink> link = MessageLink::connect_unix(daemon.socket());
  ASSERT_TRUE(link);
  auto ask = [&](Json head) {
    head["id"] = 1;
    head["epoch"] = 9;
    EXPECT_TRUE(link->send({std::move(head), ""}, Deadline::after(Milliseconds(1000))));
    Result<std::optional<Message>> reply = link->receive(Deadline::after(Milliseconds(5000)));
    return reply && *reply ? (*reply)->head : Json();
  };
  EXPECT_EQ(ask(DaemonClient::head_of("ask", kToken)).text_or("message", ""), "ask: say hello first");
  Json hello = DaemonClient::head_of("hello");
  hello["store"] = "another";
  hello["host"] = "h1";
  EXPECT_EQ(ask(hello).text_or("cause", ""), "bad_state");
}

TEST_F(DaemonTest, BytesThatAreNoFramesCostOnlyTheirConnection) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  Result<MessageLink> link = MessageLink::connect_unix(daemon.socket());
  ASSERT_TRUE(link);
  ASSERT_EQ(::write(link->descriptor(), "GET / HTTP/1.1\r\n\r\n", 18), 18);
  EXPECT_FALSE(link->receive(Deadline::after(Milliseconds(5000))));
  EXPECT_TRUE(client.about(kToken, "ask").head.boolean_or("ok", false));
}

TEST_F(DaemonTest, ALeaseShorterThanABeatDoesNotEndJobsThatHaveAController) {
  DaemonSettings settings{Milliseconds(800), Milliseconds(200), false};
  DaemonUnderTest daemon(root, settings);
  DaemonClient client(root, 1, settings);
  client.start_exec(kToken, sh("sleep 1.6"));
  for (int i = 0; i < 8; ++i) {
    client.send(DaemonClient::head_of("beat"));
    if (client.event(kToken, "exited", Milliseconds(250)).type() != "none") break;
  }
  Json answer = client.about(kToken, "ask").head;
  EXPECT_EQ(answer.text_or("state", ""), "exited");
  EXPECT_EQ(answer.integer_or("code", -1), 0);
}

TEST_F(DaemonTest, TrainersAndWorkersDoNotInheritSettingsOfTheShell) {
  ::setenv("OMP_NUM_THREADS", "77", 1);
  ::setenv("LD_BIND_NOW", "1", 1);
  DaemonUnderTest daemon(root);
  ::unsetenv("OMP_NUM_THREADS");
  ::unsetenv("LD_BIND_NOW");
  DaemonClient client(root);
  Json head = DaemonClient::head_of("start", kToken);
  head["program"] = "worker";
  head["spec"]["threads"] = 3;
  head["spec"]["kind"] = "generate";
  head["spec"]["options"]["preset"] = "products-small";
  ASSERT_TRUE(client.order(head).head.boolean_or("ok", false));
  auto pid = std::to_string(client.event(kToken, "started").head.integer_or("pid", 0));
  std::string environment;
  ASSERT_TRUE(becomes_true([&] {
    environment = read_file("/proc/" + pid + "/environ").value_or("");
    return environment.find("OMP_NUM_THREADS=3") != std::string::npos;
  }));
  EXPECT_EQ(environment.find("LD_BIND_NOW"), std::string::npos);
  EXPECT_NE(environment.find(std::string("GNNFLOW_TOKEN=") + kToken), std::string::npos);
  client.about(kToken, "discard");
}

TEST_F(DaemonTest, DiscardEndsWhatRunsAndTheJournalMayForgetItAtOnce) {
  std::optional<DaemonUnderTest> daemon(std::in_place, root);
  {
    DaemonClient client(root);
    client.start_exec(kToken, {"sleep", "600"});
    Message refused = client.about(kToken, "acknowledge");
    EXPECT_EQ(refused.head.text_or("message", ""), std::string("acknowledge: ") + kToken + " has not ended");
    Json discard = DaemonClient::head_of("discard", kToken),
         acknowledge = DaemonClient::head_of("acknowledge", kToken);
    discard["id"] = 1000;
    client.send(discard);
    EXPECT_TRUE(client.order(acknowledge).head.boolean_or("ok", false));
    EXPECT_EQ(client.event(kToken, "exited").head.integer_or("signal", -1), 9);
    EXPECT_TRUE(carriers(kToken).empty());
    EXPECT_TRUE(becomes_true([&] { return !fs::exists(root / "tmp" / kToken); }));
    EXPECT_TRUE(client.about(kToken, "ask").head.boolean_or("gone", false));
  }
  daemon->kill();
  daemon.emplace(root);
  DaemonClient client(root);
  EXPECT_TRUE(client.greeting().get("jobs").array().empty());
}

TEST_F(DaemonTest, TellsReportsAgainToAControllerThatComesBack) {
  DaemonUnderTest daemon(root);
  {
    DaemonClient client(root);
    Json spec, head = DaemonClient::head_of("start", kToken);
    spec["kind"] = "generate";
    spec["threads"] = 1;
    spec["options"]["preset"] = "tiny";
    head["program"] = "worker";
    head["spec"] = spec;
    EXPECT_TRUE(client.order(head).head.boolean_or("ok", false));
    Json end = client.event(kToken, "exited", Milliseconds(60'000)).head;
    EXPECT_EQ(end.integer_or("code", -1), 0) << end.dump();
  }
  EXPECT_TRUE(fs::exists(root / "tmp" / kToken / "out/graph/graph.json"));
  DaemonClient again(root);
  EXPECT_EQ(again.event(kToken, "report").head.get("message").text_or("type", ""), "progress");
  EXPECT_EQ(again.event(kToken, "exited").head.integer_or("code", -1), 0);
}

}  // namespace
}  // namespace gnnflow
