// What goes wrong between a graph server and its clients: keys, silence, restarts, nonsense, limits.
#include <random>
#include <thread>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/worker/graph_server/toy_servers.h"
#include "worker/graph_server/client.h"
#include "worker/graph_server/codec.h"
#include "worker/graph_server/server.h"

namespace gnnflow {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

class GraphServerTest : public testing::Test {
 protected:
  ShardOptions options_for(const ServerAddress& address) {
    return {.partition = partition_,
            .servers = {address},
            .keys = keys_,
            .deadline = seconds(20),
            .retry = milliseconds(300)};
  }

  // Opens and expects to fail; returns the error after checking that it came within `limit`.
  static Error failure_of(const ShardOptions& options, steady_clock::duration limit) {
    const auto start = steady_clock::now();
    const auto source = open_sharded_graph(options);
    EXPECT_FALSE(source);
    EXPECT_LT(steady_clock::now() - start, limit);
    return source ? Error{} : source.error();
  }

  static Status ask_rows(GraphSource& source) {
    std::vector<float> row(40);
    return source.rows(kNodeType, std::vector<int32_t>{1, 2}, row.data(), 20);
  }

  std::string where(const ToyServers& servers) {
    return fmt::format("graph server of part 0 at 127.0.0.1:{}: ", servers.address(0).port);
  }

  const TempDir folder_;
  const fs::path partition_ = make_partition(folder_, kServedToy, 1, "metis");
  const KeyPair keys_ = make_key_pair().value();
};

// Speaks to a server frame by frame.
class RawClient {
 public:
  RawClient(const ServerAddress& server, const KeyPair& keys)
      : socket_(Socket::connect_dealer(context_, {.address = server.address,
                                                  .port = server.port,
                                                  .server_key = server.public_key,
                                                  .keys = keys})
                    .value()) {}

  void send(const std::vector<std::string>& contents) {
    Frames frames;
    for (const std::string& content : contents) frames.add(Frame(content));
    EXPECT_TRUE(socket_.send(frames));
  }
  void send(Frames& frames) { EXPECT_TRUE(socket_.send(frames)); }

  // The head of the next reply and its text, if it has some.
  std::pair<Head, std::string> receive() {
    const Deadline deadline = Deadline::after(milliseconds(5000));
    Frames frames;
    while (!socket_.receive_now(frames)) {
      if (deadline.passed()) return {Head{}, "nothing came"};
      EXPECT_TRUE(socket_.wait(deadline, {}, nullptr));
      socket_.news();
    }
    const auto reply = decode_reply(frames, 0);
    if (!reply) return {Head{}, reply.error().message};
    return {reply->head, std::string(reply->text)};
  }

 private:
  SocketContext context_{1};
  Socket socket_;
};

TEST_F(GraphServerTest, RefusesAKeyThatIsNotAllowedAtOnce) {
  ToyServers servers(partition_);
  servers.allow({make_key_pair()->public_key});
  servers.start(0);
  const Error error = failure_of(options_for(servers.address(0)), seconds(3));
  EXPECT_EQ(exit_code(error.cause), 6);
  EXPECT_EQ(error.message, where(servers) + "it refuses our key: the key is not on its list of allowed keys");
  EXPECT_GE(servers.server(0).stats().get("refused").integer(), 1);
}

TEST_F(GraphServerTest, IsUnreachableWithAnotherKeyThanTheOneTold) {
  ToyServers servers(partition_);
  servers.allow({keys_.public_key});
  servers.start(0);
  ServerAddress address = servers.address(0);
  address.public_key = make_key_pair()->public_key;
  const Error error = failure_of(options_for(address), seconds(5));
  EXPECT_EQ(exit_code(error.cause), 6);
  EXPECT_NE(error.message.find(where(servers) + "the handshake broke"), std::string::npos) << error.message;
  EXPECT_NE(error.message.find("the server has another key than we were told, or is none of ours"),
            std::string::npos)
      << error.message;
}

TEST_F(GraphServerTest, IsUnreachableAfterTheDeadlineWhenNobodyListens) {
  ShardOptions options = options_for({0, "127.0.0.1", 1, make_key_pair()->public_key});
  options.deadline = milliseconds(600);
  const Error error = failure_of(options, seconds(3));
  EXPECT_EQ(exit_code(error.cause), 6);
  EXPECT_EQ(error.message.substr(0, 65), "graph server of part 0 at 127.0.0.1:1: no answer within 600ms: is");
}

TEST_F(GraphServerTest, EndsAWaitWhenStopped) {
  StopSignal stop;
  ShardOptions options = options_for({0, "127.0.0.1", 1, make_key_pair()->public_key});
  options.stop = &stop;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(milliseconds(100));
    stop.raise(Cause::interrupted);
  });
  EXPECT_EQ(failure_of(options, seconds(3)).cause, Cause::interrupted);
}

