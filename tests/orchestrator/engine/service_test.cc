// Services and ranks: up for who needs them, keys allowed before addresses are told, and whose end is whose
// first cause.
#include <algorithm>
#include <mutex>

#include <gtest/gtest.h>

#include "common/base/digest.h"
#include "orchestrator/engine/decide.h"
#include "tests/orchestrator/engine/engine_bench.h"

namespace gnnflow {
namespace {

using Lines = std::vector<std::string>;

FakeJob server(const Json& spec) {
  FakeJob job = goes_on();
  const std::string number(spec.text_or("token", "").back() == '0' ? "0" : "1");
  job.reports.push_back(message_of("ready", {{"part", number == "0" ? 0 : 1},
                                             {"address", "127.0.0.1"},
                                             {"port", 7000},
                                             {"public_key", "server key " + number}}));
  return job;
}

FakeJob rank(const Json& spec) {
  FakeJob job = goes_on();
  const bool first = spec.text_or("token", "").back() == '0';
  job.reports.push_back(message_of("ready", {{"public_key", first ? "rank key 0" : "rank key 1"}}));
  return job;
}

// A graph on the controller; servers and ranks on two hosts.
class Service : public ::testing::Test {
 protected:
  void SetUp() override {
    bench.host().on_start([](const Json&) { return makes("thing", "graph"); });
    const Json hosts(Json::Array{"node1", "node2"});
    bench.add("graph", "make");
    bench.add("servers", "launch", {{"input", "${steps.graph}"}, {"hosts", hosts}});
    bench.add("model", "train", {{"servers", "${steps.servers}"}, {"hosts", hosts}, {"epochs", 10}});
    for (const char* name : {"node1", "node2"}) {
      bench.add_host(name);
      bench.host(name).on_start([this](const Json& order) {
        const Json& spec = order.get("spec");
        if (spec.text_or("kind", "") == "launch") return server(spec);
        if (spec.text_or("kind", "") == "make") return rank(order);  // of an earlier controller
        std::lock_guard lock(mutex);
        specs.push_back(spec);
        return rank(spec);
      });
    }
    bench.on_tick = [this] { turn(); };
  }
  // Ranks that were told their peers end well, rank 0 with a model.
  virtual void turn() {
    for (const char* name : {"node1", "node2"}) {
      for (const std::string& token : bench.host(name).running()) {
        if (token.find(".model.") == std::string::npos || forwarded(name, token, "peers").empty()) continue;
        finish_well(name, token);
      }
    }
  }
  void finish_well(const std::string& name, const std::string& token) {
    if (token.back() == '0') {
      const fs::path made = bench.host(name).root() / "tmp" / token / "out/model";
      ASSERT_TRUE(create_folders(made / "last"));
      ASSERT_TRUE(write_file_atomically(made / "last/weights", "weights"));
      ASSERT_TRUE(write_file_atomically(
          made / "last/checkpoint.json",
          R"({"files":{"weights":{"bytes":7,"digest":")" + digest_of("weights") + R"("}}})"));
      bench.host(name).report(
          token, message_of("result", {{"epochs", bench.step("model").options.integer_or("epochs", 0)}}));
    }
    bench.host(name).finish(token, 0);
  }
  std::vector<Json> forwarded(const std::string& name, const std::string& token, const std::string& type) {
    std::vector<Json> heads;
    for (const Message& order : bench.host(name).orders()) {
      if (order.type() != "forward" || order.head.text_or("token", "") != token) continue;
      if (order.head.get("message").text_or("type", "") == type) heads.push_back(order.head.get("message"));
    }
    return heads;
  }
  std::string running(const std::string& name, const std::string& step) {
    for (const std::string& token : bench.host(name).running()) {
      if (token.find("." + step + ".") != std::string::npos) return token;
    }
    return "";
  }
  EngineBench bench;
  std::mutex mutex;         // hosts start their jobs at the same time
  std::vector<Json> specs;  // of ranks; guarded by mutex until the run has ended
};

TEST_F(Service, IsUpForItsUserAndDrainedAfterIt) {
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.observer.lines_with("servers"), (Lines{"servers up", "servers idle"}));
  EXPECT_EQ(bench.last("servers").state, AttemptState::cancelled);
  EXPECT_EQ(bench.last("servers").message, "drained");
  EXPECT_EQ(bench.last("model").state, AttemptState::succeeded);
  EXPECT_TRUE(bench.host("node1").running().empty());

