// Causes, their exit codes and names, and errors of the system.
#include "common/base/result.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return Error{Cause::bad_data, "odd"};
  return number / 2;
}

Result<int> quarter(int number) {
  TRY(int once, half(number));
  TRY(int twice, half(once));
  return twice;
}

Status twice_even(int number) {
  TRY(quarter(number));
  return {};
}

TEST(Result, TryPassesValuesOnAndErrorsOut) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error().message, "odd");
  EXPECT_TRUE(twice_even(4));
  EXPECT_EQ(twice_even(2).error().cause, Cause::bad_data);
}

TEST(Result, WithinPutsTheContextFirst) {
  Result<int> result = half(3).within("reading a.yaml");
  EXPECT_EQ(result.error().message, "reading a.yaml: odd");
  EXPECT_EQ(*half(4).within("reading a.yaml"), 2);
}

TEST(Cause, EveryExitCodeLeadsBackToItsCauseAndName) {
  for (int code : {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 70, 75, 129, 130, 143}) {
    Cause cause = cause_of_exit_code(code);
    EXPECT_EQ(exit_code(cause), code);
    EXPECT_EQ(cause_named(name_of(cause)), cause);
  }
  EXPECT_EQ(name_of(Cause::bad_data), "bad_data");
}

TEST(Cause, AnUnknownExitCodeIsFailed) {
  EXPECT_EQ(cause_of_exit_code(99), Cause::failed);
  EXPECT_EQ(cause_named("no_such_cause"), std::nullopt);
}

TEST(SystemError, NamesTheActAndTellsFullDisksAndAbsentFilesApart) {
  EXPECT_EQ(system_error("writing x", ENOSPC).message, "writing x: No space left on device");
  EXPECT_EQ(system_error("writing x", ENOSPC).cause, Cause::no_resources);
  EXPECT_EQ(system_error("writing x", EDQUOT).cause, Cause::no_resources);
  EXPECT_EQ(system_error("mapping x", ENOMEM).cause, Cause::no_resources);
  EXPECT_EQ(system_error("opening x", ENOENT).cause, Cause::not_found);
  EXPECT_EQ(system_error("opening x", EACCES).cause, Cause::failed);
  EXPECT_EQ(system_error("x", 99999).message, "x: error 99999");
}

}  // namespace
}  // namespace gnnflow
