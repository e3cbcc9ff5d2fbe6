// The relay joins two ends, and ends with either, or when its controller falls silent.
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "common/wire/message.h"
#include "worker/daemon/relay.h"

namespace gnnflow {
namespace {

struct RelayTest : testing::Test {
  std::pair<FileDescriptor, FileDescriptor> outer = *make_socket_pair(), inner = *make_socket_pair();
  Status ended;
  std::thread thread;

  void start(Milliseconds silence) {
    thread = std::thread([this, silence] {
      ended = relay(outer.second.get(), outer.second.get(), inner.first.get(), silence);
      outer.second.reset();
      inner.first.reset();
    });
  }
};

TEST_F(RelayTest, CarriesMessagesBothWaysAndEndsWithTheController) {
  start(Milliseconds(10'000));
  std::optional<MessageLink> controller(MessageLink(std::move(outer.first)));
  MessageLink daemon(std::move(inner.second));
  Message message;
  message.head["type"] = "hello";
  message.body = std::string(1 << 20, 'x');
  Deadline deadline = Deadline::after(Milliseconds(10'000));
  std::thread sender([&] { EXPECT_TRUE(controller->send(message, deadline)); });
  EXPECT_EQ((**daemon.receive(deadline)).body, message.body);
  sender.join();
  message.body.clear();
  ASSERT_TRUE(daemon.send(message, deadline));
  EXPECT_EQ((**controller->receive(deadline)).type(), "hello");
  controller.reset();
  thread.join();
  EXPECT_TRUE(ended) << ended.error().message;
  EXPECT_FALSE(daemon.receive(deadline));
}

TEST_F(RelayTest, EndsWhenTheControllerIsSilent) {
  start(Milliseconds(100));
  thread.join();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().message, "relay: nothing came from the controller for 100 ms");
}

TEST_F(RelayTest, EndsWhenTheControllerDoesNotRead) {
  start(Milliseconds(2'000));
  MessageLink daemon(std::move(inner.second));
  Message message;
  message.head["type"] = "event";
  message.body = std::string(8 << 20, 'x');
  EXPECT_FALSE(daemon.send(message, Deadline::after(Milliseconds(10'000))));
  thread.join();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().message, "relay: the other end does not read");
}

}  // namespace
}  // namespace gnnflow
