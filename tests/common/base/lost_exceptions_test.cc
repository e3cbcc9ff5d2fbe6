// An exception that nobody catches ends the program with a line and a code, on whatever thread it was thrown.
#include "common/base/lost_exceptions.h"

#include <cstdio>
#include <new>
#include <stdexcept>
#include <system_error>
#include <thread>

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

template <typename Throw>
void lose_on_a_thread(Throw throwing) {
  std::thread thread([&]() noexcept { throwing(); });
  thread.join();
}

class LostExceptions : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(LostExceptions, LackOfMemoryEndsWith13) {
  EXPECT_EXIT(
      {
        end_on_lost_exceptions();
        lose_on_a_thread([] { throw std::bad_alloc(); });
      },
      testing::ExitedWithCode(13), "error: not enough memory: take a larger machine");
}

TEST_F(LostExceptions, LackOfThreadsEndsWith13) {
  EXPECT_EXIT(
      {
        end_on_lost_exceptions();
        lose_on_a_thread([] { throw std::system_error(EAGAIN, std::generic_category(), "thread"); });
      },
      testing::ExitedWithCode(13), "thread: Resource temporarily unavailable");
}

TEST_F(LostExceptions, AreToldInsteadWhereSomebodyListens) {
  EXPECT_EXIT(
      {
        end_on_lost_exceptions(
            [](const Error& error) { std::fprintf(stderr, "told %s\n", error.message.c_str()); });
        lose_on_a_thread([] { throw std::bad_alloc(); });
      },
      testing::ExitedWithCode(13), "^told not enough memory");
}

TEST_F(LostExceptions, EndWith13EvenWhenTellingTakesMemoryThatIsNotThere) {
  EXPECT_EXIT(
      {
        end_on_lost_exceptions([](const Error&) { throw std::bad_alloc(); });
        lose_on_a_thread([] { throw std::bad_alloc(); });
      },
      testing::ExitedWithCode(13), "^not enough memory");
}

TEST_F(LostExceptions, OfOtherKindsAreBugs) {
  EXPECT_EXIT(
      {
        end_on_lost_exceptions();
        lose_on_a_thread([] { throw std::out_of_range("index 7"); });
      },
      testing::ExitedWithCode(70), "bug: an exception was lost: index 7");
}

}  // namespace
}  // namespace gnnflow