TEST_F(GraphServerTest, IsFoundAgainAfterARestartWithTheSameKeyAndPort) {
  ToyServers servers(partition_);
  servers.allow({keys_.public_key});
  servers.start(0);
  const int port = servers.address(0).port;
  auto source = open_sharded_graph(options_for(servers.address(0)));
  ASSERT_TRUE(source) << source.error().message;
  ASSERT_TRUE(ask_rows(**source));
  for (int round = 0; round < 3; ++round) {
    servers.stop(0);
    std::jthread starter([&] {
      std::this_thread::sleep_for(milliseconds(200));
      servers.start(0, port);
    });
    const Status asked = ask_rows(**source);
    ASSERT_TRUE(asked) << asked.error().message;
  }
}

// Between its start and the daemon's list a restarted server lets nobody in.
TEST_F(GraphServerTest, IsFoundAgainWhenTheListComesLate) {
  ToyServers servers(partition_);
  servers.allow({keys_.public_key});
  servers.start(0);
  const int port = servers.address(0).port;
  auto source = open_sharded_graph(options_for(servers.address(0)));
  ASSERT_TRUE(source) << source.error().message;
  servers.stop(0);
  servers.allow({});
  servers.start(0, port);
  std::jthread late([&, &server = servers.server(0)] {
    const Deadline patience = Deadline::after(seconds(15));
    while (server.stats().get("refused").integer() == 0 && !patience.passed())
      std::this_thread::sleep_for(milliseconds(20));
    server.allow({keys_.public_key});
  });
  const Status asked = ask_rows(**source);
  ASSERT_TRUE(asked) << asked.error().message;
  EXPECT_GE(servers.server(0).stats().get("refused").integer(), 1);
}

TEST_F(GraphServerTest, RefusesAnotherPartitionAndTellsBothDigests) {
  const TempDir elsewhere;
  ToyOptions other = kServedToy;
  other.seed = 99;
  const fs::path foreign = make_partition(elsewhere, other, 1, "metis");
  ToyServers servers(partition_);
  servers.allow({keys_.public_key});
  servers.start(0);
  ShardOptions options = options_for(servers.address(0));
  options.partition = foreign;
  const Error error = failure_of(options, seconds(5));
  EXPECT_EQ(exit_code(error.cause), 12);
  EXPECT_EQ(error.message, where(servers) + fmt::format("partition digest: client {}, server {}",
                                                        PartitionDir::open(foreign)->index().digest(),
                                                        PartitionDir::open(partition_)->index().digest()));
}

