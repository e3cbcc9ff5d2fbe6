// What a controller asks of a host besides its jobs: what lies there, whom it can reach, and to be forgotten.
#include <csignal>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/base/text.h"
#include "tests/support/temp_dir.h"
#include "tests/worker/daemon/daemon_client.h"

namespace gnnflow {
namespace {

const std::string kToken = "s2.r1.step.1." + std::to_string(::getpid());

struct HostOrders : testing::Test {
  TempDir temp;
  fs::path root = temp / "store/h1";

  void SetUp() override {
    ASSERT_TRUE(create_folders(root));
    ASSERT_TRUE(create_folders(temp / "other"));
  }
  static Json order_of(std::string_view type, Json::Object members) {
    Json head(std::move(members));
    head["type"] = type;
    return head;
  }
};

TEST_F(HostOrders, OneDaemonReachesAnotherAndSaysWhenItDoesNot) {
  DaemonUnderTest here(root), there(temp / "other/h1");
  DaemonClient client(root), other(temp / "other/h1");
  const Message route =
      client.order(order_of("route", {{"to", Json::Array{"127.0.0.1", "255.255.255.255"}}}));
  EXPECT_EQ(route.head.get("from"), Json(Json::Array{"127.0.0.1", ""})) << route.head.dump();
  const Message listening = other.order(order_of("listen", {{"address", "127.0.0.1"}, {"seconds", 60}}));
  ASSERT_TRUE(listening.head.boolean_or("ok", false)) << listening.head.dump();
  const int64_t port = listening.head.integer_or("port", 0);
  const auto dial = [&](const std::string& nonce) {
    return client
        .order(order_of("dial",
                        {{"address", "127.0.0.1"}, {"port", port}, {"nonce", nonce}, {"timeout_ms", 10'000}}))
        .head;
  };
  EXPECT_TRUE(dial(listening.head.text_or("nonce", "")).boolean_or("ok", false));
  EXPECT_EQ(dial("another").text_or("cause", ""), "unreachable");
  there.kill();
  const Json refused = dial(listening.head.text_or("nonce", ""));
  EXPECT_EQ(refused.text_or("cause", ""), "unreachable");
  EXPECT_EQ(refused.text_or("message", ""),
            "dial: 127.0.0.1:" + std::to_string(port) + ": Connection refused");
}

TEST_F(HostOrders, BadProbesAreRefused) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  const auto cause = [&](Json head) { return client.order(std::move(head)).head.text_or("cause", ""); };
  EXPECT_EQ(cause(order_of("route", {{"to", "127.0.0.1"}})), "bad_data");
  EXPECT_EQ(cause(order_of("route", {{"to", Json::Array{"node2"}}})), "bad_data");
  EXPECT_EQ(cause(order_of("listen", {{"address", "0.0.0.0"}, {"seconds", 5}})), "bad_data");
  EXPECT_EQ(cause(order_of("listen", {{"address", "127.0.0.1"}})), "bad_data");
  EXPECT_EQ(cause(order_of("listen", {{"address", "127.0.0.1"}, {"seconds", INT64_MAX}})), "bad_data");
  EXPECT_EQ(cause(order_of("dial",
                           {{"address", "127.0.0.1"}, {"port", 1 << 20}, {"nonce", "a"}, {"timeout_ms", 5}})),
            "bad_data");
  EXPECT_EQ(cause(order_of("dial", {{"address", "::1::"}, {"port", 1}, {"nonce", "a"}, {"timeout_ms", 5}})),
            "bad_data");
}

TEST_F(HostOrders, ADialThatWaitsHoldsNothingElseUp) {
  DaemonUnderTest here(root), there(temp / "other/h1");
  DaemonClient client(root), other(temp / "other/h1");
  const Message listening = other.order(order_of("listen", {{"address", "127.0.0.1"}, {"seconds", 60}}));
  ASSERT_TRUE(listening.head.boolean_or("ok", false)) << listening.head.dump();
  ::kill(there.pid(), SIGSTOP);
  Json dial = order_of("dial", {{"address", "127.0.0.1"},
                                {"port", listening.head.integer_or("port", 0)},
                                {"nonce", listening.head.text_or("nonce", "")},
                                {"timeout_ms", 60'000}});
  dial["id"] = 1000;
  client.send(dial);
  EXPECT_TRUE(client.about(kToken, "ask").head.boolean_or("ok", false));
  ::kill(there.pid(), SIGCONT);
  EXPECT_TRUE(client.reply(1000).head.boolean_or("ok", false));
}

TEST_F(HostOrders, WhatLiesThereIsListedAndRemoved) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  client.start_exec(kToken, {"sh", "-c", "echo hello; exec sleep 600"});
  temp.file("store/h1/outputs/step/key/1/x/y", "12345");
  temp.file("store/h1/incoming/ff.part", "123");
  const std::string log = "logs/" + kToken + ".log", folder = "tmp/" + kToken;
  const auto listed = [&] {
    std::map<std::string, int64_t> bytes;
    const Message reply = client.order(DaemonClient::head_of("inventory"));
    const Result<Json> things = Json::parse(reply.body);
    EXPECT_TRUE(things) << reply.head.dump();
    if (things) {
      for (const Json& thing : things->array())
        bytes[thing.text_or("path", "")] = thing.integer_or("bytes", -1);
    }
    return bytes;
  };
  ASSERT_TRUE(becomes_true([&] { return listed()[log] == 6; }));
  EXPECT_EQ(listed().at("outputs/step/key/1"), 5);
  EXPECT_EQ(listed().at("incoming/ff.part"), 3);
  const auto remove = [&](const std::string& path) {
    return client.order(order_of("remove", {{"path", path}})).head;
  };
  for (const std::string& path : {log, folder, folder + "/task.json"}) {
    EXPECT_EQ(remove(path).text_or("message", ""), "remove: " + kToken + " has not ended") << path;
  }
  client.about(kToken, "discard");
  client.event(kToken, "exited");
  for (const std::string& path : {log, std::string("outputs/step/key/1"), std::string("incoming/ff.part")}) {
    EXPECT_TRUE(remove(path).boolean_or("ok", false)) << path;
  }
  EXPECT_TRUE(listed().empty());
}

TEST_F(HostOrders, ForgetEndsTheDaemonAndLeavesOnlyWhatIsNotOurs) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  const fs::path socket = daemon.socket();
  client.start_exec(kToken, {"sleep", "600"});
  temp.file("store/h1/outputs/step/key/1/x/y", "12345");
  temp.file("store/h1/notes.txt", "mine");
  const Json reply = client.about("", "forget").head;
  EXPECT_TRUE(reply.boolean_or("ok", false)) << reply.dump();
  EXPECT_EQ(reply.get("left"), Json(Json::Array{"notes.txt"}));
  const std::optional<ExitState> end = daemon.wait(Milliseconds(10'000));
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->good()) << end->text();
  EXPECT_TRUE(processes_with("GNNFLOW_TOKEN", kToken).empty());
  EXPECT_FALSE(fs::exists(socket.parent_path()));
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(root))
    names.push_back(entry.path().filename());
  EXPECT_EQ(names, std::vector<std::string>{"notes.txt"});
}

TEST_F(HostOrders, ForgetOfAHostThatIsAllOursTakesItsRootAway) {
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  EXPECT_TRUE(client.about("", "forget").head.boolean_or("ok", false));
  EXPECT_TRUE(daemon.wait(Milliseconds(10'000)));
  EXPECT_FALSE(fs::exists(root));
}

// Its own output is the log: what it writes last stays.
TEST_F(HostOrders, TheDaemonsOwnLogIsCapped) {
  std::string old(size_t{17} << 20, 'x');
  old.back() = '\n';
  temp.file("store/h1/daemon.log", old);
  ChildOptions command = daemon_command(root);
  command.argv.push_back("--background");
  const Result<std::string> launched = run_and_read(command, Deadline::after(Milliseconds(20'000)));
  ASSERT_TRUE(launched) << launched.error().message;
  DaemonClient client(root);
  struct stat info {};
  EXPECT_TRUE(becomes_true([&] {
    client.about(kToken, "ask");  // something to do, so that it looks
    return ::stat((root / "daemon.log").c_str(), &info) == 0 && info.st_blocks * 512 < (8 << 20);
  }));
  EXPECT_GT(info.st_size, int64_t{17} << 20);
  const int pid = static_cast<int>(client.greeting().integer_or("pid", 0));
  EXPECT_TRUE(client.about("", "goodbye").head.boolean_or("ok", false));
  EXPECT_TRUE(becomes_true([&] { return ::kill(pid, 0) != 0; }));
  EXPECT_NE(read_file(root / "daemon.log").value_or("").find("daemon of host h1 ends"), std::string::npos);
}

}  // namespace
}  // namespace gnnflow
