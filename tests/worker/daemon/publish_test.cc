// Publishing ends the same whatever a crash left between; nothing leaves the host's folder.
#include "worker/daemon/publish.h"

#include <array>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "tests/support/temp_dir.h"
#include "worker/daemon/stored_files.h"

namespace gnnflow {
namespace {

constexpr std::string_view kTo = "outputs/step/key/1";

struct PublishTest : testing::Test {
  TempDir temp;
  HostFolder host{temp / "host"};
  fs::path made = host.job("a.b") / "out/graph";
  fs::path published = host.root / kTo / "graph";
  fs::path manifest = host.root / kTo / "graph.manifest.json";

  void SetUp() override {
    ASSERT_TRUE(host.make());
    make_output();
  }
  void make_output() {
    temp.file("host/tmp/a.b/out/graph/graph.json", "{}");
    temp.file("host/tmp/a.b/out/graph/nodes/feat.npy", "0123456789");
  }
  Result<std::vector<PublishedPiece>> once() { return publish(host, "a.b", kTo, {"graph"}); }
};

TEST_F(PublishTest, MovesThePieceAndWritesItsManifest) {
  Result<std::vector<PublishedPiece>> pieces = once();
  ASSERT_TRUE(pieces) << pieces.error().message;
  ASSERT_EQ(pieces->size(), 1u);
  EXPECT_EQ(pieces->front().bytes, 12);
  EXPECT_EQ(pieces->front().files, 2);
  EXPECT_EQ(pieces->front().digest, digest_of(*read_file(manifest)));
  EXPECT_EQ(*read_file(published / "nodes/feat.npy"), "0123456789");
  EXPECT_FALSE(fs::exists(made));
  Json json = *Json::parse(*read_file(manifest));
  EXPECT_EQ(json.get("files").array()[1].text_or("path", ""), "nodes/feat.npy");
  EXPECT_EQ(json.get("files").array()[1].text_or("digest", ""), digest_of("0123456789"));
}

TEST_F(PublishTest, SaysWhichFilesCanBeRun) {
  ASSERT_EQ(::chmod((made / "graph.json").c_str(), 0755), 0);
  ASSERT_TRUE(once());
  const Json json = *Json::parse(*read_file(manifest));
  EXPECT_TRUE(json.get("files").array()[0].boolean_or("executable", false));
  EXPECT_FALSE(json.get("files").array()[1].has("executable"));
}

TEST_F(PublishTest, EveryStateThatACrashMayLeaveEndsInTheSameAnswer) {
  std::string digest = once()->front().digest;
  std::string text = *read_file(manifest);
  // Asked again.
  EXPECT_EQ(once()->front().digest, digest);
  // Before the rename, with the manifest written.
  ASSERT_TRUE(remove_tree(published));
  make_output();
  EXPECT_EQ(once()->front().digest, digest);
  EXPECT_TRUE(fs::exists(published));
  // The manifest torn off by a power cut.
  fs::remove(manifest);
  EXPECT_EQ(once()->front().digest, digest);
  EXPECT_EQ(*read_file(manifest), text);
  // A manifest of something else, left by an attempt that never renamed.
  ASSERT_TRUE(remove_tree(published));
  make_output();
  ASSERT_TRUE(write_file_atomically(manifest, "{\"half\":1}"));
  EXPECT_EQ(once()->front().digest, digest);
}

// What stands below outputs/ is whole, also while it comes: a crash in the middle would leave it for ever.
TEST_F(PublishTest, WritesItsManifestOutsideOutputs) {
  FileDescriptor watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ASSERT_TRUE(create_folders(published.parent_path()));
  ASSERT_GE(::inotify_add_watch(watch.get(), published.parent_path().c_str(), IN_CREATE), 0);
  ASSERT_TRUE(once());
  std::array<char, 4096> events;
  EXPECT_EQ(::read(watch.get(), events.data(), events.size()), -1) << "something was made there, not moved";
  EXPECT_TRUE(fs::exists(manifest));
  EXPECT_FALSE(fs::exists(host.job("a.b") / "graph.manifest.json"));
}

TEST_F(PublishTest, APieceThatIsInNeitherPlaceIsNamed) {
  ASSERT_TRUE(remove_tree(made));
  Result<std::vector<PublishedPiece>> pieces = once();
  ASSERT_FALSE(pieces);
  EXPECT_EQ(pieces.error().cause, Cause::not_found);
  EXPECT_NE(pieces.error().message.find("output 'graph' is not there"), std::string::npos);
}

TEST_F(PublishTest, LinksInOutputsAreRefused) {
  fs::create_symlink("/etc/passwd", made / "link");
  Result<std::vector<PublishedPiece>> pieces = once();
  ASSERT_FALSE(pieces);
  EXPECT_EQ(pieces.error().cause, Cause::bad_data);
  EXPECT_NE(pieces.error().message.find("this is a link"), std::string::npos);
  EXPECT_FALSE(fs::exists(published));
}

TEST_F(PublishTest, NamesThatAreNoUtf8AreRefusedAndShownEscaped) {
  temp.file("host/tmp/a.b/out/graph/caf\xc3\xa9", "");
  ASSERT_TRUE(once());
  make_output();
  temp.file("host/tmp/a.b/out/graph/caf\xe9.txt", "");
  Result<std::vector<PublishedPiece>> pieces = publish(host, "a.b", "outputs/step/key/2", {"graph"});
  ASSERT_FALSE(pieces);
  EXPECT_EQ(exit_code(pieces.error().cause), 12);
  EXPECT_EQ(pieces.error().message,
            made.string() + "/caf\\xe9.txt: names of files in outputs are UTF-8, this one is not");
  EXPECT_FALSE(fs::exists(host.root / "outputs/step/key/2/graph"));
}

TEST_F(PublishTest, AfterAStopNothingIsSyncedOrMoved) {
  StopSignal stop;
  stop.raise();
  for (int i = 0; i < 20; ++i) temp.file("host/tmp/a.b/out/graph/" + std::to_string(i), "x");
  const FileCounters before = file_counters();
  Result<std::vector<PublishedPiece>> pieces = publish(host, "a.b", kTo, {"graph"}, &stop);
  ASSERT_FALSE(pieces);
  EXPECT_EQ(pieces.error().cause, Cause::stopped);
  EXPECT_EQ(file_counters().syncs, before.syncs);
  EXPECT_EQ(file_counters().renames, before.renames);
  EXPECT_FALSE(fs::exists(host.root / "outputs/step"));
  EXPECT_TRUE(once()) << "what was made is still there";
}

TEST_F(PublishTest, NamesAndPathsStayInside) {
  EXPECT_FALSE(publish(host, "../a", kTo, {"graph"}));
  EXPECT_FALSE(publish(host, "a.b", "outputs/../../x", {"graph"}));
  EXPECT_FALSE(publish(host, "a.b", "data/step", {"graph"}));
  EXPECT_FALSE(publish(host, "a.b", kTo, {"../graph"}));
  fs::create_directory_symlink(temp.path(), host.root / "outputs/step");
  Result<std::vector<PublishedPiece>> linked = once();
  ASSERT_FALSE(linked);
  EXPECT_NE(linked.error().message.find("is a link"), std::string::npos);
}

TEST_F(PublishTest, RemovingTakesTheManifestToo) {
  ASSERT_TRUE(once());
  ASSERT_TRUE(remove_stored(host, std::string(kTo) + "/graph"));
  EXPECT_FALSE(fs::exists(published));
  EXPECT_FALSE(fs::exists(manifest));
  ASSERT_TRUE(remove_stored(host, std::string(kTo) + "/graph"));
  EXPECT_FALSE(remove_stored(host, "outputs/../journal"));
  EXPECT_FALSE(remove_stored(host, "lock"));
}

TEST_F(PublishTest, WhatAnUnfinishedRemovalLeftIsCleared) {
  temp.file("host/trash-123/x", "x");
  temp.file("host/journal.tmp-123", "half");
  temp.file("host/journal", "whole");
  ASSERT_TRUE(host.remove_leftovers());
  EXPECT_FALSE(fs::exists(host.root / "trash-123"));
  EXPECT_FALSE(fs::exists(host.root / "journal.tmp-123"));
  EXPECT_TRUE(fs::exists(host.root / "journal"));
}

TEST_F(PublishTest, OnlyCompleteCheckpointsAreTold) {
  std::string at = "host/checkpoints/model/key/";
  temp.file(at + "2/checkpoint.json", R"({"files":{"weights":{"bytes":3}}})");
  temp.file(at + "2/weights", "123");
  temp.file(at + "10/checkpoint.json", R"({"files":{}})");
  temp.file(at + "3/checkpoint.json", R"({"files":{"weights":{"bytes":4}}})");
  temp.file(at + "3/weights", "123");
  temp.file(at + "4/checkpoint.json", R"({"files":{"../2/weights":{"bytes":3}}})");
  temp.file(at + "5/weights", "123");
  temp.file(at + "x/checkpoint.json", R"({"files":{}})");
  Result<Json> found = complete_checkpoints(host, "model", "key");
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->array().size(), 2u);
  EXPECT_EQ(found->array()[0].integer_or("epoch", 0), 2);
  EXPECT_EQ(found->array()[1].integer_or("epoch", 0), 10);
  EXPECT_EQ(found->array()[0].text_or("path", ""), (host.root / "checkpoints/model/key/2").string());
  EXPECT_TRUE(complete_checkpoints(host, "model", "other")->array().empty());
  EXPECT_FALSE(complete_checkpoints(host, "..", ".."));
}

TEST_F(PublishTest, TheLastLinesOfALog) {
  EXPECT_EQ(last_lines(host, "a.b", 2), "");
  temp.file("host/logs/a.b.log", "one\ntwo\nthree\n");
  EXPECT_EQ(last_lines(host, "a.b", 2), "two\nthree\n");
  EXPECT_EQ(last_lines(host, "a.b", 3), "one\ntwo\nthree\n");
  EXPECT_EQ(last_lines(host, "a.b", 50), "one\ntwo\nthree\n");
  temp.file("host/logs/a.b.log", "one\ntwo");
  EXPECT_EQ(last_lines(host, "a.b", 1), "two");
  temp.file("host/logs/a.b.log", std::string(100'000, 'x') + "\nend\n");
  EXPECT_EQ(last_lines(host, "a.b", 50), "end\n");
}

TEST_F(PublishTest, ALogBeyondItsCapKeepsItsBeginningItsEndAndItsOffsets) {
  fs::path log = temp.file("host/logs/a.b.log", "first line\n");
  constexpr int64_t kSize = int64_t{300} << 20;
  FileDescriptor file(::open(log.c_str(), O_WRONLY | O_CLOEXEC));
  if (::fallocate(file.get(), 0, 0, kSize) != 0) GTEST_SKIP() << "this disk does not allocate ahead";
  ASSERT_EQ(::pwrite(file.get(), "end\n", 4, kSize - 4), 4);
  cap_log(host.log("a.b"), kJobLogLimits);
  struct stat info {};
  ASSERT_EQ(::stat(log.c_str(), &info), 0);
  EXPECT_EQ(info.st_size, kSize);
  EXPECT_LT(info.st_blocks * 512, int64_t{70} << 20);
  EXPECT_EQ(read_log(host, "a.b", 0, 11)->bytes, "first line\n");
  EXPECT_EQ(read_log(host, "a.b", kSize - 4, 100)->bytes, "end\n");
}

TEST(Token, IsNamesWithDotsBetween) {
  EXPECT_TRUE(is_token("store.3.step-1.2.0"));
  for (const char* bad : {"", ".", "..", "a..b", ".a", "a.", "a/b", "a b", "a.\n"})
    EXPECT_FALSE(is_token(bad)) << bad;
  EXPECT_FALSE(is_token(std::string(201, 'a')));
}

}  // namespace
}  // namespace gnnflow
