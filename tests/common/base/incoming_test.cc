// Parts, their locks, and paths that must not lead outside.
#include "common/base/incoming.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

class IncomingFileTest : public testing::Test {
 protected:
  IncomingFile::Place place_of(const std::string& content) const {
    const std::string digest = digest_of(content);
    return {dir / "data" / "x", dir / "incoming" / (digest + ".part"), static_cast<int64_t>(content.size()),
            digest};
  }
  static Result<std::optional<IncomingFile>> begin(const IncomingFile::Place& place,
                                                   Milliseconds patience = {}) {
    return IncomingFile::begin_when_free(place, Deadline::after(patience), [] { return Status(); });
  }
  TempDir dir;
};

TEST_F(IncomingFileTest, GathersPiecesAndGivesThemTheirName) {
  const IncomingFile::Place place = place_of("hello world");
  Result<std::optional<IncomingFile>> file = begin(place);
  ASSERT_TRUE(file && *file);
  EXPECT_EQ((*file)->size(), 0);
  ASSERT_TRUE((*file)->write(bytes_of("hello ")));
  EXPECT_FALSE((*file)->whole());
  ASSERT_TRUE((*file)->write(bytes_of("world")));
  EXPECT_TRUE((*file)->whole());
  EXPECT_EQ(*(*file)->digest(), place.digest);
  EXPECT_EQ((*file)->write(bytes_of("!")).error().cause, Cause::bad_data);
  const FileCounters before = file_counters();
  ASSERT_TRUE((*file)->publish());
  EXPECT_EQ(file_counters().syncs - before.syncs, 1);
  EXPECT_EQ(*read_file(place.target), "hello world");
  EXPECT_FALSE(fs::exists(place.part));
  Result<std::optional<IncomingFile>> again = begin(place);
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->has_value()) << "it is there and right";
  EXPECT_FALSE(fs::exists(place.part));
}

TEST_F(IncomingFileTest, CanBeRunWhereThatIsWanted) {
  const auto mode = [](const fs::path& file) {
    struct stat info {};
    EXPECT_EQ(::stat(file.c_str(), &info), 0);
    return info.st_mode & 0777;
  };
  const mode_t mask = ::umask(022);
  IncomingFile::Place place = place_of("hello");
  const auto bring = [&] {
    Result<std::optional<IncomingFile>> file = begin(place);
    ASSERT_TRUE(file && *file);
    ASSERT_TRUE((*file)->write(bytes_of("hello")));
    ASSERT_TRUE((*file)->publish());
  };
  bring();
  EXPECT_EQ(mode(place.target), 0644u);
  place.executable = true;
  EXPECT_FALSE(begin(place)->has_value());
  EXPECT_EQ(mode(place.target), 0755u) << "it is there and right, but could not be run";
  place.target = dir / "data" / "y";
  bring();
  EXPECT_EQ(mode(place.target), 0755u);
  ASSERT_EQ(::chmod(place.target.c_str(), 0600), 0);
  EXPECT_FALSE(begin(place)->has_value());
  EXPECT_EQ(mode(place.target), 0600u | 0100u) << "only for whom it may be read";
  place.executable = false;
  EXPECT_FALSE(begin(place)->has_value());
  EXPECT_EQ(mode(place.target), 0700u) << "another list may want it so";
  ::umask(mask);
}

TEST_F(IncomingFileTest, GoesOnBehindWhatAnEarlierTryLeft) {
  const IncomingFile::Place place = place_of("hello world");
  {
    Result<std::optional<IncomingFile>> file = begin(place);
    ASSERT_TRUE((*file)->write(bytes_of("hello ")));
  }
  Result<std::optional<IncomingFile>> file = begin(place);
  EXPECT_EQ((*file)->size(), 6);
  ASSERT_TRUE((*file)->write(bytes_of("world")));
  EXPECT_EQ(*(*file)->digest(), place.digest);
  ASSERT_TRUE((*file)->clear());
  EXPECT_EQ((*file)->size(), 0);
  ASSERT_TRUE((*file)->write(bytes_of("hello world")));
  EXPECT_EQ(*(*file)->digest(), place.digest);
}

TEST_F(IncomingFileTest, AnEmptyPartAndOneThatIsTooLongAreNotKept) {
  const IncomingFile::Place place = place_of("short");
  ASSERT_TRUE(create_folders(place.part.parent_path()));
  ASSERT_TRUE(write_file_atomically(place.part, "much too long"));
  {
    Result<std::optional<IncomingFile>> file = begin(place);
    EXPECT_EQ((*file)->size(), 0);
  }
  EXPECT_FALSE(fs::exists(place.part));
}