  ASSERT_EQ(bench.run(), 0);  // a service is nothing to do
  EXPECT_EQ(bench.observer.lines_with("end 0").back().substr(0, 20), "end 0: nothing to do");
  EXPECT_EQ(bench.last("servers").number, 1);
}

TEST_F(Service, AllowsAllKeysBeforeAnyRankIsToldWhereServersAre) {
  ASSERT_EQ(bench.run(), 0);
  std::vector<std::string> said;
  for (const Message& order : bench.host("node1").orders()) {
    if (order.type() == "forward") said.push_back(order.head.get("message").text_or("type", ""));
  }
  EXPECT_EQ(said, (Lines{"allow", "peers"}));
  const auto tasks = bench.store().tasks_of(bench.last("servers").id).value();
  const Json keys = forwarded("node1", tasks[0].token, "allow").front().get("keys");
  EXPECT_EQ(keys, Json(Json::Array{"rank key 0", "rank key 1"}));
  const auto ranks = bench.store().tasks_of(bench.last("model").id).value();
  const Json peers = forwarded("node2", ranks[1].token, "peers").front().get("servers");
  ASSERT_EQ(peers.array().size(), 2u);
  EXPECT_EQ(peers.array()[1].dump(), R"({"address":"127.0.0.1","key":"server key 1","part":1,"port":7000})");
}

TEST_F(Service, BringsTheModelHomeAndNamesIt) {
  ASSERT_EQ(bench.run(), 0);
  const std::string end = bench.observer.lines_with("end 0").front();
  const std::string path = end.substr(end.find('/'));
  EXPECT_EQ(path, (bench.folder / "results/model").string());
  EXPECT_EQ(fs::read_symlink(path).string().find("aaaa"), 3u) << "not relative: " << fs::read_symlink(path);
  EXPECT_EQ(read_file(fs::path(path) / "last/weights").value_or(""), "weights");
}

// An earlier controller left a rank that waits for its peers, and a server whose daemon has died since.
TEST_F(Service, ThatCannotBeJoinedIsStartedAnewForARankThatCan) {
  for (const char* name : {"servers", "model"})
    bench.step(name).options["hosts"] = Json(Json::Array{name[0] == 's' ? "node1" : "node2"});
  ASSERT_EQ(bench.run(), 0);
  bench.step("model").options["value"] = 2;
  const PieceRow graph = bench.store().pieces_of(bench.last("graph").id).value().front();
  const MadeSteps made{{"servers", {graph.digest, {}, {}, {}}}};
  const auto print =
      fingerprint(bench.kinds, {&bench.workflow, bench.workflow.step("model"), &made}, {}).value();
  bench.leave("servers", bench.last("servers").key, AttemptState::running, TaskState::started, "node1");
  bench.leave("model", print.key, AttemptState::running, TaskState::started, "node2");
  bench.start_job("node1", "old.1.servers.2.0");
  bench.host("node1").kill_daemon();
  bench.start_job("node2", "old.1.model.2.0");
  // The rank is not reached before the server's end is known: it could begin beside that one else.
  bench.host("node2").refuse_daemons(Error{Cause::unreachable, "no route to it"});
  bench.per_tick = Milliseconds(100);
  bench.on_tick = [this] {
    if (bench.last("servers").state != AttemptState::running)
      bench.host("node2").refuse_daemons(std::nullopt);
    turn();
  };
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("model").number, 2);
  EXPECT_EQ(bench.last("model").state, AttemptState::succeeded);
  EXPECT_EQ(bench.last("servers").number, 3);
}

class KilledServer : public Service {
  void turn() override {
    const std::string token = running("node2", "servers"), user = running("node2", "model");
    if (!token.empty() && !user.empty() && !std::exchange(killed, true)) {
      bench.host("node2").finish(token, 0, 9);
    } else if (killed) {
      Service::turn();
    }
  }
  bool killed = false;
};

TEST_F(KilledServer, IsTheFirstCauseOfItsUsersFailure) {
  EXPECT_EQ(bench.run(), 1);
  EXPECT_EQ(bench.observer.lines_with("failure"),
            (Lines{"failure model: servers: server 1 on node2: killed by signal 9"}));
  EXPECT_EQ(bench.last("servers").state, AttemptState::failed);
  EXPECT_TRUE(bench.host("node1").running().empty());
}

TEST_F(KilledServer, ComesUpAnewForTheNextAttempt) {
  bench.step("model").retries = 1;
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("servers").number, 2);
  EXPECT_EQ(bench.last("model").number, 2);
}

