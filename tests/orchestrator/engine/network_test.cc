// Which addresses hosts are given for data, and that every pair of machines is tried before it is relied on.
#include "orchestrator/engine/network.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/orchestrator/engine/engine_bench.h"

namespace gnnflow {
namespace {

using Lines = std::vector<std::string>;

// Ranks that end at once, on hosts whose daemons answer as the tables say.
class NetworkTest : public ::testing::Test {
 protected:
  void add_host(const std::string& name, const std::string& address) {
    address == "local" ? bench.add_host(name) : bench.add_far_host(name, address);
    bench.host(name).on_start([this, name](const Json& order) {
      std::lock_guard lock(mutex);
      given[name] = order.get("spec").text_or("address", "none");
      return makes("model", "weights");
    });
    bench.host(name).on_order([this, name](const Message& order) { return answer(name, order); });
  }
  void train_on(std::vector<std::string> hosts, const std::string& name = "model") {
    Json::Array list(hosts.begin(), hosts.end());
    bench.add(name, "train", {{"hosts", Json(list)}, {"epochs", 1}, {"value", name}});
  }
  // Routes: (host, target) -> source. What is in `deaf` cannot be reached.
  std::optional<Message> answer(const std::string& host, const Message& order) {
    std::lock_guard lock(mutex);
    Message reply;
    if (order.type() == "route") {
      reply.head["from"] = Json(Json::Array{});
      for (const Json& to : order.head.get("to").array()) {
        said.push_back(host + " route " + to.string());
        reply.head["from"].push_back(routes[{host, to.string()}]);
      }
    } else if (order.type() == "listen") {
      said.push_back(host + " listens on " + order.head.text_or("address", ""));
      if (deaf.count(host) != 0) {
        reply.head["ok"] = false;
        reply.head["cause"] = "unreachable";
        reply.head["message"] = "no such address here";
        return reply;
      }
      reply.head["port"] = 4000;
      reply.head["nonce"] = "nonce of " + host;
    } else if (order.type() == "dial") {
      const std::string to = order.head.text_or("address", "");
      said.push_back(host + " dials " + to + ":" + std::to_string(order.head.integer_or("port", 0)) + " " +
                     order.head.text_or("nonce", ""));
      if (deaf.count(host + " " + to) != 0) {
        reply.head["ok"] = false;
        reply.head["cause"] = "unreachable";
        reply.head["message"] = "no answer in 10 s";
      }
    } else {
      return std::nullopt;
    }
    return reply;
  }
  Lines heard(const std::string& word) {
    Lines found;
    std::copy_if(said.begin(), said.end(), std::back_inserter(found),
                 [&](const std::string& line) { return line.find(word) != std::string::npos; });
    std::sort(found.begin(), found.end());
    return found;
  }
  EngineBench bench;
  std::map<std::pair<std::string, std::string>, std::string> routes;
  std::set<std::string> deaf;
  std::map<std::string, std::string> given;  // addresses in specs
  Lines said;
  std::mutex mutex;  // of all these: each host has a thread
};

TEST_F(NetworkTest, OnOneMachineIsLoopbackAndNobodyIsAsked) {
  add_host("node1", "local");
  add_host("node2", "local");
  train_on({"node1", "node2"});
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(given["node2"], "127.0.0.1");
  EXPECT_TRUE(said.empty());
}

TEST_F(NetworkTest, UsesTheAddressesFromWhichPacketsGoOutAndTriesEachPairOnceBothWays) {
  add_host("node1", "192.0.2.1");
  add_host("node2", "192.0.2.2");
  routes = {{{"node1", "192.0.2.2"}, "10.8.0.1"}, {{"node2", "192.0.2.1"}, "10.8.0.2"}};
  train_on({"node1", "node2"});
  train_on({"node1", "node2"}, "again");
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(given["node1"], "10.8.0.1");
  EXPECT_EQ(given["node2"], "10.8.0.2");
  EXPECT_EQ(heard("listens"), (Lines{"node1 listens on 10.8.0.1", "node2 listens on 10.8.0.2"}));
  EXPECT_EQ(heard("dials"),
            (Lines{"node1 dials 10.8.0.2:4000 nonce of node2", "node2 dials 10.8.0.1:4000 nonce of node1"}));
}

TEST_F(NetworkTest, TakesADataAddressAsItStands) {
  add_host("node1", "192.0.2.1");
  add_host("node2", "192.0.2.2");
  bench.workflow.hosts[0].data_address = "10.9.0.1";
  routes = {{{"node2", "10.9.0.1"}, "10.9.0.2"}};
  train_on({"node1", "node2"});
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(given["node1"], "10.9.0.1");
  EXPECT_EQ(given["node2"], "10.9.0.2");
}

TEST_F(NetworkTest, AnEntryOfThisMachineHasTheAddressFromWhichItReachesTheOthers) {
  add_host("node1", "local");
  add_host("node2", "192.0.2.2");
  routes = {{{"node1", "192.0.2.2"}, "192.0.2.100"}, {{"node2", "192.0.2.100"}, "192.0.2.2"}};
  train_on({"node1", "node2"});
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(given["node1"], "192.0.2.100");
  EXPECT_EQ(given["node2"], "192.0.2.2");
  EXPECT_EQ(heard("route"), (Lines{"node1 route 192.0.2.2", "node2 route 192.0.2.100"}));
}

TEST_F(NetworkTest, APairThatCannotHearEachOtherIsToldBeforeAnythingStarts) {
  add_host("node1", "192.0.2.1");
  add_host("node2", "192.0.2.2");
  routes = {{{"node1", "192.0.2.2"}, "192.0.2.1"}, {{"node2", "192.0.2.1"}, "192.0.2.2"}};
  deaf = {"node1 192.0.2.2"};
  train_on({"node1", "node2"});
  EXPECT_EQ(bench.run(), 6);
  EXPECT_EQ(
      bench.observer.lines_with("failure"),
      (Lines{"failure model: host node1 cannot reach host node2 at 192.0.2.2 (port 4000): host node1: no "
             "answer in 10 s; open the ports of node2 to node1, or give node2 the `data_address` under "
             "which node1 can reach it"}));
  EXPECT_TRUE(given.empty());
}

TEST_F(NetworkTest, ADataAddressThatIsNotTheHostsIsTold) {
  add_host("node1", "192.0.2.1");
  add_host("node2", "192.0.2.2");
  for (HostEntry& entry : bench.workflow.hosts) entry.data_address = "10.9.0." + entry.name.substr(4);
  deaf = {"node2"};
  train_on({"node1", "node2"});
  EXPECT_EQ(bench.run(), 6);
  EXPECT_EQ(
      bench.observer.lines_with("failure"),
      (Lines{"failure model: host node2 cannot listen on 10.9.0.2: host node2: no such address here; its "
             "`data_address` must be an address of that machine"}));
}

TEST_F(NetworkTest, APairThatHeardEachOtherLaterIsTriedAgain) {
  add_host("node1", "192.0.2.1");
  add_host("node2", "192.0.2.2");
  routes = {{{"node1", "192.0.2.2"}, "192.0.2.1"}, {{"node2", "192.0.2.1"}, "192.0.2.2"}};
  deaf = {"node1 192.0.2.2"};
  train_on({"node1", "node2"});
  bench.step("model").lost_retries = 1;
  bench.observer.on_news = [&](const StepNews& news) {
    std::lock_guard lock(mutex);
    if (news.what == "retrying") deaf.clear();
  };
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(heard("node1 dials").size(), 2u);
  EXPECT_EQ(heard("node2 dials").size(), 1u);  // it had been heard
}

TEST_F(NetworkTest, RoutesThatDifferAskForADataAddress) {
  for (const char* digit : {"1", "2", "3"})
    add_host(std::string("node") + digit, std::string("192.0.2.") + digit);
  for (const char* to : {"192.0.2.1", "192.0.2.2", "192.0.2.3"}) {
    for (const char* from : {"node1", "node2", "node3"}) routes[{from, to}] = "192.0.2.9";
  }
  routes[{"node1", "192.0.2.3"}] = "172.16.0.1";
  train_on({"node1", "node2", "node3"});
  EXPECT_EQ(bench.run(), 3);
  EXPECT_EQ(
      bench.observer.lines_with("failure"),
      (Lines{"failure model: host node1 reaches node2 (192.0.2.2) from its address 192.0.2.9, but node3 "
             "(192.0.2.3) from 172.16.0.1: give node1 the `data_address` that all of them can reach"}));
}

TEST_F(NetworkTest, AHostWithoutARouteToAnotherIsTold) {
  add_host("node1", "192.0.2.1");
  add_host("node2", "192.0.2.2");
  routes = {{{"node2", "192.0.2.1"}, "192.0.2.2"}};
  train_on({"node1", "node2"});
  EXPECT_EQ(bench.run(), 6);
  EXPECT_EQ(
      bench.observer.lines_with("failure"),
      (Lines{"failure model: host node1 has no route to node2 (192.0.2.2): give node2 the `data_address` "
             "under which it is reached from there"}));
}

}  // namespace
}  // namespace gnnflow
