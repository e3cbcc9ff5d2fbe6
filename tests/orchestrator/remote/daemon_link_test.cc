// Orders, answers, events and ends of a daemon's connection, with a scripted daemon.
#include "orchestrator/remote/daemon_link.h"

#include <atomic>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/orchestrator/remote/recorded_events.h"
#include "tests/support/fake_host.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

Deadline soon() { return Deadline::after(Milliseconds(10'000)); }

class DaemonLinkTest : public testing::Test {
 protected:
  std::unique_ptr<DaemonLink> open(int64_t epoch = 1) {
    EXPECT_TRUE(host.start_daemon(Milliseconds(1000), Milliseconds(100), soon()));
    Result<std::unique_ptr<DaemonLink>> link = DaemonLink::open(host, greeting(epoch), events.sink(), soon());
    if (!link) bug(link.error().message);
    return std::move(*link);
  }
  static DaemonGreeting greeting(int64_t epoch) {
    return {.epoch = epoch,
            .store = std::string(32, 'a'),
            .lease = Milliseconds(5000),
            .grace = Milliseconds(100)};
  }
  static Message start(const std::string& token) {
    return message_of(
        "start", {{"token", token}, {"program", "worker"}, {"spec", Json(Json::Object{{"kind", "exec"}})}});
  }

  TempDir dir;
  RecordedEvents events;
  FakeHost host{"node1", dir.path()};
};

TEST_F(DaemonLinkTest, SaysHelloWithEpochAndLeaseAndKeepsTheAnswer) {
  auto link = open(7);
  EXPECT_EQ(link->greeting().text_or("root", ""), host.root().string());
  const Message hello = host.orders().at(0);
  EXPECT_EQ(hello.type(), "hello");
  EXPECT_EQ(hello.head.integer_or("epoch", 0), 7);
  EXPECT_EQ(hello.head.text_or("host", ""), "node1");
  EXPECT_EQ(hello.head.text_or("store", ""), std::string(32, 'a'));
  EXPECT_EQ(hello.head.integer_or("lease_ms", 0), 5000);
  EXPECT_EQ(hello.head.integer_or("grace_ms", 0), 100);
}

TEST_F(DaemonLinkTest, PassesEventsOnInTheirOrder) {
  host.on_start([](const Json&) {
    FakeJob job;
    job.reports = {message_of("ready", {{"part", 3}}, "body")};
    return job;
  });
  auto link = open();
  Result<Message> reply = link->order(start("a.1"), soon());
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->head.text_or("state", ""), "started");
  ASSERT_TRUE(events.wait_for(3));
  EXPECT_EQ(events.names(), (std::vector<std::string>{"started", "report ready", "exited"}));
  EXPECT_EQ(events.at(1).head.get("message").integer_or("part", 0), 3);
  EXPECT_EQ(events.at(1).body, "body");
  EXPECT_EQ(events.at(2).head.integer_or("code", -1), 0);
}

TEST_F(DaemonLinkTest, ARefusalIsAnErrorWithItsCauseAndTheHostsName) {
  auto link = open();
  Result<Message> reply = link->order(message_of("dance"), soon());
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().cause, Cause::bad_data);
  EXPECT_EQ(reply.error().message, "host node1: unknown order 'dance'");
}

TEST_F(DaemonLinkTest, AnswersFindTheirOrders) {
  host.on_order([](const Message& order) -> std::optional<Message> {
    if (order.type() != "echo") return std::nullopt;
    return message_of("", {{"word", order.head.get("word")}});
  });
  auto link = open();
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        Result<Message> reply = link->order(message_of("echo", {{"word", t * 1000 + i}}), soon());
        if (reply && reply->head.integer_or("word", -1) == t * 1000 + i) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 400);
}

TEST_F(DaemonLinkTest, AnOrderLaterCallsBackOnce) {
  auto link = open();
  std::promise<Result<Message>> answered;
  link->order_later(message_of("ask", {{"token", "nobody"}}),
                    [&](Result<Message> reply) { answered.set_value(std::move(reply)); });
  Result<Message> reply = answered.get_future().get();
  ASSERT_TRUE(reply);
  EXPECT_FALSE(reply->head.boolean_or("known", true));
}

