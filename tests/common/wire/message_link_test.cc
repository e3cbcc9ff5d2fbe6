// Links over socket pairs: deadlines, ends of file, readers that do not read.
#include <thread>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/wire/message.h"
#include "common/wire/progress.h"

namespace gnnflow {
namespace {

const Milliseconds kSoon{20}, kLong{10'000};

struct Pair {
  MessageLink near, far;
};

Pair make_pair() {
  auto ends = make_socket_pair();
  if (!ends) bug(ends.error().message);
  return {MessageLink(std::move(ends->first)), MessageLink(std::move(ends->second))};
}

Message named(std::string_view type, std::string body = "") {
  Message message;
  message.head["type"] = type;
  message.body = std::move(body);
  return message;
}

TEST(MessageLink, CarriesMessagesInOrder) {
  Pair pair = make_pair();
  ASSERT_TRUE(pair.near.send(named("one"), Deadline::after(kLong)));
  ASSERT_TRUE(pair.near.send(named("two", "body"), Deadline::after(kLong)));
  EXPECT_EQ((**pair.far.receive(Deadline::after(kLong))).type(), "one");
  EXPECT_EQ((**pair.far.receive(Deadline::after(kLong))).body, "body");
}

TEST(MessageLink, ReceivesNothingWhenTheDeadlinePasses) {
  Pair pair = make_pair();
  Result<std::optional<Message>> none = pair.near.receive(Deadline::after(kSoon));
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
}

TEST(MessageLink, ReadsWhatHasArrivedEvenAfterTheDeadline) {
  Pair pair = make_pair();
  ASSERT_TRUE(pair.near.send(named("late"), Deadline::after(kLong)));
  Result<std::optional<Message>> message = pair.far.receive(Deadline::after(Milliseconds(0)));
  ASSERT_TRUE(message);
  ASSERT_TRUE(*message);
}

TEST(MessageLink, CarriesMoreThanASocketHolds) {
  Pair pair = make_pair();
  std::string body(8 << 20, 'x');
  std::thread sender([&] { EXPECT_TRUE(pair.near.send(named("big", body), Deadline::after(kLong))); });
  Result<std::optional<Message>> message = pair.far.receive(Deadline::after(kLong));
  sender.join();
  ASSERT_TRUE(message);
  ASSERT_TRUE(*message);
  EXPECT_EQ((*message)->body, body);
}

TEST(MessageLink, APeerThatDoesNotReadIsUnreachableAndSeesTheEnd) {
  Pair pair = make_pair();
  Status sent = pair.near.send(named("big", std::string(8 << 20, 'x')), Deadline::after(kSoon));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().cause, Cause::unreachable);
  EXPECT_EQ(sent.error().message, "the peer does not read");
  Result<std::optional<Message>> end = pair.far.receive(Deadline::after(kLong));
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().message, "the peer closed the connection in the middle of a message");
}

TEST(MessageLink, AMessageOverTheLimitIsNotSent) {
  Pair pair = make_pair();
  Status sent = pair.near.send(named("big", std::string(kMaxBodyBytes + 1, 'x')), Deadline::after(kSoon));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().cause, Cause::bad_data);
  EXPECT_TRUE(pair.near.send(named("small"), Deadline::after(kLong)));
}

TEST(MessageLink, TellsTheEndOfAPeer) {
  Pair pair = make_pair();
  pair.near.shut_down();
  Result<std::optional<Message>> end = pair.far.receive(Deadline::after(kLong));
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().cause, Cause::unreachable);
  EXPECT_FALSE(pair.far.send(named("x"), Deadline::after(kLong)));
}

TEST(MessageLink, HearsTheStopSignal) {
  Pair pair = make_pair();
  StopSignal stop;
  std::thread other([&] { stop.raise(Cause::interrupted); });
  Result<std::optional<Message>> stopped = pair.near.receive(Deadline::after(kLong), &stop);
  other.join();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().cause, Cause::interrupted);
}

TEST(MessageLink, HearsTheStopSignalWhileThePeerDoesNotRead) {
  Pair pair = make_pair();
  StopSignal stop;
  std::thread other([&] { stop.raise(Cause::interrupted); });
  Status sent = pair.near.send(named("big", std::string(8 << 20, 'x')), Deadline::after(kLong), &stop);
  other.join();
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().cause, Cause::interrupted);
}

TEST(Progress, ComesBackFromJson) {
  Progress progress{"epoch 3", 7, 10, "batches", "loss 1.21", 2.5};
  Progress back = Progress::from_json(progress.to_json());
  EXPECT_EQ(back.phase, "epoch 3");
  EXPECT_EQ(back.done, 7);
  EXPECT_EQ(back.total, 10);
  EXPECT_EQ(back.unit, "batches");
  EXPECT_EQ(back.note, "loss 1.21");
  EXPECT_EQ(Progress::from_json(Json("nonsense")).total, 0);
}

}  // namespace
}  // namespace gnnflow
