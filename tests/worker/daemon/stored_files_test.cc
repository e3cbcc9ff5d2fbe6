// What lies on a host is listed, removed and forgotten, and nothing else is touched.
#include "worker/daemon/stored_files.h"

#include <map>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

struct StoredFiles : testing::Test {
  TempDir temp;
  HostFolder host{temp / "store/host"};
  StopSignal stop;

  void SetUp() override { ASSERT_TRUE(host.make()); }
  void put(std::string_view name, std::string_view content = "12345") const {
    temp.file("store/host/" + std::string(name), content);
  }
  std::map<std::string, int64_t> listed() {
    std::map<std::string, int64_t> bytes;
    Result<Json> things = inventory(host, stop);
    if (!things) return {{things.error().message, -1}};
    for (const Json& thing : things->array()) {
      EXPECT_GT(thing.integer_or("changed_ms", 0), 1'500'000'000'000);
      bytes[thing.text_or("path", "")] = thing.integer_or("bytes", -1);
    }
    return bytes;
  }
};

using Listed = std::map<std::string, int64_t>;

TEST_F(StoredFiles, AreListedByTheNamesByWhichTheyAreRemoved) {
  put("outputs/step/key/1/graph/graph.json");
  put("outputs/step/key/1/graph/nodes/feat.npy", "1234567890");
  put("outputs/step/key/2/graph.manifest.json");
  put("data/abc/part-0/graph.json");
  put("data/abc.parts");
  put("checkpoints/model/key/1/checkpoint.json");
  put("checkpoints/model/key/2/checkpoint.json");
  put("logs/a.b.log");
  put("incoming/ff.part");
  put("tmp/a.b/task.json");
  put("journal");
  EXPECT_EQ(listed(), (Listed{{"outputs/step/key/1", 15},
                              {"outputs/step/key/2", 5},
                              {"data/abc", 5},
                              {"data/abc.parts", 5},
                              {"checkpoints/model/key", 10},
                              {"logs/a.b.log", 5},
                              {"incoming/ff.part", 5},
                              {"tmp/a.b", 5}}));
  for (const auto& [path, bytes] : listed()) ASSERT_TRUE(remove_stored(host, path)) << path;
  EXPECT_EQ(listed(), Listed{});
  EXPECT_FALSE(fs::exists(host.root / "outputs/step"));
  EXPECT_TRUE(fs::exists(host.root / "outputs"));
  EXPECT_TRUE(fs::exists(host.journal()));
}

TEST_F(StoredFiles, BehindALinkAreNeitherListedNorRemoved) {
  temp.file("elsewhere/precious", "1234567890");
  fs::create_symlink(temp / "elsewhere", host.root / "data/link");
  fs::create_symlink(temp / "elsewhere", host.root / "outputs/step");
  Listed things = listed();
  ASSERT_EQ(things.size(), 2u);
  EXPECT_EQ(things.at("data/link"), 0);
  EXPECT_EQ(things.at("outputs/step"), 0);
  Status refused = remove_stored(host, "outputs/step/precious");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().cause, Cause::bad_data);
  EXPECT_TRUE(fs::exists(temp / "elsewhere/precious"));
}

TEST_F(StoredFiles, ThatAreBeingWrittenAreNotRemoved) {
  put("incoming/ff.part");
  std::optional<FileLock> writer = FileLock::take(host.root / "incoming/ff.part").value();
  Status refused = remove_stored(host, "incoming/ff.part");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().cause, Cause::locked);
  EXPECT_EQ(refused.error().message, (host.root / "incoming/ff.part").string() + " is being written");
  writer.reset();
  EXPECT_TRUE(remove_stored(host, "incoming/ff.part"));
  EXPECT_EQ(listed(), Listed{});
}

TEST_F(StoredFiles, OutsideOfTheirFoldersAreNotRemoved) {
  for (const char* path :
       {"journal", "lock", "daemon.log", "logs", "logs/", "logs/../journal", "/etc/x", ""}) {
    Status refused = remove_stored(host, path);
    ASSERT_FALSE(refused) << path;
    EXPECT_EQ(refused.error().cause, Cause::bad_data) << path;
  }
  EXPECT_EQ(remove_stored(host, "journal").error().message,
            "'journal' is not below outputs/, data/, checkpoints/, tmp/, logs/, incoming/");
}

TEST_F(StoredFiles, AListingStops) {
  put("data/abc/part-0/graph.json");
  stop.raise(Cause::terminated);
  Result<Json> things = inventory(host, stop);
  ASSERT_FALSE(things);
  EXPECT_EQ(things.error().cause, Cause::terminated);
}

TEST_F(StoredFiles, ForgettingTakesTheRootAndTheEmptyStoreAway) {
  for (const char* name : {"outputs/s/k/1/g/x", "data/d/part-0/x", "checkpoints/m/k/1/x", "logs/a.log",
                           "incoming/f.part", "tmp/a/x", "journal", "lock", "daemon.log", "trash-ab/x"}) {
    put(name);
  }
  EXPECT_EQ(forget_everything(host), std::vector<std::string>());
  EXPECT_FALSE(fs::exists(temp / "store"));
  EXPECT_TRUE(fs::exists(temp.path()));
}

TEST_F(StoredFiles, ForgettingLeavesWhatIsNotOursAndSaysSo) {
  temp.file("elsewhere/precious", "1");
  put("notes.txt");
  put("journal");
  fs::create_symlink(temp / "elsewhere", host.root / "data/link");
  EXPECT_EQ(forget_everything(host), std::vector<std::string>{"notes.txt"});
  EXPECT_TRUE(fs::exists(host.root / "notes.txt"));
  EXPECT_FALSE(fs::exists(host.root / "journal"));
  EXPECT_FALSE(fs::exists(host.root / "data"));
  EXPECT_TRUE(fs::exists(temp / "elsewhere/precious"));
}

TEST_F(StoredFiles, ForgettingLeavesTheStoreOfOtherHostEntries) {
  temp.file("store/other/journal", "1");
  EXPECT_EQ(forget_everything(host), std::vector<std::string>());
  EXPECT_FALSE(fs::exists(host.root));
  EXPECT_TRUE(fs::exists(temp / "store/other/journal"));
}

TEST_F(StoredFiles, ALogOverItsLimitKeepsItsBeginningAndItsEnd) {
  constexpr LogLimits kLimits{256 << 10, 64 << 10, 64 << 10};
  std::string text(512 << 10, 'x');
  text.replace(0, 5, "first");
  text.replace(text.size() - 4, 4, "last");
  const fs::path log = temp.file("log", text);
  struct stat before {
  }, after{};
  ASSERT_EQ(::stat(log.c_str(), &before), 0);
  cap_log(log, kLimits);
  ASSERT_EQ(::stat(log.c_str(), &after), 0);
  EXPECT_EQ(after.st_size, before.st_size);
  EXPECT_LT(after.st_blocks, before.st_blocks);
  const std::string kept = *read_file(log);
  EXPECT_TRUE(kept.starts_with("first"));
  EXPECT_TRUE(kept.ends_with("xxlast"));
  EXPECT_EQ(kept[text.size() / 2], '\0');
  cap_log(log, kLimits);
  EXPECT_EQ(*read_file(log), kept);
}

}  // namespace
}  // namespace gnnflow
