// Hosts try each other with sockets that are there for a moment, one by one and many at once.
#include <map>
#include <optional>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/base/text.h"
#include "worker/daemon/probe.h"

namespace gnnflow {
namespace {

struct Probing : testing::Test {
  Probes probes;

  // What the daemon's loop does.
  void turn() {
    std::vector<Watch> watches;
    probes.add_watches(watches);
    std::vector<pollfd> waits;
    for (const Watch& watch : watches) waits.push_back({watch.descriptor, watch.events, 0});
    const Milliseconds wait = std::min(probes.until_due(), Milliseconds(50));
    ::poll(waits.data(), waits.size(), static_cast<int>(wait.count()));
    for (size_t i = 0; i < waits.size(); ++i) {
      if (waits[i].revents) watches[i].ready(waits[i].revents);
    }
    probes.do_what_is_due();
  }

  template <typename Condition>
  bool turn_until(Condition condition) {
    const Deadline deadline = Deadline::after(Milliseconds(20'000));
    while (!condition() && !deadline.passed()) turn();
    return condition();
  }

  Status dialed(const DialRequest& request) {
    std::optional<Status> how;
    probes.dial(request, [&](Status status) { how = std::move(status); });
    return turn_until([&] { return how.has_value(); }) ? *std::move(how) : Error{Cause::bug, "no answer"};
  }
};

DialRequest to_here(int port, std::string nonce, Milliseconds timeout = Milliseconds(10'000)) {
  return {"127.0.0.1", port, std::move(nonce), timeout};
}

// A listener of somebody else.
struct Stranger {
  FileDescriptor socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  int port = 0;
  Stranger() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(socket.get(), 16), 0);
    EXPECT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port = ntohs(address.sin_port);
  }
  // To one who has connected.
  bool say(std::string_view text) const {
    const FileDescriptor peer(::accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!peer) return false;
    return ::send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
};

TEST_F(Probing, AListenerSaysItsNonceToWhoeverConnects) {
  const auto listening = probes.listen({"127.0.0.1", Milliseconds(60'000)});
  ASSERT_TRUE(listening) << listening.error().message;
  EXPECT_GT(listening->port, 0);
  EXPECT_EQ(listening->nonce.size(), 32u);
  for (int i = 0; i < 3; ++i) {
    const Status how = dialed(to_here(listening->port, listening->nonce));
    EXPECT_TRUE(how) << how.error().message;
  }
}

TEST_F(Probing, ManyAtOnceAreAnsweredEachByItsOwnNonce) {
  std::map<int, std::optional<Status>> answers;
  for (int i = 0; i < 24; ++i) {
    const auto listening = probes.listen({"127.0.0.1", Milliseconds(60'000)});
    ASSERT_TRUE(listening) << listening.error().message;
    probes.dial(to_here(listening->port, listening->nonce),
                [&, i](Status how) { answers[i] = std::move(how); });
  }
  ASSERT_TRUE(turn_until([&] { return answers.size() == 24; }));
  for (const auto& [number, how] : answers) EXPECT_TRUE(*how) << how->error().message;
}

TEST_F(Probing, AListenerIsGoneAfterItsTime) {
  const auto listening = probes.listen({"127.0.0.1", Milliseconds(1)});
  ASSERT_TRUE(listening) << listening.error().message;
  ASSERT_TRUE(turn_until([&] { return probes.until_due() == Milliseconds::max(); }));
  const Status how = dialed(to_here(listening->port, listening->nonce));
  ASSERT_FALSE(how);
  EXPECT_EQ(how.error().cause, Cause::unreachable);
  EXPECT_EQ(how.error().message, "127.0.0.1:" + std::to_string(listening->port) + ": Connection refused");
}

TEST_F(Probing, ASilentHostIsUnreachableAfterTheDeadline) {
  const Stranger stranger;
  const Status how = dialed(to_here(stranger.port, "abc", Milliseconds(100)));
  ASSERT_FALSE(how);
  EXPECT_EQ(how.error().cause, Cause::unreachable);
  EXPECT_EQ(how.error().message,
            "127.0.0.1:" + std::to_string(stranger.port) +
                ": no answer within 100ms: what is sent there may be dropped on the way");
}

TEST_F(Probing, WhoSaysAnotherNonceIsSomebodyElse) {
  for (const std::string_view said : {"abd", "a", "", "abcd"}) {
    const Stranger stranger;
    std::optional<Status> how;
    probes.dial(to_here(stranger.port, "abc"), [&](Status status) { how = std::move(status); });
    bool told = false;
    ASSERT_TRUE(turn_until([&] {
      told = told || stranger.say(said);
      return how.has_value();
    })) << said;
    ASSERT_FALSE(*how) << said;
    EXPECT_NE(how->error().message.find("something else answers there"), std::string::npos)
        << how->error().message;
  }
}

TEST_F(Probing, OnlyAddressesOfOneInterfaceAreListenedAt) {
  for (const char* address :
       {"0.0.0.0", "::", "::ffff:0.0.0.0", "0", "", "localhost", "node1", "1.2.3.4.5"}) {
    const auto listening = probes.listen({address, Milliseconds(1000)});
    ASSERT_FALSE(listening) << address;
    EXPECT_EQ(listening.error().cause, Cause::bad_data) << address;
  }
  const auto foreign = probes.listen({"192.0.2.7", Milliseconds(1000)});
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().cause, Cause::unreachable);
  EXPECT_EQ(foreign.error().message, "192.0.2.7 is not an address of this host");
}

TEST_F(Probing, TimesAreBounded) {
  for (const int64_t ms : {int64_t{-1}, int64_t{0}, int64_t{600'001}}) {
    EXPECT_FALSE(probes.listen({"127.0.0.1", Milliseconds(ms)})) << ms;
    EXPECT_FALSE(dialed(to_here(1, "abc", Milliseconds(ms)))) << ms;
  }
  EXPECT_EQ(dialed(to_here(0, "abc")).error().cause, Cause::bad_data);
  EXPECT_EQ(dialed(to_here(65'536, "abc")).error().cause, Cause::bad_data);
  EXPECT_EQ(dialed(to_here(4711, "")).error().cause, Cause::bad_data);
}

TEST(Routes, ToThisMachineBeginAtTheSameAddress) {
  for (const char* address : {"127.0.0.1", "127.0.0.5"}) {
    const auto from = source_address_towards(address);
    ASSERT_TRUE(from) << from.error().message;
    EXPECT_TRUE(from->starts_with("127.")) << *from;
  }
  const auto name = source_address_towards("no-such-host");
  ASSERT_FALSE(name);
  EXPECT_EQ(name.error().message, "'no-such-host' is no numeric address");
}

TEST(Routes, ThatDoNotExistAreEmpty) {
  const auto from = source_address_towards("255.255.255.255");  // refused to all but broadcasters
  ASSERT_TRUE(from) << from.error().message;
  EXPECT_EQ(*from, "");
}

}  // namespace
}  // namespace gnnflow