TEST_F(IncomingFileTest, OneAtATimeHoldsAPart) {
  const IncomingFile::Place place = place_of("hello");
  Result<std::optional<IncomingFile>> first = begin(place);
  ASSERT_TRUE(first && *first);
  EXPECT_EQ(IncomingFile::begin(place).error().cause, Cause::locked);
  Result<std::optional<IncomingFile>> second = begin(place);
  ASSERT_FALSE(second);
  EXPECT_EQ(exit_code(second.error().cause), 75);
  EXPECT_EQ(second.error().message.find(place.target.string() + ": another controller is sending it"), 0u);
  // The wait ends when it is called off, and with the other's end: what that has finished is there then.
  EXPECT_EQ(IncomingFile::begin_when_free(place, Deadline::never(),
                                          [] {
                                            return Status(Error{Cause::stopped, ""});
                                          })
                .error()
                .cause,
            Cause::stopped);
  Result<std::optional<IncomingFile>> third =
      IncomingFile::begin_when_free(place, Deadline::never(), [&]() -> Status {
        TRY((*first)->write(bytes_of("hello")));
        TRY((*first)->publish());
        first = Error{};
        return {};
      });
  ASSERT_TRUE(third);
  EXPECT_FALSE(third->has_value());
  EXPECT_FALSE(fs::exists(place.part));
}

TEST_F(IncomingFileTest, ThePartOfAnotherIsNeitherPublishedNorRemoved) {
  const IncomingFile::Place place = place_of("hello world");
  {
    Result<std::optional<IncomingFile>> file = begin(place);
    ASSERT_TRUE((*file)->write(bytes_of("hello world")));
    fs::remove(place.part);
    Result<std::optional<IncomingFile>> other = begin(place);
    ASSERT_TRUE((*other)->write(bytes_of("hello")));
    Status published = (*file)->publish();
    ASSERT_FALSE(published);
    EXPECT_EQ(exit_code(published.error().cause), 75);
    EXPECT_FALSE(fs::exists(place.target));
    ASSERT_TRUE((*file)->clear());
  }
  EXPECT_EQ(read_file(place.part).value_or(""), "hello");
}

TEST_F(IncomingFileTest, APartThatIsALinkOrAFolderIsRefused) {
  const IncomingFile::Place place = place_of("hello");
  dir.file("elsewhere", "mine");
  ASSERT_TRUE(create_folders(place.part.parent_path()));
  fs::create_symlink(dir / "elsewhere", place.part);
  EXPECT_FALSE(IncomingFile::begin(place));
  EXPECT_EQ(*read_file(dir / "elsewhere"), "mine");
  fs::remove(place.part);
  ASSERT_EQ(::mkfifo(place.part.c_str(), 0600), 0);
  EXPECT_EQ(IncomingFile::begin(place).error().cause, Cause::bad_data);
}

TEST(PathBelow, TakesPlainPathsAndFollowsNoLink) {
  TempDir dir;
  ASSERT_TRUE(create_folders(dir / "root/a"));
  const fs::path root = dir / "root";
  EXPECT_EQ(*path_below(root, "a/b/c"), root / "a/b/c");
  for (const char* bad : {"", "..", "a/../b", "/a", "./a", "a//b", "a/"}) {
    Result<fs::path> path = path_below(root, bad);
    ASSERT_FALSE(path) << bad;
    EXPECT_EQ(exit_code(path.error().cause), 12);
  }
  fs::create_symlink(dir.path(), root / "link");
  EXPECT_EQ(path_below(root, "link/x").error().message,
            (root / "link").string() + " is a link; below " + root.string() + " none is followed");
}

TEST(FileMatches, LooksAtSizeAndDigest) {
  TempDir dir;
  const fs::path path = dir.file("x", "abc");
  EXPECT_TRUE(*file_matches(path, 3, digest_of("abc")));
  EXPECT_FALSE(*file_matches(path, 3, digest_of("abd")));
  EXPECT_TRUE(*file_matches(path, 3, ""));
  EXPECT_FALSE(*file_matches(path, 4, ""));
  EXPECT_FALSE(*file_matches(dir / "none/x", 3, ""));
  fs::create_symlink(path, dir / "link");
  EXPECT_FALSE(*file_matches(dir / "link", 3, ""));
}

TEST(FreeBytes, AreThoseOfTheNearestFolder) {
  TempDir dir;
  EXPECT_GT(*free_bytes_at(dir.path()), 0);
  EXPECT_GT(*free_bytes_at(dir / "not/there"), 0);
  EXPECT_NE(free_space_note(dir.path()).find(" are free there"), std::string::npos);
}

}  // namespace
}  // namespace gnnflow