TEST_F(GraphServerTest, SurvivesRandomBytesOnItsPort) {
  ToyServers servers(partition_);
  servers.allow({keys_.public_key});
  servers.start(0);
  std::mt19937 random(1);
  for (int round = 0; round < 30; ++round) {
    const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(servers.address(0).port));
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    ASSERT_EQ(connect(connection, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    std::string bytes(random() % 500, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    if (round % 2 == 0)
      bytes.insert(0, "\xFF\0\0\0\0\0\0\0\x01\x7F\x03", 11);  // a greeting that goes wrong later
    (void)!::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    close(connection);
  }
  auto source = open_sharded_graph(options_for(servers.address(0)));
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_TRUE(ask_rows(**source));
}

TEST_F(GraphServerTest, SurvivesRandomMessagesFromAnAllowedClient) {
  ToyServers servers(partition_);
  servers.allow({keys_.public_key});
  servers.start(0);
  RawClient client(servers.address(0), keys_);
  std::mt19937 random(2);
  const auto random_text = [&](size_t length) {
    std::string text(length, '\0');
    for (char& c : text) c = static_cast<char>(random());
    return text;
  };
  constexpr int kMessages = 500;
  for (int i = 0; i < kMessages; ++i) {
    std::vector<std::string> contents(1 + random() % 4);
    for (std::string& content : contents) content = random_text(random() % 100);
    if (random() % 2 == 0) contents[0] = "GNG1\x01" + random_text(27);
    client.send(contents);
    EXPECT_EQ(client.receive().first.answer, Answer::bad_request);
  }
  EXPECT_EQ(servers.server(0).stats().get("bad_messages").integer(), kMessages);
  auto source = open_sharded_graph(options_for(servers.address(0)));
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_TRUE(ask_rows(**source));
}

TEST_F(GraphServerTest, AnswersBusyBeyondTheRequestsOfAClientAndAllGetTheirAnswerInTheEnd) {
  ToyServers servers(partition_);
  servers.options.max_requests_per_client = 2;
  servers.allow({keys_.public_key});
  servers.start(0);
  RawClient client(servers.address(0), keys_);
  const std::vector<int32_t> nodes(100'000, 3);
  constexpr int kRequests = 30;
  for (uint64_t id = 1; id <= kRequests; ++id) {
    Frames frames;
    encode_rows(id, 0, nodes, frames);
    client.send(frames);
  }
  int busy = 0, answered = 0;
  for (int i = 0; i < kRequests; ++i) {
    const auto [head, text] = client.receive();
    ASSERT_TRUE(head.reply) << text;
    if (head.answer == Answer::busy) {
      ++busy;
      EXPECT_GT(head.count, 0u) << "a hint when to ask again";
    } else {
      ++answered;
    }
  }
  EXPECT_GT(busy, 0);
  EXPECT_GT(answered, 0);
  EXPECT_EQ(servers.server(0).stats().get("busy").integer(), busy);

  auto source = open_sharded_graph(options_for(servers.address(0)));
  ASSERT_TRUE(source) << source.error().message;
  std::vector<float> rows(size_t{600'000} * 20);
  const std::vector<int32_t> many(600'000, 4);
  const Status got = (*source)->rows(kNodeType, many, rows.data(), 20);
  EXPECT_TRUE(got) << got.error().message;
}

TEST_F(GraphServerTest, NeverBindsAWildcard) {
  ServerOptions options;
  options.partition = partition_;
  options.keys = keys_;
  options.address = "0.0.0.0";
  const auto server = GraphServer::start(options);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().message,
            "graph server of part 0: address '0.0.0.0' means every interface: name the one that the other "
            "hosts reach");
}

TEST_F(GraphServerTest, SaysThatItsPortIsTaken) {
  ToyServers servers(partition_);
  servers.start(0);
  ServerOptions options;
  options.partition = partition_;
  options.keys = keys_;
  options.port = servers.address(0).port;
  const auto second = GraphServer::start(options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().cause, Cause::temporary);
  EXPECT_EQ(second.error().message,
            fmt::format("graph server of part 0: binding tcp://127.0.0.1:{}: Address already in use",
                        options.port));
}

TEST_F(GraphServerTest, NeedsItsPart) {
  ServerOptions options;
  options.partition = partition_;
  options.keys = keys_;
  options.part = 3;
  EXPECT_EQ(GraphServer::start(options).error().cause, Cause::not_found);
  options.partition = folder_ / "nowhere";
  EXPECT_EQ(GraphServer::start(options).error().cause, Cause::not_found);
}

TEST_F(GraphServerTest, AnswersManyClientsAtOnce) {
  ToyServers servers(partition_);
  servers.options.threads = 2;
  std::vector<KeyPair> keys;
  std::vector<std::string> allowed;
  for (int i = 0; i < 6; ++i) allowed.push_back(keys.emplace_back(make_key_pair().value()).public_key);
  servers.allow(allowed);
  servers.start(0);
  const Layers expected = sample_whole(folder_ / "graph", {5, 5}, {1, 2, 3}, {1, 1, 1});
  std::vector<std::jthread> clients;
  for (const KeyPair& key : keys) {
    clients.emplace_back([&, key] {
      ShardOptions options = options_for(servers.address(0));
      options.keys = key;
      auto source = open_sharded_graph(options);
      ASSERT_TRUE(source) << source.error().message;
      for (int round = 0; round < 20; ++round) {
        EXPECT_EQ(sample_parts(**source, partition_, {5, 5}, {1, 2, 3}, {1, 1, 1}, true), expected);
      }
    });
  }
}

}  // namespace
}  // namespace gnnflow
