// The list of files of a piece.
#include "orchestrator/engine/manifest.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

const std::vector<HostFile> kFiles = {{"a.npy", 5, "d1"}, {"below/b.npy", 7, "d2", true}};

TEST(Manifest, IsReadAsItWasWritten) {
  const auto files = parse_manifest(write_manifest(kFiles), "m");
  ASSERT_TRUE(files);
  EXPECT_EQ(files->size(), 2u);
  EXPECT_EQ((*files)[1].path, "below/b.npy");
  EXPECT_FALSE((*files)[0].executable);
  EXPECT_TRUE((*files)[1].executable);
  EXPECT_EQ(bytes_of(*files), 12);
  EXPECT_EQ(digest_of_files(*files), digest_of_files(kFiles));
}

// As daemons write it: files by path, nothing said of one that cannot be run.
TEST(Manifest, HasOneForm) {
  EXPECT_EQ(write_manifest({kFiles[1], kFiles[0]}),
            R"({"files":[{"bytes":5,"digest":"d1","path":"a.npy"},)"
            R"({"bytes":7,"digest":"d2","executable":true,"path":"below/b.npy"}],)"
            R"("format":"gnnflow.manifest","version":1})");
}

TEST(Manifest, IsReadStrictly) {
  const auto refused = [](const std::string& text) {
    const auto files = parse_manifest(text, "m");
    return files ? "" : files.error().message;
  };
  const std::string end = R"(],"format":"gnnflow.manifest","version":1})", begin = R"({"files":[)";
  EXPECT_EQ(refused(begin + end), "");
  EXPECT_EQ(refused(R"({"files":[],"version":1})"), "m: key 'format' is missing");
  EXPECT_EQ(refused(R"({"files":[],"format":"x","version":1})"),
            "m: this is no list of the files of a piece");
  EXPECT_EQ(refused(R"({"files":[],"format":"gnnflow.manifest","version":2})"),
            "m: version 2 is not 1, the one this program reads");
  EXPECT_EQ(refused(begin + R"({"bytes":1,"digest":"d"})" + end), "m: file 0: key 'path' is missing");
  EXPECT_EQ(refused(begin + R"({"bytes":1,"digest":"d","path":"x","executable":1})" + end),
            "m: file 0: 'executable' must be true or false, but is integer");
  EXPECT_EQ(refused(begin + R"({"bytes":1,"digest":"d","path":"x","size":1})" + end),
            "m: file 0: unknown key 'size'");
}

TEST(Manifest, ListsOfTheWorkerSayMore) {
  const auto files = parse_listing(
      R"({"kind":"graph","digest":"g","version":1,"files":[{"bytes":1,"digest":"d","path":"x"}]})", "l");
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->front().path, "x");
  EXPECT_EQ(parse_listing(R"({"kind":"graph"})", "l").error().message, "l: has no list 'files'");
}

TEST(Manifest, CutOrFlippedIsRefusedOrStillInside) {
  const std::string text = write_manifest(kFiles);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto cut = parse_manifest(text.substr(0, i), "m");
    EXPECT_FALSE(cut) << i;
    EXPECT_EQ(cut.error().cause, Cause::bad_data);
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = text;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      const auto files = parse_manifest(flipped, "m");
      if (!files) continue;
      for (const HostFile& file : *files) EXPECT_TRUE(is_inside(file.path) && file.bytes >= 0) << flipped;
    }
  }
}

TEST(Manifest, RefusesPathsThatLeadOut) {
  for (const char* path : {"../x", "/etc/x", "", "a/../../x"}) {
    const auto files = parse_manifest(write_manifest({{path, 1, "d"}}), "m");
    ASSERT_FALSE(files) << path;
    EXPECT_EQ(files.error().message.find("m: no file can be"), 0u);
  }
}

TEST(Manifest, NamesTheFirstFileThatDoesNotFit) {
  TempDir folder;
  folder.file("a.npy", "12345");
  EXPECT_EQ(first_misfit(folder.path(), kFiles), "file below/b.npy is gone");
  const fs::path tool = folder.file("below/b.npy", "1234567");
  EXPECT_EQ(first_misfit(folder.path(), kFiles), "file below/b.npy cannot be run any more");
  fs::permissions(tool, fs::perms::owner_exec, fs::perm_options::add);
  EXPECT_EQ(first_misfit(folder.path(), kFiles), "");
  folder.file("a.npy", "123");
  EXPECT_EQ(first_misfit(folder.path(), kFiles), "file a.npy has 3 bytes instead of 5");
}

}  // namespace
}  // namespace gnnflow
