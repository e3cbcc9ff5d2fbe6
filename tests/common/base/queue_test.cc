// The bounded queue between threads.
#include "common/base/queue.h"

#include <thread>

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

constexpr Milliseconds kLong(10'000);

TEST(Queue, KeepsOrderBetweenThreads) {
  Queue<int> queue(3);
  std::jthread writer([&] {
    for (int i = 0; i < 1000; ++i) queue.push(i);
    queue.close();
  });
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(queue.pop(kLong), i);
  EXPECT_EQ(queue.pop(kLong), std::nullopt);
  EXPECT_TRUE(queue.finished());
}

TEST(Queue, ClosingRefusesWritersAndGivesWhatIsLeft) {
  Queue<int> queue(2);
  ASSERT_TRUE(queue.push(1));
  queue.close();
  EXPECT_FALSE(queue.push(2));
  EXPECT_FALSE(queue.finished());
  EXPECT_EQ(queue.pop(kLong), 1);
  EXPECT_TRUE(queue.finished());
}

TEST(Queue, ClosingWakesAWriterThatWaitsForRoom) {
  Queue<int> queue(1);
  ASSERT_TRUE(queue.push(1));
  bool pushed = true;
  std::jthread writer([&] { pushed = queue.push(2); });
  queue.close();
  writer.join();
  EXPECT_FALSE(pushed);
}

TEST(Queue, PopGivesUpWhenTheTimeIsOver) {
  Queue<int> queue(1);
  EXPECT_EQ(queue.pop(Milliseconds(0)), std::nullopt);
  EXPECT_FALSE(queue.finished());
}

}  // namespace
}  // namespace gnnflow
