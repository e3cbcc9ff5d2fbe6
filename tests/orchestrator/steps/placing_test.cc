// Where parts go, which ranks there are, and whose nodes each trains on.
#include "orchestrator/steps/placing.h"

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

Workflow hosts(std::vector<std::string> names) {
  Workflow workflow;
  for (std::string& name : names) {
    HostEntry entry;
    entry.name = std::move(name);
    workflow.hosts.push_back(std::move(entry));
  }
  return workflow;
}

Json place(const char* text) { return Json::parse(text).value(); }

TEST(Placing, GivesPartsInTurnToTheHostsInFileOrder) {
  const auto holders = place_parts(5, {}, hosts({"b", "a"}));
  ASSERT_TRUE(holders);
  EXPECT_EQ(*holders, (Holders{{0, {"b"}}, {1, {"a"}}, {2, {"b"}}, {3, {"a"}}, {4, {"b"}}}));
}

TEST(Placing, WithoutHostsIsAllOnTheController) {
  EXPECT_EQ(place_parts(2, {}, hosts({})).value(), (Holders{{0, {"controller"}}, {1, {"controller"}}}));
}

TEST(Placing, FollowsTheWorkflow) {
  const auto holders = place_parts(2, place(R"({"a":[1],"b":[0,1]})"), hosts({"a", "b"}));
  EXPECT_EQ(holders.value(), (Holders{{0, {"b"}}, {1, {"a", "b"}}}));
}

TEST(Placing, RefusesPartsThatAreNotThereOrHaveNoHost) {
  auto placed = place_parts(2, place(R"({"a":[0,1,2]})"), hosts({"a"}));
  EXPECT_EQ(placed.error().message, "'place' gives part 2 to a, but the partition has parts 0 to 1");
  placed = place_parts(3, place(R"({"a":[0,2]})"), hosts({"a"}));
  EXPECT_EQ(placed.error().message, "'place' gives part 1 to no host");
  EXPECT_EQ(placed.error().cause, Cause::bad_workflow);
}

TEST(RankLayout, HasOneRankForEachHostWithAPart) {
  const auto ranks = lay_out_ranks({{0, {"b"}}, {1, {"a"}}, {2, {"b"}}}, 1, hosts({"a", "b", "c"}));
  ASSERT_EQ(ranks.size(), 2u);
  EXPECT_EQ(ranks[0].host, "a");
  EXPECT_EQ(ranks[1].parts_here, (std::vector<int>{0, 2}));
  EXPECT_EQ(seeds_json(ranks[1].seeds).dump(),
            R"([{"part":0,"slice":0,"slices":1},{"part":2,"slice":0,"slices":1}])");
}

TEST(RankLayout, CutsAPartsNodesOverTheRanksThatHoldIt) {
  const auto ranks = lay_out_ranks({{0, {"a", "b"}}, {1, {"b"}}}, 2, hosts({"a", "b"}));
  ASSERT_EQ(ranks.size(), 4u);
  EXPECT_EQ(seeds_json(ranks[0].seeds).dump(), R"([{"part":0,"slice":0,"slices":4}])");
  EXPECT_EQ(seeds_json(ranks[3].seeds).dump(),
            R"([{"part":0,"slice":3,"slices":4},{"part":1,"slice":1,"slices":2}])");
}

TEST(RankLayout, OfTheSameShapeHasTheSameKeyOnOtherHosts) {
  const auto one = lay_out_ranks({{0, {"a"}}, {1, {"b"}}}, 1, hosts({"a", "b"}));
  const auto other = lay_out_ranks({{0, {"x"}}, {1, {"y"}}}, 1, hosts({"x", "y"}));
  const auto swapped = lay_out_ranks({{0, {"y"}}, {1, {"x"}}}, 1, hosts({"x", "y"}));
  EXPECT_EQ(layout_key(one), layout_key(other));
  EXPECT_NE(layout_key(one), layout_key(swapped));
}

}  // namespace
}  // namespace gnnflow
