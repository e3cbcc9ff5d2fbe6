// How lines of the log look.
#include "common/base/log.h"

#include <regex>

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

std::string logged(LogLevel least, LogLevel level, std::string_view message) {
  open_log("gnnflow-worker", least);
  testing::internal::CaptureStderr();
  log(level, message);
  return testing::internal::GetCapturedStderr();
}

TEST(Log, LinesHaveTimeProgramLevelAndText) {
  const std::regex line(R"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d gnnflow-worker warning: text 5%\n)");
  open_log("gnnflow-worker", LogLevel::info);
  testing::internal::CaptureStderr();
  log_warning("text {}%", 5);
  std::string text = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(std::regex_match(text, line)) << text;
}

TEST(Log, LevelsBelowTheLeastAreSilent) {
  EXPECT_EQ(logged(LogLevel::warning, LogLevel::info, "x"), "");
  EXPECT_NE(logged(LogLevel::warning, LogLevel::warning, "x").find("warning: x\n"), std::string::npos);
  EXPECT_NE(logged(LogLevel::debug, LogLevel::debug, "x").find("debug: x\n"), std::string::npos);
  EXPECT_NE(logged(LogLevel::error, LogLevel::error, "x").find("error: x\n"), std::string::npos);
}

TEST(Log, AMessageStaysOneLineAndCommandsNoTerminal) {
  EXPECT_NE(logged(LogLevel::info, LogLevel::info, "a\nb\x1b[2J{}").find("info: a\\nb\\x1b[2J{}\n"),
            std::string::npos);
}

}  // namespace
}  // namespace gnnflow
