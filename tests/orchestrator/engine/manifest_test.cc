// The list of files of a piece.
#include "orchestrator/engine/manifest.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

const std::vector<HostFile> kFiles = {{"a.npy", 5, "d1"}, {"below/b.npy", 7, "d2"}};

TEST(Manifest, IsReadAsItWasWritten) {
  const auto files = parse_manifest(write_manifest(kFiles), "m");
  ASSERT_TRUE(files);
  EXPECT_EQ(files->size(), 2u);
  EXPECT_EQ((*files)[1].path, "below/b.npy");
  EXPECT_EQ(bytes_of(*files), 12);
  EXPECT_EQ(digest_of_files(*files), digest_of_files(kFiles));
}

TEST(Manifest, CutOrFlippedIsRefusedOrStillInside) {
  const std::string text = write_manifest(kFiles);
  for (size_t i = 0; i < text.size() - 2; ++i) {
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
  folder.file("below/b.npy", "1234567");
  EXPECT_EQ(first_misfit(folder.path(), kFiles), "");
  folder.file("a.npy", "123");
  EXPECT_EQ(first_misfit(folder.path(), kFiles), "file a.npy has 3 bytes instead of 5");
}

}  // namespace
}  // namespace gnnflow
