// Files that are copied: whole, right, resumed, and inside.
#include "orchestrator/remote/transfer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/base/digest.h"
#include "orchestrator/remote/local_host.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

std::string bytes_of(size_t size, unsigned seed) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>((seed = seed * 1664525u + 1013904223u) >> 24);
  return bytes;
}

class TransferTest : public testing::Test {
 protected:
  HostFile make(const std::string& path, const std::string& content) {
    source.file(path, content);
    return {path, static_cast<int64_t>(content.size()), digest_of(content)};
  }
  Status put(const std::vector<HostFile>& files, const fs::path& to = "data/d1") {
    return host.put(
        source.path(), files, to, [this](int64_t bytes) { told.push_back(bytes); }, stop);
  }
  std::string there(const fs::path& path) { return read_file(host.root() / path).value_or("(none)"); }
  fs::path part(const HostFile& file) { return host.root() / "incoming" / (file.digest + ".part"); }

  TempDir source, workspace;
  LocalHost host{"node1", workspace.path(), std::string(32, 'b'), "/bin/false"};
  StopSignal stop;
  std::vector<int64_t> told;
};

TEST_F(TransferTest, PutsWholeFilesAndTellsHowFarItIs) {
  const std::string large = bytes_of(3'500'000, 1);
  const std::vector<HostFile> files = {make("a/b/large.npy", large), make("empty", ""), make("small", "x")};
  ASSERT_TRUE(put(files));
  EXPECT_EQ(there("data/d1/a/b/large.npy"), large);
  EXPECT_EQ(there("data/d1/empty"), "");
  EXPECT_EQ(there("data/d1/small"), "x");
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(told.back(), 3'500'001);
  EXPECT_GT(told.size(), 4u);
  EXPECT_FALSE(fs::exists(host.root() / "incoming")) << "nothing is left in it";
  EXPECT_EQ(host.root(), workspace.path() / std::string(32, 'b') / "node1");
}

TEST_F(TransferTest, CopiesAreFilesOfTheirOwn) {
  ASSERT_TRUE(put({make("x", "same")}));
  struct stat from {
  }, to{};
  ASSERT_EQ(::stat((source / "x").c_str(), &from), 0);
  ASSERT_EQ(::lstat((host.root() / "data/d1/x").c_str(), &to), 0);
  EXPECT_NE(from.st_ino, to.st_ino);
  EXPECT_EQ(to.st_nlink, 1u);
  EXPECT_TRUE(S_ISREG(to.st_mode));
}

