// Ranks that talk by Gloo over a rendezvous of ours: what they compute, where they listen, how they end.
#include <fstream>
#include <sstream>

#include "tests/worker/trainer/training_support.h"
#include "worker/trainer/rank_group.h"

namespace gnnflow {
namespace {

std::unique_ptr<RankGroup> group_of(int rank, int ranks, Rendezvous& rendezvous, int timeout_ms = 20'000) {
  return must(RankGroup::make({rank, ranks, "127.0.0.1", Milliseconds(timeout_ms)}, &rendezvous));
}

TEST(RankGroup, SumsBroadcastsAndExchanges) {
  MemoryRendezvous rendezvous;
  constexpr int kRanks = 3;
  on_ranks(kRanks, [&](int rank) {
    const auto group = group_of(rank, kRanks, rendezvous);
    auto floats = torch::full({5}, static_cast<float>(rank + 1));
    must(group->sum(floats, "x"));
    EXPECT_EQ(floats[4].item<float>(), 6);
    auto counts = torch::full({2}, int64_t{1} << 40, torch::kInt64);
    must(group->sum(counts, "x"));
    EXPECT_EQ(counts[1].item<int64_t>(), 3 * (int64_t{1} << 40));
    EXPECT_EQ(must(group->broadcast(rank == 0 ? std::string("from zero") : std::string(), "x")), "from zero");
    EXPECT_EQ(must(group->broadcast(std::string(), "x")), "");
    EXPECT_EQ(must(group->gather(std::string(static_cast<size_t>(rank), 'a'), "x")),
              (std::vector<std::string>{"", "a", "aa"}));
    EXPECT_EQ(must(group->gather(int64_t{10} * rank, "x")), (std::vector<int64_t>{0, 10, 20}));
    // Rank r sends r rows to each rank; the value says who sent it.
    const auto in = must(group->exchange(torch::full({3 * rank, 2}, static_cast<float>(rank)),
                                         std::vector<int64_t>(kRanks, rank), "x"));
    EXPECT_EQ(in.counts, (std::vector<int64_t>{0, 1, 2}));
    EXPECT_TRUE(torch::equal(in.rows, torch::tensor({1.0f, 1.0f, 2.0f, 2.0f, 2.0f, 2.0f}).view({3, 2})));
  });
}

// Local addresses of sockets in state LISTEN.
std::vector<std::string> listeners() {
  std::vector<std::string> addresses;
  for (const char* file : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    while (std::getline(in, line)) {
      std::istringstream words(line);
      std::string slot, local, remote, state;
      words >> slot >> local >> remote >> state;
      if (state == "0A") addresses.push_back(local);
    }
  }
  return addresses;
}

TEST(RankGroup, NeverListensOnEveryInterface) {
  const auto wild = [] {
    int count = 0;
    for (const auto& address : listeners()) {
      const auto host = address.substr(0, address.find(':'));
      count += host.find_first_not_of('0') == std::string::npos ? 1 : 0;
    }
    return count;
  };
  const int before = wild();
  MemoryRendezvous rendezvous;
  on_ranks(2, [&](int rank) {
    const auto group = group_of(rank, 2, rendezvous);
    auto one = torch::ones({1});
    must(group->sum(one, "x"));
    EXPECT_LE(wild(), before);
    must(group->sum(one, "x"));
  });
}

TEST(RankGroup, SaysWhichCollectiveFailedWhenARankIsGone) {
  MemoryRendezvous rendezvous;
  on_ranks(2, [&](int rank) {
    auto group = group_of(rank, 2, rendezvous, 5'000);
    auto one = torch::ones({1});
    must(group->sum(one, "x"));
    if (rank == 1) return;  // its sockets close
    const auto lost = group->sum(one, "sum of gradients");
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().cause, Cause::unreachable);
    EXPECT_TRUE(lost.error().message.starts_with("rank 0 of 2: sum of gradients failed: "))
        << lost.error().message;
  });
}

TEST(RankGroup, GivesUpWhenNobodyComes) {
  MemoryRendezvous rendezvous;
  const auto group = RankGroup::make({0, 2, "127.0.0.1", Milliseconds(200)}, &rendezvous);
  ASSERT_FALSE(group);
  EXPECT_EQ(group.error().cause, Cause::unreachable);
  EXPECT_TRUE(group.error().message.starts_with("rank 0 of 2 at 127.0.0.1 did not find the other ranks: "))
      << group.error().message;
}

TEST(RankGroup, SaysWhenItsAddressIsNotOfThisMachine) {
  MemoryRendezvous rendezvous;
  const auto group = RankGroup::make({0, 2, "192.0.2.77", Milliseconds(200)}, &rendezvous);
  ASSERT_FALSE(group);
  EXPECT_EQ(group.error().cause, Cause::unreachable);
  EXPECT_TRUE(group.error().message.find("192.0.2.77") != std::string::npos) << group.error().message;
}

}  // namespace
}  // namespace gnnflow
