// Key pairs and addresses: what is made, and what is refused.
#include "common/zmq/keys.h"

#include <gtest/gtest.h>

#include "common/zmq/socket.h"

namespace gnnflow {
namespace {

TEST(KeyPair, IsAnotherOneEachTime) {
  const auto one = make_key_pair(), two = make_key_pair();
  ASSERT_TRUE(one && two);
  EXPECT_TRUE(is_public_key(one->public_key));
  EXPECT_EQ(one->secret_key.size(), 40u);
  EXPECT_NE(one->public_key, two->public_key);
  EXPECT_NE(one->secret_key, two->secret_key);
}

TEST(PublicKey, IsFortyCharactersOfZ85) {
  EXPECT_FALSE(is_public_key(""));
  EXPECT_FALSE(is_public_key(std::string(39, 'a')));
  EXPECT_FALSE(is_public_key(std::string(45, 'a')));
  EXPECT_TRUE(is_public_key(std::string(40, 'a')));
  EXPECT_FALSE(is_public_key(std::string(39, 'a') + "~"));
  EXPECT_FALSE(is_public_key(std::string(40, '#')));  // each group is more than 32 bits
}

TEST(Address, MustBeOneNumericInterface) {
  EXPECT_TRUE(check_address("127.0.0.1"));
  EXPECT_TRUE(check_address("::1"));
  EXPECT_TRUE(check_address("fe80::1"));
  for (const char* wildcard : {"0.0.0.0", "::", "0::0", "::ffff:0.0.0.0"}) {
    const Status checked = check_address(wildcard);
    ASSERT_FALSE(checked) << wildcard;
    EXPECT_EQ(checked.error().cause, Cause::bad_workflow);
    EXPECT_EQ(checked.error().message,
              std::string("address '") + wildcard +
                  "' means every interface: name the one that the other hosts reach");
  }
  for (const char* bad : {"", "*", "localhost", "127.0.0.1:80", "1.2.3", "eth0"}) {
    const Status checked = check_address(bad);
    ASSERT_FALSE(checked) << bad;
    EXPECT_EQ(checked.error().message,
              std::string("address '") + bad + "': give one numeric address, like 192.0.2.7");
  }
}

TEST(AllowList, LetsInWhatStandsInIt) {
  const auto one = make_key_pair(), two = make_key_pair();
  AllowList list;
  EXPECT_FALSE(list.allows({}));
  EXPECT_EQ(list.set({one->public_key, "nonsense", one->public_key}), 1u);
  EXPECT_EQ(list.set({one->public_key, two->public_key}), 2u);
  EXPECT_EQ(list.set({}), 0u);
}

TEST(FramePool, GivesTheSameBufferAgainWhenTheFrameIsGone) {
  FramePool pool(1 << 20);
  const std::byte* first = nullptr;
  {
    Frame frame = pool.take(100'000);
    first = frame.bytes().data();
    EXPECT_EQ(frame.size(), 100'000u);
    EXPECT_EQ(pool.bytes_out(), 100'000u);
  }
  EXPECT_EQ(pool.bytes_out(), 0u);
  const Frame again = pool.take(90'000);
  EXPECT_EQ(again.bytes().data(), first);
  EXPECT_NE(pool.take(90'000).bytes().data(), first);
}

TEST(FramePool, OutlivesItsFrames) {
  Frame frame;
  {
    FramePool pool(1 << 20);
    frame = pool.take(10);
  }
  EXPECT_EQ(frame.size(), 10u);
}

}  // namespace
}  // namespace gnnflow
