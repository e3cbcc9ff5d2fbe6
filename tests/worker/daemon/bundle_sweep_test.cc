// Which programs on a host are nobody's any more. Nothing runs in these folders: what runs is tested with
// real bundles.
#include "worker/daemon/bundle_sweep.h"

#include <optional>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

const std::string kOld(32, 'a'), kNew(32, 'b'), kStore(32, 'c'), kOtherStore(32, 'd');

// Two bundles that share a library.
struct Workspace {
  TempDir folder;
  StopSignal stop;
  fs::path bundles = folder / "bundles";

  Workspace() {
    file("files/1", "old program");
    file("files/2", "new program!");
    file("files/3", "library");
    link("files/1", kOld + "/bin/worker");
    link("files/3", kOld + "/lib/shared");
    link("files/2", kNew + "/bin/worker");
    link("files/3", kNew + "/lib/shared");
    fs::create_directories(folder / kStore / "node1");
  }
  void file(const std::string& name, std::string_view content) { folder.file("bundles/" + name, content); }
  void link(const std::string& from, const std::string& to) {
    fs::create_directories((bundles / to).parent_path());
    fs::create_hard_link(bundles / from, bundles / to);
  }
  void age(const std::string& name) {
    const timespec days_ago[2] = {{::time(nullptr) - 3 * 24 * 3600, 0}, {::time(nullptr) - 3 * 24 * 3600, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, (bundles / name).c_str(), days_ago, 0), 0);
  }
  bool has(const std::string& name) const { return fs::exists(bundles / name); }
  std::vector<SweptBundle> sweep(const SweepWish& wish) const {
    Result<std::vector<SweptBundle>> swept = sweep_bundles(folder.path(), kStore, wish, stop);
    EXPECT_TRUE(swept) << swept.error().message;
    return swept ? *swept : std::vector<SweptBundle>();
  }
};

TEST(BundleSweep, RemovesWhatIsOldAndKeepsTheFilesThatAYoungBundleShares) {
  Workspace workspace;
  workspace.age(kOld);
  const std::vector<SweptBundle> swept = workspace.sweep({});
  ASSERT_EQ(swept.size(), 1u);
  EXPECT_EQ(swept[0].path, "bundles/" + kOld);
  EXPECT_EQ(swept[0].bytes, 11);  // of the old program: the library stays
  EXPECT_FALSE(workspace.has(kOld));
  EXPECT_FALSE(workspace.has("files/1"));
  EXPECT_TRUE(workspace.has("files/2"));
  EXPECT_TRUE(workspace.has("files/3"));
  EXPECT_TRUE(workspace.has(kNew + "/lib/shared"));
  EXPECT_TRUE(workspace.sweep({}).empty());
}

TEST(BundleSweep, OnlySaysSoInADryRun) {
  Workspace workspace;
  workspace.age(kOld);
  EXPECT_EQ(workspace.sweep({.dry_run = true}).size(), 1u);
  EXPECT_TRUE(workspace.has(kOld));
  EXPECT_TRUE(workspace.has("files/1"));
}

TEST(BundleSweep, KeepsFilesThatWereJustSentAndAreInNoBundleYet) {
  Workspace workspace;
  workspace.file("files/4", "sent");
  workspace.file("files/5", "sent long ago");
  workspace.age("files/5");
  EXPECT_TRUE(workspace.sweep({}).empty());
  EXPECT_TRUE(workspace.has("files/4"));
  EXPECT_FALSE(workspace.has("files/5"));
}

TEST(BundleSweep, RemovesOldReceiversAndPartsAndWhatAKilledSweepLeft) {
  Workspace workspace;
  workspace.file("receive/old/gnnflow-receive", "x");
  workspace.file("receive/new/gnnflow-receive", "x");
  workspace.file("incoming/old.part", "x");
  workspace.file("incoming/new.part", "x");
  workspace.file("trash-0123/x", "x");
  workspace.age("receive/old");
  workspace.age("incoming/old.part");
  EXPECT_TRUE(workspace.sweep({}).empty());
  EXPECT_FALSE(workspace.has("receive/old"));
  EXPECT_TRUE(workspace.has("receive/new"));
  EXPECT_FALSE(workspace.has("incoming/old.part"));
  EXPECT_TRUE(workspace.has("incoming/new.part"));
  EXPECT_FALSE(workspace.has("trash-0123"));
}

TEST(BundleSweep, OfEverythingLeavesNoBundleWhenNoOtherStoreIsThere) {
  Workspace workspace;
  const std::vector<SweptBundle> swept = workspace.sweep({.all = true});
  ASSERT_EQ(swept.size(), 1u);
  EXPECT_EQ(swept[0].path, "bundles");
  EXPECT_EQ(swept[0].bytes, 11 + 12 + 7);  // each file once
  EXPECT_FALSE(fs::exists(workspace.bundles));
  EXPECT_TRUE(fs::exists(workspace.folder / kStore / "node1"));
}

TEST(BundleSweep, OfEverythingLeavesTheFolderToAnotherStore) {
  Workspace workspace;
  fs::create_directories(workspace.folder / kOtherStore / "node1");
  EXPECT_EQ(workspace.sweep({.all = true}).size(), 2u);  // nothing runs from them
  EXPECT_TRUE(workspace.has("files"));
  EXPECT_FALSE(workspace.has(kNew));
}

TEST(BundleSweep, OfAWorkspaceWithoutBundlesIsNothing) {
  TempDir folder;
  const StopSignal stop;
  Result<std::vector<SweptBundle>> swept = sweep_bundles(folder.path(), kStore, {.all = true}, stop);
  ASSERT_TRUE(swept) << swept.error().message;
  EXPECT_TRUE(swept->empty());
}

TEST(BundleSweep, IsNothingWhileAnotherControllerMakesABundle) {
  Workspace workspace;
  workspace.age(kOld);
  std::optional<FileLock> maker = *FileLock::take(workspace.bundles / "lock");
  EXPECT_TRUE(workspace.sweep({.dry_run = true, .patience = Milliseconds(0)}).empty());
  EXPECT_TRUE(workspace.sweep({.all = true, .patience = Milliseconds(50)}).empty());
  EXPECT_TRUE(workspace.has(kOld));
  maker.reset();
  EXPECT_EQ(workspace.sweep({.patience = Milliseconds(0)}).size(), 1u);
}

TEST(BundleSweep, WaitsForAnotherControllerNoLongerThanTheDaemonLives) {
  Workspace workspace;
  const FileLock maker = *FileLock::take(workspace.bundles / "lock");
  workspace.stop.raise(Cause::terminated);
  Result<std::vector<SweptBundle>> swept = sweep_bundles(workspace.folder.path(), kStore, {}, workspace.stop);
  ASSERT_FALSE(swept);
  EXPECT_EQ(swept.error().cause, Cause::terminated);
  EXPECT_EQ(swept.error().message, "stopped while another controller makes a bundle");
}

}  // namespace
}  // namespace gnnflow
