// Paths that begin with "~".
#include "common/base/home.h"

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

class Home : public testing::Test {
 protected:
  void SetUp() override {
    const char* named = std::getenv("HOME");
    if (named) before_ = named;
  }
  void TearDown() override { before_.empty() ? ::unsetenv("HOME") : ::setenv("HOME", before_.c_str(), 1); }

 private:
  std::string before_;
};

TEST_F(Home, IsWhatTheEnvironmentSays) {
  ::setenv("HOME", "/home/ann", 1);
  EXPECT_EQ(home_folder().value_or({}), "/home/ann");
  EXPECT_EQ(expand_home("~").value_or({}), "/home/ann");
  EXPECT_EQ(expand_home("~/data/x").value_or({}), "/home/ann/data/x");
}

TEST_F(Home, IsWhatTheSystemSaysWithoutAnEnvironment) {
  ::unsetenv("HOME");
  const Result<fs::path> home = home_folder();
  ASSERT_TRUE(home) << home.error().message;
  EXPECT_TRUE(home->is_absolute());
}

TEST_F(Home, LeavesOtherPathsAlone) {
  for (const char* path : {"data", "/data", "~ann/data", "a/~/b", ""}) EXPECT_EQ(*expand_home(path), path);
}

}  // namespace
}  // namespace gnnflow
