// What answers about addresses, routes and dials mean.
#include "orchestrator/engine/ways.h"

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

HostEntry host(std::string name, std::string address = "local", std::string data_address = "") {
  HostEntry entry;
  entry.name = std::move(name);
  entry.address = std::move(address);
  entry.data_address = std::move(data_address);
  return entry;
}

Json routes(Json::Array from) { return Json(Json::Object{{"from", std::move(from)}}); }

std::vector<std::string> words(const RouteFinding& finding) {
  std::vector<std::string> found;
  for (const Error& fault : finding.faults) found.push_back(fault.message);
  return found;
}

const WayTo kHost{"node1", "192.0.2.1"};
const std::vector<WayTo> kOthers = {{"node2", "192.0.2.2"}, {"node3", "192.0.2.3"}};

TEST(Ways, OneHostAndHostsOfOneMachineAreSettledAsLoopback) {
  EXPECT_EQ(settled_addresses({host("far", "192.0.2.1")}), (DataAddresses{{"far", "127.0.0.1"}}));
  EXPECT_EQ(settled_addresses({host("a"), host("b", "local", "10.0.0.1")}),
            (DataAddresses{{"a", "127.0.0.1"}, {"b", "10.0.0.1"}}));
}

TEST(Ways, BesideAnotherMachineOnlyDataAddressesAreSettled) {
  EXPECT_EQ(settled_addresses({host("a"), host("far", "192.0.2.1", "10.0.0.1")}),
            (DataAddresses{{"far", "10.0.0.1"}}));
}

TEST(Ways, TheAddressFromWhichAllOthersAreReachedIsTheHosts) {
  const RouteFinding finding = judge_routes(kHost, kOthers, routes({"10.0.0.1", "10.0.0.1"}));
  EXPECT_EQ(finding.source, "10.0.0.1");
  EXPECT_TRUE(finding.faults.empty());
}

TEST(Ways, EveryHostWithoutARouteIsNamed) {
  const RouteFinding finding = judge_routes(kHost, kOthers, routes({"", ""}));
  EXPECT_EQ(words(finding),
            (std::vector<std::string>{"host node1 has no route to node2 (192.0.2.2): give node2 the "
                                      "`data_address` under which it is reached from there",
                                      "host node1 has no route to node3 (192.0.2.3): give node3 the "
                                      "`data_address` under which it is reached from there"}));
  EXPECT_EQ(finding.faults.at(0).cause, Cause::unreachable);
}

TEST(Ways, AnAnswerThatIsShortOrOfAnotherKindHasNoRoutes) {
  EXPECT_EQ(judge_routes(kHost, kOthers, routes({"10.0.0.1"})).faults.size(), 1u);
  EXPECT_EQ(judge_routes(kHost, kOthers, routes({7, nullptr})).faults.size(), 2u);
  EXPECT_EQ(judge_routes(kHost, kOthers, Json("from")).faults.size(), 2u);
}

TEST(Ways, WithNobodyToAskTheWayToItIsTheAddressSeenFromHere) {
  EXPECT_EQ(judge_routes(kHost, {}, routes({})).source, "192.0.2.1");
  EXPECT_EQ(words(judge_routes({"node1", ""}, {}, routes({}))),
            (std::vector<std::string>{
                "no address is known under which others reach host node1: give it a `data_address`"}));
}

TEST(Ways, OnlyLoopbackOfOneMachineNeedsNoTrial) {
  const Json one(Json::Object{{"boot", "x"}}), other(Json::Object{{"boot", "y"}}), old(Json::Object{});
  EXPECT_TRUE(is_loopback_way(one, one, "127.0.0.1"));
  EXPECT_TRUE(is_loopback_way(one, one, "::1"));
  EXPECT_FALSE(is_loopback_way(one, one, "192.0.2.1"));
  EXPECT_FALSE(is_loopback_way(one, other, "127.0.0.1"));
  EXPECT_FALSE(is_loopback_way(old, old, "127.0.0.1"));  // nobody knows
}

TEST(Ways, WhoDialsIsToldWhatTheListenerSaid) {
  const Message order =
      dial_order("10.0.0.1", Json(Json::Object{{"port", 4000}, {"nonce", "n"}, {"type", "reply"}}));
  EXPECT_EQ(order.head.dump(),
            R"({"address":"10.0.0.1","nonce":"n","port":4000,"timeout_ms":10000,"type":"dial"})");
}

}  // namespace
}  // namespace gnnflow