// A service that never comes up costs its user no attempts without end.
TEST_F(Service, ThatFailsTwiceBeforeItIsUpFailsItsUser) {
  bench.step("model").retries = 9;
  bench.step("model").lost_retries = 9;
  bench.host("node2").on_start([](const Json& order) {
    const Json& spec = order.get("spec");
    return spec.text_or("kind", "") == "launch" ? fails(Cause::failed, "no such part") : rank(spec);
  });
  EXPECT_EQ(bench.run(), 1);
  EXPECT_EQ(bench.last("servers").number, 2);
  EXPECT_EQ(bench.observer.lines_with("failure"),
            Lines{"failure model: servers: server 1 on node2: no such part (exit code 1)"});
}

// One that an earlier controller has left, and that has ended badly since, is no service to begin with.
TEST_F(Service, ThatEndsAsItIsTakenUpIsMadeAnewBeforeItsUserBegins) {
  for (const char* name : {"servers", "model"})
    bench.step(name).options["hosts"] = Json(Json::Array{name[0] == 's' ? "node1" : "node2"});
  ASSERT_EQ(bench.run(), 0);
  bench.step("model").options["value"] = 2;
  const AttemptRow left =
      bench.leave("servers", bench.last("servers").key, AttemptState::running, TaskState::started, "node1");
  TaskRow task = bench.store().tasks_of(left.id).value().front();
  task.state = TaskState::killed;
  task.signal = 9;
  ASSERT_TRUE(bench.store().set_task(task));
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("servers").number, 3);
  EXPECT_EQ(bench.last("model").number, 2);
}

// A server ends, or its host does, when all ranks have ended well and the model is being published.
class EndWhilePublishing : public Service {
 protected:
  void SetUp() override {
    Service::SetUp();
    bench.per_tick = Milliseconds(100);
  }
  // Until everybody knows, the answer to "publish" gets lost.
  void when_published(const std::function<void()>& end) {
    bench.host("node1").on_order([this, end](const Message& order) -> std::optional<Message> {
      const bool model = order.head.text_or("to", "").starts_with("outputs/model/");
      if (order.type() != "publish" || !model) return std::nullopt;
      if (asked++ == 0) end();
      if (asked > 100 || !bench.observer.lines_with("servers failed").empty()) return std::nullopt;
      return message_of("", {{"ok", false}, {"cause", "unreachable"}});
    });
  }
  void check() {
    EXPECT_EQ(bench.run(), 0);
    EXPECT_GT(asked, 1);
    EXPECT_EQ(bench.observer.lines_with("servers failed").size(), 1u);
    EXPECT_EQ(bench.observer.lines_with("failure"), Lines());
    EXPECT_EQ(bench.last("model").number, 1);
    EXPECT_EQ(bench.last("model").state, AttemptState::succeeded);
    EXPECT_EQ(bench.last("servers").number, 1);
  }
  int asked = 0;
};

TEST_F(EndWhilePublishing, OfAServerTakesNothingFromItsUser) {
  when_published([this] { bench.host("node2").finish(running("node2", "servers"), 0, 11); });
  check();
}

TEST_F(EndWhilePublishing, OfAServersHostTakesNothingFromItsUser) {
  when_published([this] { bench.host("node2").kill_daemon(); });
  check();
}

class LostHost : public Service {
  void turn() override {
    const bool all = !running("node2", "model").empty() && !running("node1", "model").empty() &&
                     !running("node2", "servers").empty();
    if (all && !std::exchange(killed, true)) {
      bench.host("node2").kill_daemon();
      // The other rank misses its peer, and says so first.
      bench.host("node1").finish(running("node1", "model"), 6, 0, "unreachable", "rank 1 is gone");
    } else if (killed) {
      Service::turn();
    }
  }
  bool killed = false;
};

TEST_F(LostHost, IsTheFirstCauseEvenWhenAnotherRankComplainsFirst) {
  EXPECT_EQ(bench.run(), 6);
  ASSERT_EQ(bench.observer.lines_with("failure").size(), 1u);
  EXPECT_EQ(bench.last("model").state, AttemptState::lost);
  EXPECT_NE(bench.last("model").message.find("node2 was lost"), std::string::npos)
      << bench.last("model").message;
}

TEST_F(LostHost, CostsOneOfTheLostRetries) {
  bench.step("model").lost_retries = 1;
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("model").number, 2);
  EXPECT_EQ(bench.last("servers").number, 2);
}

class CutWhileTelling : public Service {
  void turn() override {
    const std::string rank = running("node1", "model"), other = running("node2", "model");
    if (rank.empty()) return;
    if (forwarded("node1", rank, "peers").size() < 2) return;
    finish_well("node1", rank);
    finish_well("node2", other);
  }
};

