// The daemon's sending never waits; who does not read is cut off; what must be told again is kept.
#include "worker/daemon/channel.h"

#include <gtest/gtest.h>

#include "worker/daemon/kept_reports.h"

namespace gnnflow {
namespace {

Message named(std::string_view type, std::string body = "") {
  Message message;
  message.head["type"] = type;
  message.body = std::move(body);
  return message;
}

struct ChannelTest : testing::Test {
  std::pair<FileDescriptor, FileDescriptor> ends = *make_socket_pair();
  int wakes = 0;
  Channel channel{std::move(ends.first), {1 << 20, Milliseconds(1000)}, [this] { ++wakes; }};
};

TEST_F(ChannelTest, TakesOneMessageOfAnySizeAndSendsTheRestWhenItIsRead) {
  std::string body(4 << 20, 'x');
  EXPECT_TRUE(channel.send(named("big", body)));
  EXPECT_TRUE(channel.wants_to_write());
  EXPECT_EQ(wakes, 1);
  MessageLink link(std::move(ends.second));
  std::optional<Message> got;
  while (!got) {
    channel.flush();
    got = *link.receive(Deadline::after(Milliseconds(0)));
  }
  EXPECT_EQ(got->body, body);
  EXPECT_FALSE(channel.wants_to_write());
  EXPECT_FALSE(channel.cut_off());
}

TEST_F(ChannelTest, CutsOffWhoDoesNotReadByBytes) {
  EXPECT_TRUE(channel.send(named("big", std::string(4 << 20, 'x'))));
  EXPECT_FALSE(channel.send(named("beat")));
  EXPECT_TRUE(channel.cut_off());
  EXPECT_FALSE(channel.send(named("beat")));
  EXPECT_FALSE(channel.wants_to_write());
}

TEST_F(ChannelTest, CutsOffWhoDoesNotReadByTime) {
  Monotonic now = system_clock().now();
  channel.check_progress(now + Milliseconds(5000));
  EXPECT_FALSE(channel.cut_off());
  EXPECT_TRUE(channel.send(named("big", std::string(4 << 20, 'x'))));
  channel.check_progress(now + Milliseconds(500));
  EXPECT_FALSE(channel.cut_off());
  channel.check_progress(now + Milliseconds(5000));
  EXPECT_TRUE(channel.cut_off());
}

TEST_F(ChannelTest, AHangUpIsNoCuttingOff) {
  ends.second.reset();
  EXPECT_FALSE(channel.send(named("beat")));
  EXPECT_FALSE(channel.cut_off());
  Channel::Received received = channel.receive();
  ASSERT_TRUE(received.end);
  EXPECT_EQ(received.end->cause, Cause::unreachable);
}

TEST_F(ChannelTest, GivesWhatCameBeforeTheEnd) {
  {
    MessageLink link(std::move(ends.second));
    ASSERT_TRUE(link.send(named("last words"), Deadline::after(Milliseconds(1000))));
  }
  Channel::Received received = channel.receive();
  ASSERT_EQ(received.messages.size(), 1u);
  EXPECT_EQ(received.messages[0].type(), "last words");
  EXPECT_TRUE(received.end);
}

std::vector<std::string> types(const KeptReports& kept) {
  std::vector<std::string> result;
  for (const Message& report : kept.in_order()) result.push_back(report.type());
  return result;
}

TEST(KeptReports, KeepsTheLastOfSomeAndAllOfOthersInOrder) {
  KeptReports kept;
  for (const char* type : {"progress", "metrics", "ready", "progress", "checkpoint", "metrics", "progress"}) {
    EXPECT_TRUE(kept.keep(named(type)));
  }
  EXPECT_FALSE(kept.keep(named("dance")));
  EXPECT_EQ(types(kept), (std::vector<std::string>{"metrics", "ready", "checkpoint", "metrics", "progress"}));
  EXPECT_TRUE(kept.has("ready"));
  EXPECT_FALSE(kept.has("result"));
}

TEST(KeptReports, ForgetsAQuestionThatWasAnswered) {
  KeptReports kept;
  for (int request : {1, 2}) {
    Message get = named("store_get");
    get.head["request"] = request;
    kept.keep(get);
  }
  kept.answered(1);
  ASSERT_EQ(kept.in_order().size(), 1u);
  EXPECT_EQ(kept.in_order()[0].head.integer_or("request", 0), 2);
}

TEST(KeptReports, AreBounded) {
  KeptReports kept;
  for (int i = 0; i < 20; ++i) kept.keep(named("store_set", std::string(16 << 20, 'x')));
  EXPECT_LE(kept.in_order().size(), 8u);
}

}  // namespace
}  // namespace gnnflow
