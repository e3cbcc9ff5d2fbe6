// Keys among ranks, keys at servers.
#include "orchestrator/engine/rendezvous.h"

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

TEST(KeyStore, AnswersAtOnceWhatIsSet) {
  KeyStore store;
  EXPECT_TRUE(store.set("k", "value").empty());
  const auto reply = store.get(1, 7, "k");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->task, 1);
  EXPECT_EQ(reply->message.body, "value");
  EXPECT_EQ(reply->message.head.dump(), R"({"ok":true,"request":7,"type":"store_reply"})");
}

TEST(KeyStore, LetsAllWaitUntilAKeyIsSet) {
  KeyStore store;
  EXPECT_FALSE(store.get(0, 1, "k"));
  EXPECT_FALSE(store.get(2, 9, "k"));
  EXPECT_FALSE(store.get(2, 10, "other"));
  const auto replies = store.set("k", "v");
  ASSERT_EQ(replies.size(), 2u);
  EXPECT_EQ(replies[0].task, 0);
  EXPECT_EQ(replies[1].message.head.integer_or("request", 0), 9);
  EXPECT_TRUE(store.set("k", "again").empty());
}

TEST(AllowList, OnlyGrowsAndIsCompleteWhenEveryServerHasAsMany) {
  AllowList list(2);
  EXPECT_FALSE(list.all_ready());
  list.server_ready(0, {0, "127.0.0.1", 1, "s0"});
  list.server_ready(1, {1, "127.0.0.1", 2, "s1"});
  EXPECT_TRUE(list.all_ready());
  EXPECT_EQ(list.allow({"a", "b"}).size(), 2u);
  list.server_allowed(0, 2);
  EXPECT_FALSE(list.all_allowed(2));
  list.server_allowed(1, 2);
  EXPECT_TRUE(list.all_allowed(2));
  const auto orders = list.allow({"c", "a"});
  EXPECT_EQ(orders[1].message.head.get("keys"), Json(Json::Array{"a", "b", "c"}));
  EXPECT_FALSE(list.all_allowed(list.length()));
}

}  // namespace
}  // namespace gnnflow