TEST_F(DaemonLinkTest, AnOrderLaterDoesNotWaitForADaemonThatDoesNotRead) {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  host.on_order([released](const Message& order) -> std::optional<Message> {
    if (order.type() == "ask") released.wait();
    return std::nullopt;
  });
  std::promise<Result<Message>> answered;
  auto link = open();
  link->order_later(message_of("ask"), [](const Result<Message>&) {});
  Message large = message_of("ask");
  large.body = std::string(8 << 20, 'x');  // more than lies on the way
  link->order_later(std::move(large), [&](Result<Message> reply) { answered.set_value(std::move(reply)); });
  release.set_value();
  const Result<Message> reply = answered.get_future().get();
  EXPECT_TRUE(reply) << reply.error().message;
}

TEST_F(DaemonLinkTest, AnOrderOverTheLimitIsRefusedAndTheLinkGoesOn) {
  auto link = open();
  Message huge = message_of("ask");
  huge.body = std::string(kMaxBodyBytes + 1, 'x');
  const Result<Message> reply = link->order(std::move(huge), soon());
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().cause, Cause::bad_data);
  EXPECT_TRUE(link->order(message_of("ask"), soon()));
}

TEST_F(DaemonLinkTest, AnOrderThatIsNotAnsweredEndsAtItsDeadline) {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  host.on_order([released](const Message& order) -> std::optional<Message> {
    if (order.type() == "ask") released.wait();
    return std::nullopt;
  });
  auto link = open();
  Result<Message> reply = link->order(message_of("ask"), Deadline::after(Milliseconds(20)));
  release.set_value();
  ASSERT_FALSE(reply);
  EXPECT_EQ(exit_code(reply.error().cause), 6);
  EXPECT_EQ(reply.error().message, "host node1: its daemon gave no answer to 'ask' in time");
  EXPECT_TRUE(link->order(message_of("ask"), soon())) << "its late answer went to somebody else";
}

TEST_F(DaemonLinkTest, AnOrderThatWasGivenUpBeforeItWasSentIsNotSent) {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  host.on_order([released](const Message& order) -> std::optional<Message> {
    if (order.type() == "ask") released.wait();
    return std::nullopt;
  });
  auto link = open();
  link->order_later(message_of("ask"), [](const Result<Message>&) {});
  link->order_later(message_of("echo", {}, std::string(8 << 20, 'x')), [](const Result<Message>&) {});
  Result<Message> reply = link->order(message_of("dance"), Deadline::after(Milliseconds(20)));
  release.set_value();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().cause, Cause::unreachable);
  EXPECT_TRUE(link->order(message_of("ask"), soon()));
  for (const Message& order : host.orders()) EXPECT_NE(order.type(), "dance");
}

TEST_F(DaemonLinkTest, ADaemonThatDoesNotReadIsRefusedMoreOrders) {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  host.on_order([released](const Message& order) -> std::optional<Message> {
    if (order.type() == "ask") released.wait();
    return std::nullopt;
  });
  std::mutex mutex;
  std::vector<Error> refusals;
  int told = 0;
  std::promise<void> all_told;
  auto link = open();
  link->order_later(message_of("ask"), [](const Result<Message>&) {});
  // 32 MiB may wait, one is on the way.
  for (int i = 0; i < 8; ++i) {
    link->order_later(message_of("ask", {}, std::string(8 << 20, 'x')), [&](const Result<Message>& reply) {
      std::lock_guard lock(mutex);
      if (!reply) refusals.push_back(reply.error());
      if (++told == 8) all_told.set_value();
    });
  }
  size_t refused = 0;
  {
    std::lock_guard lock(mutex);
    refused = refusals.size();
    ASSERT_GE(refused, 3u);
    EXPECT_EQ(refusals[0].cause, Cause::unreachable);
    EXPECT_EQ(refusals[0].message, "host node1: its daemon does not read what it is ordered");
  }
  release.set_value();
  all_told.get_future().wait();
  EXPECT_EQ(refusals.size(), refused) << "one that was taken was not answered";
  EXPECT_TRUE(link->order(message_of("ask"), soon()));
}

TEST_F(DaemonLinkTest, TheEndIsToldOnceAndFailsEveryOrder) {
  auto link = open();
  host.cut();
  ASSERT_TRUE(events.wait_for(1));
  for (int i = 0; i < 3; ++i) {
    Result<Message> reply = link->order(message_of("ask"), soon());
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().cause, Cause::unreachable);
    EXPECT_NE(reply.error().message.find("host node1: the connection to its daemon ended"), std::string::npos)
        << reply.error().message;
  }
  bool called = false;
  link->order_later(message_of("ask"), [&](Result<Message> reply) { called = !reply; });
  EXPECT_TRUE(called);
  link.reset();
  EXPECT_EQ(events.names(), (std::vector<std::string>{"closed"}));
  EXPECT_NE(events.at(0).head.text_or("message", "").find("node1"), std::string::npos);
}

