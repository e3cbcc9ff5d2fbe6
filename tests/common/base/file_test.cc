// Files: atomic, durable, limited; folders, locks, paths.
#include "common/base/file.h"

#include <algorithm>
#include <csignal>
#include <optional>
#include <thread>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(ReadPiece, GivesWhatIsThereFromAnOffsetOn) {
  TempDir dir;
  const fs::path file = dir.file("log", "0123456789");
  EXPECT_EQ(*read_piece(file, 0, 4), "0123");
  EXPECT_EQ(*read_piece(file, 8, 4), "89");
  EXPECT_EQ(*read_piece(file, 10, 4), "");
  EXPECT_EQ(*read_piece(file, 99, 4), "");
  EXPECT_EQ(read_piece(dir / "none", 0, 4).error().cause, Cause::not_found);
}

TEST(File, AtomicWriteReplacesTheContentAndLeavesNothingElse) {
  TempDir dir;
  ASSERT_TRUE(write_file_atomically(dir / "a", "one"));
  FileCounters before = file_counters();
  ASSERT_TRUE(write_file_atomically(dir / "a", "two"));
  EXPECT_EQ(file_counters().syncs - before.syncs, 2) << "the file, then its folder";
  EXPECT_EQ(file_counters().renames - before.renames, 1);
  EXPECT_EQ(*read_file(dir / "a"), "two");
  EXPECT_EQ(names_in(dir.path()), (std::vector<std::string>{"a"}));
}

TEST(File, AtomicWriteThatFailsKeepsTheOldAndNoTemporaryFile) {
  TempDir dir;
  dir.file("folder/inside", "x");
  EXPECT_FALSE(write_file_atomically(dir / "folder", "new"));
  EXPECT_EQ(names_in(dir.path()), (std::vector<std::string>{"folder"}));
  Status absent = write_file_atomically(dir / "no/such", "x");
  EXPECT_EQ(absent.error().cause, Cause::not_found);
}