TEST_F(CutWhileTelling, ThePeersAreToldAgain) {
  bool cut = false;
  bench.host("node1").on_order([&](const Message& order) -> std::optional<Message> {
    const bool peers = order.head.get("message").text_or("type", "") == "peers";
    if (peers && !std::exchange(cut, true)) bench.host("node1").cut();
    return std::nullopt;
  });
  bench.per_tick = Milliseconds(500);
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("model").number, 1);
}

class KilledRank : public Service {
  void turn() override {
    if (running("node1", "model").empty() || running("node2", "model").empty() || std::exchange(killed, true))
      return;
    bench.host("node1").finish(running("node1", "model"), 6, 0, "unreachable", "rank 1 is gone");
    bench.host("node2").finish(running("node2", "model"), 0, 9);
  }
  bool killed = false;
};

TEST_F(KilledRank, ExplainsTheRankThatMissedIt) {
  EXPECT_EQ(bench.run(), 1);
  EXPECT_EQ(bench.observer.lines_with("failure"),
            (Lines{"failure model: rank 1 on node2: killed by signal 9"}));
}

class Meeting : public Service {
  void turn() override {
    const std::string first = running("node1", "model"), second = running("node2", "model");
    if (!first.empty() && !second.empty() && !std::exchange(asked, true)) {
      bench.host("node1").report(first, message_of("store_get", {{"request", 5}, {"key", "1/address"}}));
      bench.host("node2").report(second, message_of("store_set", {{"key", "1/address"}}, "here"));
      bench.host("node2").report(second, message_of("store_get", {{"request", 6}, {"key", "1/address"}}));
    }
    met = met || (!first.empty() && !second.empty() && !forwarded("node1", first, "store_reply").empty() &&
                  !forwarded("node2", second, "store_reply").empty());
    if (met) Service::turn();  // one of them may end before the other
  }
  bool asked = false, met = false;
};

TEST_F(Meeting, AnswersAKeyWhenItIsSet) {
  ASSERT_EQ(bench.run(), 0);
  for (const Message& order : bench.host("node1").orders()) {
    if (order.head.get("message").text_or("type", "") != "store_reply") continue;
    EXPECT_EQ(order.head.get("message").integer_or("request", 0), 5);
    EXPECT_EQ(order.body, "here");
  }
}

TEST_F(Service, TrainingGoesOnFromTheNewestCheckpointNotAboveTheWantedEpochs) {
  bench.step("model").options["epochs"] = 6;
  std::string resume_key;
  bench.host("node1").on_order([&](const Message& order) {
    if (order.type() == "checkpoints" && resume_key.empty()) {
      resume_key = order.head.text_or("resume_key", "");
      const fs::path folder = bench.host("node1").root() / "checkpoints/model" / resume_key;
      for (const char* epoch : {"3", "5", "8"}) {
        EXPECT_TRUE(create_folders(folder / epoch));
        EXPECT_TRUE(write_file_atomically(folder / epoch / "checkpoint.json", "{}"));
      }
    }
    return std::nullopt;
  });
  ASSERT_EQ(bench.run(), 0);
  const fs::path folder = bench.host("node1").root() / "checkpoints/model" / resume_key;
  const auto first =
      std::find_if(specs.begin(), specs.end(), [](const Json& spec) { return spec.has("resume"); });
  ASSERT_NE(first, specs.end());
  EXPECT_EQ(first->text_or("resume", ""), (folder / "5").string());
  EXPECT_EQ(first->text_or("checkpoints", ""), folder.string());
  EXPECT_FALSE(fs::exists(folder));  // the output holds the last
  EXPECT_EQ(std::count_if(specs.begin(), specs.end(), [](const Json& spec) { return spec.has("resume"); }),
            1);
}

TEST_F(Service, MoreEpochsGoOnFromTheFinishedModel) {
  ASSERT_EQ(bench.run(), 0);
  bench.step("model").options["epochs"] = 20;
  EXPECT_EQ(bench.plan().back(), "model resume: epochs 10 -> 20; goes on from epoch 10");
  specs.clear();
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.observer.lines_with("note model").back(), "note model: goes on from epoch 10");
  const auto first =
      std::find_if(specs.begin(), specs.end(), [](const Json& spec) { return spec.has("resume"); });
  ASSERT_NE(first, specs.end());
  EXPECT_TRUE(fs::exists(fs::path(first->text_or("resume", "")) / "weights"));
}

}  // namespace
}  // namespace gnnflow