TEST_F(DaemonLinkTest, OrdersThatWaitFailWhenTheConnectionEnds) {
  host.on_order([this](const Message& order) -> std::optional<Message> {
    if (order.type() == "ask") host.cut();
    return std::nullopt;
  });
  auto link = open();
  Result<Message> reply = link->order(message_of("ask"), soon());
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().cause, Cause::unreachable);
}

TEST_F(DaemonLinkTest, ItsOwnerHearsNothingOfAnEndThatItMade) {
  open().reset();
  EXPECT_TRUE(events.names().empty());
}

TEST_F(DaemonLinkTest, OrdersThatWaitFailWhenTheOwnerLetsGo) {
  auto link = open();
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  host.on_order([released](const Message& order) -> std::optional<Message> {
    if (order.type() == "ask") released.wait();
    return std::nullopt;
  });
  std::atomic<int> failed = 0;
  for (int i = 0; i < 3; ++i) {
    link->order_later(message_of("ask"), [&](Result<Message> reply) { failed += reply ? 0 : 1; });
  }
  link.reset();
  EXPECT_EQ(failed, 3);
  release.set_value();
}

TEST_F(DaemonLinkTest, MayBeLetGoOfInItsOwnCallback) {
  std::shared_ptr<DaemonLink> link = open();
  std::promise<void> gone;
  DaemonLink* raw = link.get();
  raw->order_later(message_of("ask"), [&gone, held = std::move(link)](Result<Message>) mutable {
    held.reset();
    gone.set_value();
  });
  EXPECT_EQ(gone.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

TEST_F(DaemonLinkTest, MayBeLetGoOfWhileEventsPour) {
  host.on_start([](const Json&) {
    FakeJob job;
    for (int i = 0; i < 200; ++i) job.reports.push_back(message_of("metrics", {{"epoch", i}}));
    return job;
  });
  for (int i = 0; i < 20; ++i) {
    auto link = open();
    link->order_later(start("pour." + std::to_string(i)), [](Result<Message>) {});
    link.reset();
  }
}

TEST_F(DaemonLinkTest, AControllerOfAnOlderEpochIsLockedOut) {
  open(5).reset();
  Result<std::unique_ptr<DaemonLink>> old = DaemonLink::open(host, greeting(4), events.sink(), soon());
  ASSERT_FALSE(old);
  EXPECT_EQ(exit_code(old.error().cause), 5);
  EXPECT_TRUE(events.names().empty()) << "the end of a link that nobody has is no news";
}

TEST_F(DaemonLinkTest, ANewConnectionHearsKeptReportsAgain) {
  host.on_start([](const Json&) {
    FakeJob job;
    job.reports = {message_of("ready")};
    job.code = 3;
    return job;
  });
  auto link = open();
  ASSERT_TRUE(link->order(start("a.1"), soon()));
  ASSERT_TRUE(events.wait_for(3));
  link.reset();
  link = open(2);
  ASSERT_TRUE(events.wait_for(5));
  EXPECT_EQ(events.names().at(3), "report ready");
  EXPECT_EQ(events.names().at(4), "exited");
  EXPECT_EQ(link->greeting().get("jobs").array().at(0).integer_or("code", 0), 3);
}

TEST_F(DaemonLinkTest, ADaemonThatEndsBeforeItAnswersIsStartedAgainAFewTimes) {
  int deaths = 2;
  host.on_order([&](const Message& order) -> std::optional<Message> {
    if (order.type() == "hello" && deaths-- > 0) host.kill_daemon();
    return std::nullopt;
  });
  open();
  EXPECT_EQ(host.daemons_started(), 3);
  EXPECT_TRUE(events.names().empty());
  deaths = 100;
  Result<std::unique_ptr<DaemonLink>> link = DaemonLink::open(host, greeting(1), events.sink(), soon());
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().cause, Cause::unreachable);
}

TEST_F(DaemonLinkTest, SaysThatNoDaemonAnswers) {
  Result<std::unique_ptr<DaemonLink>> none = DaemonLink::open(host, greeting(1), events.sink(), soon());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().cause, Cause::unreachable);
}

}  // namespace
}  // namespace gnnflow
