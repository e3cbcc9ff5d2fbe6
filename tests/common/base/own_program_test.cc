// Where programs lie when no bundle is about; out of a bundle they run in
// tests/orchestrator/remote/bundle_local_test.cc.
#include <cstdlib>

#include <gtest/gtest.h>

#include "common/base/child_process.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

TEST(OwnProgram, IsStartedByItsPathAlone) {
  EXPECT_EQ(program_command(own_program()), std::vector<std::string>{own_program().string()});
  EXPECT_EQ(program_command("/bin/true"), std::vector<std::string>{"/bin/true"});
}

TEST(OwnProgram, AVariableThatWasInheritedDoesNotMakeABundle) {
  TempDir bundle;
  bundle.file("lib/" + std::string(kLoaderName), "some loader");
  const fs::path before = own_program();
  for (const std::string& folder : {bundle.path().string(), std::string("/none"), std::string()}) {
    ASSERT_EQ(::setenv("GNNFLOW_BUNDLE", folder.c_str(), 1), 0);
    EXPECT_EQ(own_program(), before);
    EXPECT_EQ(program_command(before), std::vector<std::string>{before.string()});
  }
  ::unsetenv("GNNFLOW_BUNDLE");
}

TEST(BundledCommand, IsTheLoaderTheLibrariesAndTheProgram) {
  EXPECT_EQ(bundled_command("/b", "gnnflow-worker"),
            (std::vector<std::string>{"/b/lib/" + std::string(kLoaderName), "--library-path", "/b/lib",
                                      "/b/bin/gnnflow-worker"}));
}

}  // namespace
}  // namespace gnnflow
