// Sockets on loopback: who gets in, what those see who do not, and restarts.
#include <optional>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/zmq/socket.h"

namespace gnnflow {
namespace {

using std::chrono::milliseconds;

struct Server {
  AllowList allowed;
  SocketContext context{1};
  std::optional<Socket> socket;

  explicit Server(const KeyPair& keys, const std::vector<std::string>& clients, int port = 0) {
    allowed.set(clients);
    EXPECT_TRUE(context.check_keys(allowed));
    auto bound = Socket::bind_router(context, {.address = "127.0.0.1", .port = port, .keys = keys});
    EXPECT_TRUE(bound) << bound.error().message;
    socket.emplace(std::move(bound).value());
  }

  bool echo_one() {
    const Deadline deadline = Deadline::after(milliseconds(5000));
    Frames frames;
    while (!socket->receive_now(frames)) {
      if (deadline.passed()) return false;
      EXPECT_TRUE(socket->wait(deadline, {}, nullptr));
    }
    return socket->send(frames);
  }
};

struct Client {
  SocketContext context{1};
  KeyPair keys = make_key_pair().value();
  std::optional<Socket> socket;

  void connect(const std::string& server_key, int port) {
    auto made = Socket::connect_dealer(
        context, {.address = "127.0.0.1", .port = port, .server_key = server_key, .keys = keys});
    ASSERT_TRUE(made) << made.error().message;
    socket.emplace(std::move(made).value());
  }

  void say(std::string_view text) {
    Frames frames;
    frames.add(Frame(text));
    EXPECT_TRUE(socket->send(frames));
  }

  std::string hear() {
    const Deadline deadline = Deadline::after(milliseconds(5000));
    Frames frames;
    while (!socket->receive_now(frames)) {
      if (deadline.passed()) return "nothing";
      EXPECT_TRUE(socket->wait(deadline, {}, nullptr));
      socket->news();
    }
    return std::string(frames[0].text());
  }

  ConnectionNews news_of(int ConnectionNews::*what) {
    const Deadline deadline = Deadline::after(milliseconds(5000));
    ConnectionNews all;
    while (all.*what == 0 && !deadline.passed()) {
      EXPECT_TRUE(socket->wait(deadline, {}, nullptr));
      const ConnectionNews news = socket->news();
      all.connected += news.connected, all.disconnected += news.disconnected;
      all.refused += news.refused, all.failed += news.failed;
    }
    return all;
  }
};

TEST(Socket, CarriesMessagesForAnAllowedKey) {
  const KeyPair keys = make_key_pair().value();
  Client client;
  Server server(keys, {client.keys.public_key});
  client.connect(keys.public_key, server.socket->port());
  client.say("hello");
  ASSERT_TRUE(server.echo_one());
  EXPECT_EQ(client.hear(), "hello");
}

TEST(Socket, TellsAClientThatItsKeyIsRefused) {
  const KeyPair keys = make_key_pair().value();
  Client client;
  Server server(keys, {make_key_pair()->public_key});
  client.connect(keys.public_key, server.socket->port());
  const ConnectionNews news = client.news_of(&ConnectionNews::refused);
  EXPECT_EQ(news.refused, 1);
  EXPECT_EQ(news.connected, 0);
  EXPECT_EQ(server.allowed.refused(), 1);
}

TEST(Socket, LetsNobodyInWhileTheListIsEmpty) {
  const KeyPair keys = make_key_pair().value();
  Client client;
  Server server(keys, {});
  client.connect(keys.public_key, server.socket->port());
  EXPECT_EQ(client.news_of(&ConnectionNews::refused).refused, 1);
}

TEST(Socket, TellsAClientThatTheServerHasAnotherKey) {
  Client client;
  Server server(make_key_pair().value(), {client.keys.public_key});
  client.connect(make_key_pair()->public_key, server.socket->port());
  const ConnectionNews news = client.news_of(&ConnectionNews::failed);
  EXPECT_GE(news.failed, 1);
  EXPECT_EQ(news.connected, 0);
}

TEST(Socket, GoesOnWithARestartedServerOfTheSameKeyAndPort) {
  const KeyPair keys = make_key_pair().value();
  Client client;
  auto server = std::make_unique<Server>(keys, std::vector{client.keys.public_key});
  const int port = server->socket->port();
  client.connect(keys.public_key, port);
  client.say("one");
  ASSERT_TRUE(server->echo_one());
  EXPECT_EQ(client.hear(), "one");
  server.reset();
  EXPECT_GE(client.news_of(&ConnectionNews::disconnected).disconnected, 1);
  server = std::make_unique<Server>(keys, std::vector{client.keys.public_key}, port);
  EXPECT_EQ(client.news_of(&ConnectionNews::connected).connected, 1);
  client.say("two");
  ASSERT_TRUE(server->echo_one());
  EXPECT_EQ(client.hear(), "two");
}

TEST(Socket, SaysThatAPortIsTaken) {
  const KeyPair keys = make_key_pair().value();
  Server server(keys, {});
  SocketContext context(1);
  AllowList list;
  ASSERT_TRUE(context.check_keys(list));
  const auto second =
      Socket::bind_router(context, {.address = "127.0.0.1", .port = server.socket->port(), .keys = keys});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().cause, Cause::locked);
  EXPECT_EQ(second.error().message,
            fmt::format("binding tcp://127.0.0.1:{}: Address already in use", server.socket->port()));
}

TEST(Socket, RefusesToBindAWildcardOrAForeignAddress) {
  SocketContext context(1);
  AllowList list;
  ASSERT_TRUE(context.check_keys(list));
  EXPECT_EQ(
      Socket::bind_router(context, {.address = "0.0.0.0", .keys = make_key_pair().value()}).error().cause,
      Cause::bad_workflow);
  EXPECT_EQ(
      Socket::bind_router(context, {.address = "192.0.2.1", .keys = make_key_pair().value()}).error().message,
      "address '192.0.2.1' is not one of this host's");
}

TEST(Socket, CountsFramesThatAreTooMany) {
  const KeyPair keys = make_key_pair().value();
  Client client;
  Server server(keys, {client.keys.public_key});
  client.connect(keys.public_key, server.socket->port());
  Frames frames;
  for (int i = 0; i < Frames::kMax; ++i)
    frames.add(Frame("x"));  // the server sees one more: the client's identity
  ASSERT_TRUE(client.socket->send(frames));
  const Deadline deadline = Deadline::after(milliseconds(5000));
  Frames got;
  while (!server.socket->receive_now(got) && !deadline.passed()) {
    ASSERT_TRUE(server.socket->wait(deadline, {}, nullptr));
  }
  EXPECT_EQ(got.count, 5);
  EXPECT_TRUE(got.overflowed());
}

TEST(Socket, EndsItsWaitWhenStopped) {
  Client client;
  client.connect(make_key_pair()->public_key, 1);
  StopSignal stop;
  stop.raise(Cause::interrupted);
  const Status waited = client.socket->wait(Deadline::never(), {}, &stop);
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().cause, Cause::interrupted);
}

}  // namespace
}  // namespace gnnflow