TEST(File, ModesAreKept) {
  TempDir dir;
  ASSERT_TRUE(write_file_atomically(dir / "secret", "x", 0600));
  struct stat info {};
  ASSERT_EQ(::stat((dir / "secret").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_TRUE(create_folders(dir / "private/deep", 0700));
  ASSERT_EQ(::stat((dir / "private").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST(File, ReadingNamesTheFileAndItsTrouble) {
  TempDir dir;
  fs::path file = dir.file("a", "12345");
  EXPECT_EQ(*read_file(file, 5), "12345");
  Result<std::string> large = read_file(file, 4);
  EXPECT_EQ(large.error().message, file.string() + ": larger than the limit of 4 bytes");
  EXPECT_EQ(large.error().cause, Cause::bad_data);
  Result<std::string> absent = read_file(dir / "b");
  EXPECT_EQ(absent.error().message, "opening " + (dir / "b").string() + ": No such file or directory");
  EXPECT_EQ(absent.error().cause, Cause::not_found);
  EXPECT_EQ(read_file(dir.path()).error().message, "reading " + dir.path().string() + ": Is a directory");
  EXPECT_FALSE(read_file("/proc/self/status")->empty()) << "files that say they have no size";
}

TEST(FileWriter, WritesSmallAndLargePiecesInOrder) {
  TempDir dir;
  std::string large(1'000'000, 'x');
  Result<FileWriter> writer = FileWriter::create(dir / "a");
  ASSERT_TRUE(writer);
  for (std::string_view piece : {std::string_view("ab"), std::string_view(large), std::string_view("cd")}) {
    ASSERT_TRUE(writer->write(piece));
  }
  EXPECT_EQ(writer->written(), 1'000'004);
  FileCounters before = file_counters();
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(file_counters().syncs - before.syncs, 1);
  EXPECT_EQ(*read_file(dir / "a"), "ab" + large + "cd");
}

TEST(FileWriter, RefusesAFileThatIsThere) {
  TempDir dir;
  dir.file("a", "kept");
  EXPECT_FALSE(FileWriter::create(dir / "a"));
  EXPECT_EQ(*read_file(dir / "a"), "kept");
}

TEST(FileWriter, RepeatsItsFirstError) {
  TempDir dir;
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  auto handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit small{.rlim_cur = 100, .rlim_max = old.rlim_max};
  Result<FileWriter> writer = FileWriter::create(dir / "a");
  ASSERT_TRUE(writer);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  Status first = writer->write(std::string(1'000'000, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  ::signal(SIGXFSZ, handler);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().message, "writing " + (dir / "a").string() + ": File too large");
  EXPECT_EQ(writer->write("y").error().message, first.error().message);
  EXPECT_EQ(writer->finish().error().message, first.error().message);
}

TEST(Folders, AreMadeOnceAndRefusedWhereAFileStands) {
  TempDir dir;
  ASSERT_TRUE(create_folders(dir / "a/b/c"));
  ASSERT_TRUE(create_folders(dir / "a/b/c"));
  ASSERT_TRUE(create_folders(dir / "a/b/c/"));
  dir.file("a/file", "x");
  Status status = create_folders(dir / "a/file/d");
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("a/file: Not a directory"), std::string::npos)
      << status.error().message;
}

TEST(Folders, SyncTreeSyncsEveryFileAndFolderOnce) {
  TempDir dir;
  dir.file("t/a", "1");
  dir.file("t/b/c", "2");
  fs::create_symlink("/nowhere", dir / "t/link");
  FileCounters before = file_counters();
  ASSERT_TRUE(sync_tree(dir / "t"));
  EXPECT_EQ(file_counters().syncs - before.syncs, 4) << "t, t/a, t/b, t/b/c";
  EXPECT_EQ(sync_tree(dir / "absent").error().cause, Cause::not_found);
}

TEST(Folders, RenameDurablySyncsBothFolders) {
  TempDir dir;
  dir.file("from/a", "1");
  ASSERT_TRUE(create_folders(dir / "to"));
  FileCounters before = file_counters();
  ASSERT_TRUE(rename_durably(dir / "from/a", dir / "to/a"));
  EXPECT_EQ(file_counters().syncs - before.syncs, 2);
  EXPECT_EQ(*read_file(dir / "to/a"), "1");
  EXPECT_EQ(rename_durably(dir / "from/a", dir / "to/b").error().cause, Cause::not_found);
}

TEST(Folders, RemoveTreeDoesNotFollowLinks) {
  TempDir dir;
  dir.file("kept/a", "1");
  dir.file("gone/b", "2");
  fs::create_directory_symlink(dir / "kept", dir / "gone/link");
  ASSERT_TRUE(remove_tree(dir / "gone"));
  EXPECT_EQ(names_in(dir.path()), (std::vector<std::string>{"kept"}));
  EXPECT_EQ(*read_file(dir / "kept/a"), "1");
  EXPECT_TRUE(remove_tree(dir / "gone"));
}

// Root may do everything: as root the test goes on as somebody else.
TEST(Folders, RemoveTreeTakesFoldersThatTheirOwnerMayNotWrite) {
  TempDir dir;
  dir.file("gone/sealed/inner/a", "1");
  constexpr uid_t kNobody = 65534;
  const uid_t ours = ::geteuid();
  for (const char* path : {"", "gone", "gone/sealed", "gone/sealed/inner"}) {
    ASSERT_EQ(::chown((dir / path).c_str(), ours == 0 ? kNobody : ours, static_cast<gid_t>(-1)), 0);
  }
  ASSERT_EQ(::chmod((dir / "gone/sealed/inner").c_str(), 0555), 0);
  ASSERT_EQ(::chmod((dir / "gone/sealed").c_str(), 0555), 0);
  ASSERT_EQ(::seteuid(ours == 0 ? kNobody : ours), 0);
  const Status removed = remove_tree(dir / "gone");
  ASSERT_EQ(::seteuid(ours), 0);
  EXPECT_TRUE(removed) << removed.error().message;
  EXPECT_FALSE(fs::exists(dir / "gone"));
}

TEST(Folders, BytesOfTreeCountsFilesButNoLinks) {
  TempDir dir;
  dir.file("a", "123");
  dir.file("b/c", "4567");
  fs::create_symlink(dir / "a", dir / "b/link");
  EXPECT_EQ(*bytes_of_tree(dir.path()), 7);
  EXPECT_EQ(*bytes_of_tree(dir / "a"), 3);
  EXPECT_EQ(bytes_of_tree(dir / "absent").error().cause, Cause::not_found);
}

TEST(Folders, TemporaryFoldersAreDifferentAndBesideTheName) {
  TempDir dir;
  fs::path first = *make_temporary_folder(dir / "graph");
  fs::path second = *make_temporary_folder(dir / "graph");
  EXPECT_NE(first, second);
  EXPECT_TRUE(first.filename().native().starts_with("graph.tmp-"));
}

TEST(FileLock, IsHeldByOneAndFreeWhenThatOneGoes) {
  TempDir dir;
  fs::path path = dir / "lock";
  EXPECT_FALSE(*FileLock::is_held(path));
  EXPECT_FALSE(fs::exists(path)) << "asking makes nothing";
  {
    Result<FileLock> lock = FileLock::take(path);
    ASSERT_TRUE(lock);
    EXPECT_TRUE(*FileLock::is_held(path));
    Result<FileLock> second = FileLock::take(path);
    EXPECT_EQ(second.error().cause, Cause::locked);
    EXPECT_EQ(second.error().message, path.string() + ": locked by another process");
    FileLock moved = std::move(*lock);
    EXPECT_TRUE(*FileLock::is_held(path));
  }
  EXPECT_FALSE(*FileLock::is_held(path));
  EXPECT_TRUE(FileLock::take(path));
}

TEST(FileLock, IsWaitedForUntilTheDeadline) {
  TempDir dir;
  fs::path path = dir / "lock";
  std::optional<FileLock> held = *FileLock::take(path);
  EXPECT_EQ(FileLock::take(path, Deadline::after(Milliseconds(30))).error().cause, Cause::locked);
  std::jthread other([&] { held.reset(); });
  EXPECT_TRUE(FileLock::take(path, Deadline::after(Milliseconds(60'000))));
  EXPECT_EQ(FileLock::take(dir / "no" / "lock", Deadline::after(Milliseconds(60'000))).error().cause,
            FileLock::take(dir / "no" / "lock").error().cause)
      << "only a lock that is held is waited for";
}

TEST(Mapping, ShowsTheFileAndMovesWithoutCopying) {
  TempDir dir;
  Result<Mapping> mapping = Mapping::open(dir.file("a", "hello"));
  ASSERT_TRUE(mapping);
  const std::byte* data = mapping->bytes().data();
  Mapping moved = std::move(*mapping);
  EXPECT_EQ(moved.bytes().data(), data);
  EXPECT_TRUE(mapping->bytes().empty());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(moved.bytes().data()), moved.bytes().size()), "hello");
  EXPECT_TRUE(Mapping::open(dir.file("empty", ""))->bytes().empty());
  EXPECT_EQ(Mapping::open(dir / "absent").error().cause, Cause::not_found);
  EXPECT_EQ(Mapping::open(dir.path()).error().message, dir.path().string() + ": not a regular file");
}

TEST(Mapping, RowsOfTheFaultTableAreUsedAgain) {
  TempDir dir;
  fs::path file = dir.file("a", "x");
  for (int i = 0; i < 10'000; ++i) ASSERT_TRUE(Mapping::open(file));
  std::vector<Mapping> open;
  Status status;
  while (status) {
    Result<Mapping> mapping = Mapping::open(file);
    if (!mapping) status = mapping.error();
    if (mapping) open.push_back(std::move(*mapping));
  }
  EXPECT_EQ(open.size(), 4096u);
  EXPECT_EQ(status.error().cause, Cause::no_resources);
  open.pop_back();
  EXPECT_TRUE(Mapping::open(file));
}

TEST(Path, OnlyPlainRelativePathsAreInside) {
  for (const char* good : {"a", "a/b", "part-0/nodes/x.npy", "..a", ".hidden"})
    EXPECT_TRUE(is_inside(good)) << good;
  for (const char* bad : {"", "/a", "..", "a/..", "a/../../y", "./a", "a//b", "a/", "a/./b"}) {
    EXPECT_FALSE(is_inside(bad)) << bad;
  }
  EXPECT_FALSE(is_inside(std::string("a\0b", 3)));
}

TEST(Random, HexHasTwoDigitsPerByteAndDiffers) {
  EXPECT_EQ(random_hex(16).size(), 32u);
  EXPECT_NE(random_hex(16), random_hex(16));
  EXPECT_EQ(random_hex(0), "");
}

}  // namespace
}  // namespace gnnflow