TEST_F(TransferTest, DoesNotSendAgainWhatIsThere) {
  const HostFile file = make("x", bytes_of(100'000, 2));
  ASSERT_TRUE(put({file}));
  const fs::file_time_type before = fs::last_write_time(host.root() / "data/d1/x");
  const int64_t renames = file_counters().renames;
  told.clear();
  ASSERT_TRUE(put({file}));
  EXPECT_EQ(file_counters().renames, renames);
  EXPECT_EQ(fs::last_write_time(host.root() / "data/d1/x"), before);
  EXPECT_EQ(told.back(), 100'000);
}

TEST_F(TransferTest, ReplacesWhatIsThereButWrong) {
  const HostFile file = make("x", "right");
  ASSERT_TRUE(create_folders(host.root() / "data/d1"));
  ASSERT_TRUE(write_file_atomically(host.root() / "data/d1/x", "wrong"));
  ASSERT_TRUE(put({file}));
  EXPECT_EQ(there("data/d1/x"), "right");
}

TEST_F(TransferTest, GoesOnWhereAnEarlierTryEnded) {
  const std::string content = bytes_of(3'000'000, 3);
  const HostFile file = make("x", content);
  ASSERT_TRUE(create_folders(host.root() / "incoming"));
  ASSERT_TRUE(write_file_atomically(part(file), content.substr(0, 2'500'000)));
  ASSERT_TRUE(put({file}));
  EXPECT_EQ(there("data/d1/x"), content);
  EXPECT_GT(told.front(), 2'500'000) << "it began anew";
}

TEST_F(TransferTest, BeginsAnewWhenWhatIsThereIsOfSomethingElse) {
  const std::string content = bytes_of(50'000, 4);
  const HostFile file = make("x", content);
  for (const std::string& junk : {std::string("junk"), bytes_of(50'000, 5), bytes_of(60'000, 6)}) {
    ASSERT_TRUE(create_folders(host.root() / "incoming"));
    ASSERT_TRUE(write_file_atomically(part(file), junk));
    ASSERT_TRUE(put({file}));
    EXPECT_EQ(there("data/d1/x"), content);
    fs::remove(host.root() / "data/d1/x");
  }
}

TEST_F(TransferTest, AChangedSourceIsBadDataAndNamed) {
  HostFile file = make("x", "some bytes");
  const auto refused = [&](const std::string& how) {
    Status status = put({file});
    ASSERT_FALSE(status);
    EXPECT_EQ(exit_code(status.error().cause), 12);
    EXPECT_NE(status.error().message.find("host node1: " + (source / "x").string() + ": " + how),
              std::string::npos)
        << status.error().message;
    EXPECT_FALSE(fs::exists(host.root() / "data/d1/x"));
    EXPECT_FALSE(fs::exists(part(file)));
  };
  source.file("x", "some bytEs");
  refused("its digest is");
  source.file("x", "some byt");
  refused("it has 8 bytes instead of 10");
  fs::remove(source / "x");
  refused("it is not there");
}

TEST_F(TransferTest, StopsInTheMiddleOfAFileAndKeepsWhatItHas) {
  const HostFile file = make("x", bytes_of(8'000'000, 7));
  Status status = host.put(
      source.path(), {file}, "data/d1",
      [&](int64_t bytes) {
        if (bytes > 2'000'000) stop.raise(Cause::interrupted);
      },
      stop);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().cause, Cause::interrupted);
  EXPECT_FALSE(fs::exists(host.root() / "data/d1/x"));
  EXPECT_LT(fs::file_size(part(file)), 8'000'000u);
  EXPECT_GT(fs::file_size(part(file)), 0u);
}

TEST_F(TransferTest, RefusesPathsThatLeadOutside) {
  HostFile file = make("x", "y");
  for (const char* bad : {"../x", "a/../../x", "/etc/x", "", "a//x", "./x"}) {
    file.path = bad;
    Status status = put({file});
    ASSERT_FALSE(status) << bad;
    EXPECT_EQ(status.error().cause, Cause::bad_data);
    EXPECT_FALSE(host.check({file}, "data/d1", false, stop)) << bad;
    EXPECT_FALSE(host.get("data", {file}, workspace / "out", nullptr, stop)) << bad;
  }
  file.path = "x";
  EXPECT_FALSE(put({file}, "../outside"));
  EXPECT_FALSE(host.read("../" + std::string("x"), 10));
  file.digest = "../../../../../../tmp/x";
  EXPECT_FALSE(put({file}));
}

TEST_F(TransferTest, FollowsNoLinkOnTheHost) {
  TempDir outside;
  outside.file("secret", "s");
  ASSERT_TRUE(create_folders(host.root() / "data"));
  fs::create_symlink(outside.path(), host.root() / "data/d1");
  const HostFile file = make("x", "y");
  Status status = put({file});
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("d1 is a link"), std::string::npos) << status.error().message;
  EXPECT_FALSE(fs::exists(outside / "x"));
  EXPECT_FALSE(host.read("data/d1/secret", 100));
  EXPECT_FALSE(host.get("data/d1", {{"secret", 1, digest_of("s")}}, workspace / "out", nullptr, stop));
}

TEST_F(TransferTest, GetsFilesTheSameWay) {
  const std::string content = bytes_of(1'200'000, 8);
  const HostFile file = make("a/x", content);
  ASSERT_TRUE(put({file}));
  for (const fs::path& to : {workspace / "out/model", workspace / "out/again/"}) {
    Status status = host.get(
        "data/d1", {file}, to, [this](int64_t bytes) { told.push_back(bytes); }, stop);
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(*read_file(to / "a/x"), content);
    EXPECT_EQ(told.back(), 1'200'000);
  }
  EXPECT_FALSE(fs::exists(workspace / "out/incoming"));
  fs::resize_file(host.root() / "data/d1/a/x", 5);
  Status status = host.get("data/d1", {file}, workspace / "other", nullptr, stop);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().cause, Cause::bad_data);
}

TEST_F(TransferTest, WhatCanBeRunCanBeRunAtBothEnds) {
  const auto may_run = [](const fs::path& file) {
    return (fs::status(file).permissions() & fs::perms::owner_exec) != fs::perms::none;
  };
  HostFile tool = make("tool", "#!/bin/sh");
  tool.executable = true;
  const HostFile plain = make("plain", "x");
  ASSERT_TRUE(put({tool, plain}));
  EXPECT_TRUE(may_run(host.root() / "data/d1/tool"));
  EXPECT_FALSE(may_run(host.root() / "data/d1/plain"));
  ASSERT_TRUE(host.get("data/d1", {tool, plain}, workspace / "out", nullptr, stop));
  EXPECT_TRUE(may_run(workspace / "out/tool"));
  EXPECT_FALSE(may_run(workspace / "out/plain"));
}

TEST_F(TransferTest, WhatLostItsBitIsNotThereUntilItIsPutAgain) {
  HostFile tool = make("tool", "#!/bin/sh");
  tool.executable = true;
  const HostFile plain = make("plain", "x");
  const auto check = [&] { return *host.check({tool, plain}, "data/d1", false, stop); };
  ASSERT_TRUE(put({tool, plain}));
  EXPECT_EQ(check(), (std::vector<bool>{true, true}));
  fs::permissions(host.root() / "data/d1/tool", fs::perms::owner_exec, fs::perm_options::remove);
  EXPECT_EQ(check(), (std::vector<bool>{false, true}));
  ASSERT_TRUE(put({tool, plain}));
  EXPECT_EQ(check(), (std::vector<bool>{true, true}));
}

TEST_F(TransferTest, ChecksSizesAndDigests) {
  const std::vector<HostFile> files = {make("same", "abc"), make("other", "abc"), make("short", "abc"),
                                       make("none", "abc")};
  ASSERT_TRUE(put(files));
  ASSERT_TRUE(write_file_atomically(host.root() / "data/d1/other", "abd"));
  ASSERT_TRUE(write_file_atomically(host.root() / "data/d1/short", "ab"));
  fs::remove(host.root() / "data/d1/none");
  EXPECT_EQ(*host.check(files, "data/d1", false, stop), (std::vector<bool>{true, true, false, false}));
  EXPECT_EQ(*host.check(files, "data/d1", true, stop), (std::vector<bool>{true, false, false, false}));
}

TEST_F(TransferTest, AStopSignalEndsACheckOfDigests) {
  const HostFile file = make("x", "abc");
  ASSERT_TRUE(put({file}));
  stop.raise(Cause::interrupted);
  Result<std::vector<bool>> good = host.check({file}, "data/d1", true, stop);
  ASSERT_FALSE(good);
  EXPECT_EQ(good.error().cause, Cause::interrupted);
}

TEST_F(TransferTest, ReadsASmallFileUpToItsLimit) {
  ASSERT_TRUE(put({make("m.json", "{}")}));
  EXPECT_EQ(*host.read("data/d1/m.json", 10), "{}");
  EXPECT_EQ(host.read("data/d1/m.json", 1).error().cause, Cause::bad_data);
  EXPECT_EQ(host.read("data/d1/none", 10).error().cause, Cause::not_found);
}

TEST_F(TransferTest, SyncsEachFileAndItsFolders) {
  const HostFile file = make("a/x", "y");
  const FileCounters before = file_counters();
  ASSERT_TRUE(put({file}));
  // The file, the two folders of the rename, and a, d1, data, the root.
  EXPECT_GE(file_counters().syncs - before.syncs, 6);
  EXPECT_EQ(file_counters().renames - before.renames, 1);
}

}  // namespace
}  // namespace gnnflow
