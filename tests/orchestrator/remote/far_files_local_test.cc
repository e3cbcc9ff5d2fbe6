// FarFiles against the real program over a socket pair: what arrives, what a broken line leaves, who is told
// what.
#include <algorithm>
#include <cstring>
#include <random>

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "common/base/digest.h"
#include "orchestrator/remote/far_files.h"
#include "tests/orchestrator/remote/receiver_process.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

std::string random_bytes(size_t count, unsigned seed) {
  std::mt19937_64 random(seed);
  std::string bytes((count + 7) / 8 * 8, '\0');
  for (size_t i = 0; i < bytes.size(); i += 8) {
    const uint64_t word = random();
    std::memcpy(bytes.data() + i, &word, 8);
  }
  bytes.resize(count);
  return bytes;
}

class FarFilesTest : public testing::Test {
 protected:
  HostFile make(const std::string& path, const std::string& content) {
    source.file(path, content);
    return {path, static_cast<int64_t>(content.size()), digest_of(content)};
  }
  FarFolder at(const fs::path& folder = "data/d1") { return {root, folder}; }
  Status put(FarFiles& far, const std::vector<HostFile>& files, const fs::path& to = "data/d1") {
    return far.put(
        source.path(), files, at(to), [this](int64_t bytes) { told.push_back(bytes); }, stop);
  }
  std::string there(const fs::path& path) { return read_file(root / path).value_or("(none)"); }
  fs::path part(const HostFile& file) { return root / "incoming" / (file.digest + ".part"); }

  TempDir source, target;
  fs::path root = target / "host";
  StopSignal stop;
  std::vector<int64_t> told;
};

TEST_F(FarFilesTest, SaysWhatTheMachineIs) {
  ReceiverProcess receiver;
  FarFiles far = receiver.far_files();
  const FarGreeting& greeting = far.greeting();
  EXPECT_FALSE(greeting.version.empty());
  EXPECT_EQ(greeting.boot, boot_id());
  EXPECT_EQ(greeting.uid, static_cast<int64_t>(::getuid()));
  EXPECT_EQ(greeting.home, std::getenv("HOME") ? std::getenv("HOME") : "");
  EXPECT_GE(greeting.cores, 1);
  EXPECT_FALSE(greeting.machine.empty());
  EXPECT_NE(greeting.kernel.find('.'), std::string::npos);
}

TEST_F(FarFilesTest, PutsFilesOfAllSizesAndTellsHowFarItIs) {
  ReceiverProcess receiver;
  FarFiles far = receiver.far_files();
  const std::string large = random_bytes(5'500'000, 1), zeros(3 << 20, '\0');
  const std::vector<HostFile> files = {make("a/b/large.npy", large),
                                       make("empty", ""),
                                       make("one", "x"),
                                       make("zeros", zeros),
                                       make("again", "x"),
                                       make("nothing", ""),
                                       make("a/chunk", random_bytes(1 << 20, 2))};
  Status status = put(far, files);
  ASSERT_TRUE(status) << status.error().message;
  for (const HostFile& file : files)
    EXPECT_EQ(there("data/d1" / fs::path(file.path)), *read_file(source / file.path));
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(told.back(), 5'500'000 + (3 << 20) + 2 + (1 << 20));
  EXPECT_GT(told.size(), 5u);
  EXPECT_FALSE(fs::exists(root / "incoming")) << "nothing is left in it";
  struct stat info {};
  ASSERT_EQ(::lstat((root / "data/d1/one").c_str(), &info), 0);
  EXPECT_EQ(info.st_nlink, 1u);
}

TEST_F(FarFilesTest, DoesNotSendAgainWhatIsThere) {
  ReceiverProcess receiver;
  FarFiles far = receiver.far_files();
  const HostFile file = make("x", random_bytes(300'000, 3));
  ASSERT_TRUE(put(far, {file}));
  EXPECT_EQ(far.bytes_sent(), 300'000);
  const fs::file_time_type before = fs::last_write_time(root / "data/d1/x");
  ASSERT_TRUE(put(far, {file}));
  EXPECT_EQ(far.bytes_sent(), 300'000);
  EXPECT_EQ(fs::last_write_time(root / "data/d1/x"), before);
  EXPECT_EQ(told.back(), 300'000);
  ASSERT_TRUE(write_file_atomically(root / "data/d1/x", "wrong"));
  ASSERT_TRUE(put(far, {file}));
  EXPECT_EQ(digest_of(there("data/d1/x")), file.digest);
}

TEST_F(FarFilesTest, PacksWhatShrinksAndLeavesTheRest) {
  ReceiverProcess receiver;
  FarFiles far = receiver.far_files();
  ASSERT_TRUE(put(far, {make("random", random_bytes(4 << 20, 4))}));
  EXPECT_EQ(far.bytes_on_the_way(), far.bytes_sent());
  ASSERT_TRUE(put(far, {make("zeros", std::string(4 << 20, '\0'))}));
  EXPECT_EQ(far.bytes_sent(), 8 << 20);
  EXPECT_LT(far.bytes_on_the_way(), 5 << 20);
  EXPECT_EQ(there("data/d1/zeros"), std::string(4 << 20, '\0'));
}

TEST_F(FarFilesTest, ABrokenLineIsUnreachableAndTheNextOneGoesOnWhereItEnded) {
  const HostFile file = make("x", random_bytes(12 << 20, 5));
  {
    ReceiverProcess receiver([](std::string&, int64_t offset) { return offset < 6 << 20; });
    FarFiles far = receiver.far_files();
    Status status = put(far, {file});
    ASSERT_FALSE(status);
    EXPECT_EQ(exit_code(status.error().cause), 6) << status.error().message;
    EXPECT_TRUE(far.broken());
    EXPECT_EQ(far.read(at(), "x", 10).error().cause, Cause::unreachable);
    EXPECT_EQ(receiver.wait(), 6);
  }
  EXPECT_FALSE(fs::exists(root / "data/d1/x"));
  const auto kept = static_cast<int64_t>(fs::file_size(part(file)));
  EXPECT_GT(kept, 3 << 20);
  ReceiverProcess receiver;
  FarFiles far = receiver.far_files();
  told.clear();
  ASSERT_TRUE(put(far, {file}));
  EXPECT_EQ(digest_of(there("data/d1/x")), file.digest);
  EXPECT_EQ(far.bytes_sent(), file.bytes - kept);
  EXPECT_EQ(told.front(), kept);
}

// Flips a byte of the content, `times` times at the same place of the stream.
ReceiverProcess::Line flipping(int64_t place, int times) {
  return [=, left = std::make_shared<int>(times), next = std::make_shared<int64_t>(place)](std::string& bytes,
                                                                                           int64_t offset) {
    if (*left > 0 && offset <= *next && *next < offset + static_cast<int64_t>(bytes.size())) {
      bytes[static_cast<size_t>(*next - offset)] ^= 1;
      --*left;
      *next += 4 << 20;
    }
    return true;
  };
}

TEST_F(FarFilesTest, AByteFlippedOnTheWayIsNoticedAndTheFileSentOnceMore) {
  const HostFile file = make("x", random_bytes(3'500'000, 6));
  ReceiverProcess receiver(flipping(2'000'000, 1));
  FarFiles far = receiver.far_files();
  Status status = put(far, {file, make("y", "other")});
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(digest_of(there("data/d1/x")), file.digest);
  EXPECT_EQ(there("data/d1/y"), "other");
  EXPECT_EQ(far.bytes_sent(), 2 * file.bytes + 5);
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
}

TEST_F(FarFilesTest, AByteFlippedTwiceIsBadDataAndTheConversationGoesOn) {
  const HostFile file = make("x", random_bytes(3'500'000, 7));
  ReceiverProcess receiver(flipping(2'000'000, 2));
  FarFiles far = receiver.far_files();
  Status status = put(far, {file});
  ASSERT_FALSE(status);
  EXPECT_EQ(exit_code(status.error().cause), 12);
  EXPECT_NE(status.error().message.find((source / "x").string() + ": arrived damaged twice"),
            std::string::npos)
      << status.error().message;
  EXPECT_FALSE(fs::exists(root / "data/d1/x"));
  EXPECT_FALSE(fs::exists(part(file)));
  EXPECT_FALSE(far.broken());
  EXPECT_TRUE(put(far, {make("y", "other")}));
}

TEST_F(FarFilesTest, AnEarlierPartThatIsWrongIsNoticedAndReplaced) {
  const std::string content = random_bytes(3'000'000, 8);
  const HostFile file = make("x", content);
  std::string flipped = content.substr(0, 2'000'000);
  flipped[1000] ^= 1;
  std::string whole = content;
  whole[2'999'999] ^= 1;
  for (const std::string& left : {flipped, whole, random_bytes(4'000'000, 9)}) {
    ASSERT_TRUE(create_folders(root / "incoming"));
    ASSERT_TRUE(write_file_atomically(part(file), left));
    ReceiverProcess receiver;
    FarFiles far = receiver.far_files();
    Status status = put(far, {file});
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(digest_of(there("data/d1/x")), file.digest);
    fs::remove(root / "data/d1/x");
  }
}

TEST_F(FarFilesTest, AChangedSourceIsBadDataAndNamed) {
  ReceiverProcess receiver;
  FarFiles far = receiver.far_files();
  const std::string content = random_bytes(2'500'000, 10);
  HostFile file = make("x", content);
  const auto refused = [&](const std::string& how) {
    Status status = put(far, {file});
    ASSERT_FALSE(status);
    EXPECT_EQ(exit_code(status.error().cause), 12);
    EXPECT_EQ(status.error().message.find((source / "x").string() + ": " + how), 0u)
        << status.error().message;
    EXPECT_FALSE(fs::exists(root / "data/d1/x"));
    EXPECT_FALSE(fs::exists(part(file)));
    EXPECT_FALSE(far.broken());
  };
  source.file("x", content.substr(0, 1'500'000) + "y" + content.substr(1'500'001));
  refused("its digest is");
  source.file("x", "short");
  refused("it has 5 bytes instead of 2500000");
  fs::remove(source / "x");
  refused("it is not there");
  source.file("x", "");
  file.bytes = 0;
  refused("it is empty, its digest was");
  EXPECT_TRUE(put(far, {make("x", content)}));
}

TEST_F(FarFilesTest, RefusesPathsThatLeadOutsideAndFollowsNoLink) {
  ReceiverProcess receiver;
  FarFiles far = receiver.far_files();
  HostFile file = make("x", "y");
  for (const char* bad : {"../x", "a/../../x", "/etc/x", "", "a//x", "./x"}) {
    file.path = bad;
    EXPECT_EQ(far.put({{source / "x", file}}, at(), nullptr, stop).error().cause, Cause::bad_data) << bad;
    EXPECT_EQ(far.check(at(), {file}, false, stop).error().cause, Cause::bad_data) << bad;
    EXPECT_EQ(far.get(at(), {file}, target / "out", nullptr, stop).error().cause, Cause::bad_data) << bad;
  }
  EXPECT_EQ(far.read(at(), "../../../x", 10).error().cause, Cause::bad_data);
  file.path = "x";
  EXPECT_EQ(put(far, {file}, "../outside").error().cause, Cause::bad_data);
  EXPECT_EQ(far.put(source.path(), {file}, {"relative", "x"}, nullptr, stop).error().cause, Cause::bad_data);
  file.digest = "../../../../tmp/x";
  EXPECT_EQ(put(far, {file}).error().cause, Cause::bad_data);
  TempDir outside;
  outside.file("secret", "s");
  ASSERT_TRUE(create_folders(root / "data"));
  fs::create_symlink(outside.path(), root / "data/d1");
  Status status = put(far, {make("x", "y")});
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("d1 is a link"), std::string::npos) << status.error().message;
  EXPECT_FALSE(far.read(at(), "secret", 100));
  EXPECT_TRUE(fs::exists(outside / "secret"));
  EXPECT_FALSE(far.broken());
}

TEST_F(FarFilesTest, WaitsForAnotherControllerAndSaysSo) {
  const HostFile file = make("x", random_bytes(100'000, 11));
  ASSERT_TRUE(create_folders(root / "incoming"));
  Result<FileLock> held = FileLock::take(part(file));
  ASSERT_TRUE(held);
  std::vector<std::string> notices;
  {
    ReceiverProcess receiver;
    FarFiles far = receiver.far_files({.patience = Milliseconds(100)});
    Status status = put(far, {file});
    ASSERT_FALSE(status);
    EXPECT_EQ(exit_code(status.error().cause), 75);
    EXPECT_NE(
        status.error().message.find((root / "data/d1/x").string() + ": another controller is sending it"),
        std::string::npos)
        << status.error().message;
    EXPECT_FALSE(far.broken());
  }
  ReceiverProcess receiver;
  FarFiles far = receiver.far_files({.notice = [&](const std::string& text) {
    notices.push_back(text);
    held = Error{};  // lets go
  }});
  Status status = put(far, {file});
  ASSERT_TRUE(status) << status.error().message;
  ASSERT_EQ(notices.size(), 1u);
  EXPECT_EQ(notices[0], "waiting for another controller that sends " + (root / "data/d1/x").string());
  EXPECT_EQ(digest_of(there("data/d1/x")), file.digest);
}

TEST_F(FarFilesTest, TheLockOfAKilledReceiverIsFree) {
  const HostFile file = make("x", random_bytes(20 << 20, 12));
  ReceiverProcess first;
  FarFiles dying = first.far_files();
  Status status = dying.put(
      source.path(), {file}, at(),
      [&](int64_t bytes) {
        if (bytes > 5 << 20) ::kill(first.pid(), SIGKILL);
      },
      stop);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().cause, Cause::unreachable);
  ReceiverProcess second;
  FarFiles far = second.far_files();
  ASSERT_TRUE(put(far, {file}));
  EXPECT_EQ(digest_of(there("data/d1/x")), file.digest);
  EXPECT_LT(far.bytes_sent(), file.bytes);
}

TEST_F(FarFilesTest, ControllersThatSendTheSameFilesTakeTurns) {
  std::vector<HostFile> files;
  for (unsigned i = 0; i < 40; ++i)
    files.push_back(make("f" + std::to_string(i), random_bytes(200'000 + i, 100 + i)));
  std::vector<HostFile> backwards(files.rbegin(), files.rend());
  std::vector<std::thread> controllers;
  std::vector<Status> ends(3);
  std::atomic<int64_t> sent = 0;
  std::vector<std::unique_ptr<ReceiverProcess>> receivers;
  for (size_t i = 0; i < ends.size(); ++i) receivers.push_back(std::make_unique<ReceiverProcess>());
  for (size_t i = 0; i < ends.size(); ++i) {
    controllers.emplace_back([&, i] {
      FarFiles far = receivers[i]->far_files();
      ends[i] = far.put(source.path(), i % 2 == 0 ? files : backwards, at(), nullptr, stop);
      sent += far.bytes_sent();
    });
  }
  for (std::thread& controller : controllers) controller.join();
  int64_t all = 0;
  for (const HostFile& file : files) {
    EXPECT_EQ(digest_of(there("data/d1/" + file.path)), file.digest);
    all += file.bytes;
  }
  for (const Status& end : ends) EXPECT_TRUE(end) << end.error().message;
  EXPECT_EQ(sent, all) << "each file goes over the line once";
  EXPECT_FALSE(fs::exists(root / "incoming"));
}

TEST_F(FarFilesTest, StopsInTheMiddleAndKeepsWhatItHas) {
  const HostFile file = make("x", random_bytes(40 << 20, 13));
  ReceiverProcess receiver;
  FarFiles far = receiver.far_files();
  Status status = far.put(
      source.path(), {file}, at(),
      [&](int64_t bytes) {
        if (bytes > 10 << 20) stop.raise(Cause::interrupted);
      },
      stop);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().cause, Cause::interrupted);
  EXPECT_TRUE(far.broken());
  EXPECT_EQ(receiver.wait(), 6);
  EXPECT_GT(fs::file_size(part(file)), 0u);
}

TEST_F(FarFilesTest, AFrozenReceiverIsUnreachableInTime) {
  const HostFile file = make("x", random_bytes(8 << 20, 14));
  ReceiverProcess receiver;
  FarFiles far = receiver.far_files({.silence = Milliseconds(3000)});
  ::kill(receiver.pid(), SIGSTOP);
  Status status = put(far, {file});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().cause, Cause::unreachable);
  EXPECT_NE(status.error().message.find("gnnflow-receive has said nothing for 3000 ms"), std::string::npos)
      << status.error().message;
}

TEST_F(FarFilesTest, GetsFilesTheSameWay) {
  const std::vector<HostFile> files = {make("a/x", random_bytes(3'200'000, 15)), make("empty", ""),
                                       make("y", "same"), make("z", "same"),
                                       make("zeros", std::string(2 << 20, '\0'))};
  {
    ReceiverProcess receiver;
    FarFiles far = receiver.far_files();
    ASSERT_TRUE(put(far, files));
  }
  ReceiverProcess receiver;
  FarFiles far = receiver.far_files();
  for (const fs::path& to : {target / "out/model", target / "out/again/"}) {
    told.clear();
    Status status = far.get(
        at(), files, to, [this](int64_t bytes) { told.push_back(bytes); }, stop);
    ASSERT_TRUE(status) << status.error().message;
    for (const HostFile& file : files) EXPECT_EQ(*read_file(to / file.path), *read_file(source / file.path));
    EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
    EXPECT_EQ(told.back(), 3'200'000 + 8 + (2 << 20));
  }
  EXPECT_FALSE(fs::exists(target / "out/incoming"));
  ASSERT_TRUE(write_file_atomically(root / "data/d1/y", "sam"));
  Status status = far.get(at(), {files[2]}, target / "other", nullptr, stop);
  ASSERT_FALSE(status);
  EXPECT_EQ(exit_code(status.error().cause), 12);
  EXPECT_EQ(status.error().message.find((root / "data/d1/y").string() + ": it has 3 bytes instead of 4"), 0u)
      << status.error().message;
  fs::remove(root / "data/d1/y");
  EXPECT_EQ(far.get(at(), {files[2]}, target / "other", nullptr, stop).error().cause, Cause::bad_data);
  EXPECT_FALSE(far.broken());
}

TEST_F(FarFilesTest, WhatCanBeRunCanBeRunAtBothEnds) {
  const auto may_run = [](const fs::path& file) {
    return (fs::status(file).permissions() & fs::perms::owner_exec) != fs::perms::none;
  };
  ReceiverProcess receiver;
  FarFiles far = receiver.far_files();
  HostFile tool = make("tool", "#!/bin/sh");
  tool.executable = true;
  const HostFile plain = make("plain", "x");
  ASSERT_TRUE(put(far, {tool, plain}));
  EXPECT_TRUE(may_run(root / "data/d1/tool"));
  EXPECT_FALSE(may_run(root / "data/d1/plain"));
  ASSERT_TRUE(far.get(at(), {tool, plain}, target / "out", nullptr, stop));
  EXPECT_TRUE(may_run(target / "out/tool"));
  EXPECT_FALSE(may_run(target / "out/plain"));
}

TEST_F(FarFilesTest, WhatLostItsBitIsNotThereUntilItIsPutAgain) {
  ReceiverProcess receiver;
  FarFiles far = receiver.far_files();
  HostFile tool = make("tool", "#!/bin/sh");
  tool.executable = true;
  const HostFile plain = make("plain", "x");
  const auto check = [&] { return *far.check(at(), {tool, plain}, false, stop); };
  ASSERT_TRUE(put(far, {tool, plain}));
  EXPECT_EQ(check(), (std::vector<bool>{true, true}));
  fs::permissions(root / "data/d1/tool", fs::perms::owner_exec, fs::perm_options::remove);
  EXPECT_EQ(check(), (std::vector<bool>{false, true}));
  ASSERT_TRUE(put(far, {tool, plain}));
  EXPECT_EQ(check(), (std::vector<bool>{true, true}));
}

TEST_F(FarFilesTest, AGetGoesOnWhereItEndedAndNoticesDamage) {
  const HostFile file = make("x", random_bytes(12 << 20, 16));
  {
    ReceiverProcess receiver;
    FarFiles far = receiver.far_files();
    ASSERT_TRUE(put(far, {file}));
  }
  const fs::path here = target / "out/x", kept = target / "incoming" / (file.digest + ".part");
  {
    ReceiverProcess receiver({}, [](std::string&, int64_t offset) { return offset < 6 << 20; });
    FarFiles far = receiver.far_files();
    EXPECT_EQ(far.get(at(), {file}, target / "out", nullptr, stop).error().cause, Cause::unreachable);
  }
  EXPECT_GT(fs::file_size(kept), 3u << 20);
  {
    ReceiverProcess receiver({}, flipping(2'000'000, 1));
    FarFiles far = receiver.far_files();
    told.clear();
    Status status = far.get(
        at(), {file}, target / "out", [this](int64_t bytes) { told.push_back(bytes); }, stop);
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(digest_of(*read_file(here)), file.digest);
    EXPECT_GT(told.front(), 3 << 20);
  }
  fs::remove(here);
  ReceiverProcess receiver({}, flipping(2'000'000, 20));
  FarFiles far = receiver.far_files();
  Status status = far.get(at(), {file}, target / "out", nullptr, stop);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find(here.string() + ": arrived damaged twice"), std::string::npos)
      << status.error().message;
  EXPECT_FALSE(fs::exists(here));
}

TEST_F(FarFilesTest, ChecksReadsAndAsksForLocks) {
  ReceiverProcess receiver;
  FarFiles far = receiver.far_files();
  const std::vector<HostFile> files = {make("same", "abc"), make("other", "abd"), make("short", "abe"),
                                       make("none", "abf")};
  ASSERT_TRUE(put(far, files));
  ASSERT_TRUE(write_file_atomically(root / "data/d1/other", "xyz"));
  ASSERT_TRUE(write_file_atomically(root / "data/d1/short", "ab"));
  ASSERT_TRUE(fs::remove(root / "data/d1/none"));
  EXPECT_EQ(*far.check(at(), files, false, stop), (std::vector<bool>{true, true, false, false}));
  EXPECT_EQ(*far.check(at(), files, true, stop), (std::vector<bool>{true, false, false, false}));
  EXPECT_EQ(*far.read(at(), "same", 10), "abc");
  EXPECT_EQ(far.read(at(), "same", 2).error().cause, Cause::bad_data);
  EXPECT_EQ(far.read(at(), "none", 10).error().cause, Cause::not_found);
  EXPECT_EQ(*far.read_from(at(), "same", 1, 1), "b");
  EXPECT_EQ(*far.read_from(at(), "same", 2, 10), "c");
  EXPECT_EQ(*far.read_from(at(), "same", 3, 10), "");
  EXPECT_EQ(far.read_from(at(), "none", 0, 10).error().cause, Cause::not_found);
  EXPECT_FALSE(*far.held({root}, "lock"));
  Result<FileLock> lock = FileLock::take(root / "lock");
  EXPECT_TRUE(*far.held({root}, "lock"));
  lock = Error{};
  EXPECT_FALSE(*far.held({root}, "lock"));
}

TEST_F(FarFilesTest, AStopSignalEndsACheckThatGetsNoAnswer) {
  ReceiverProcess receiver;
  FarFiles far = receiver.far_files();
  const HostFile file = make("x", "abc");
  ASSERT_TRUE(put(far, {file}));
  ::kill(receiver.pid(), SIGSTOP);
  std::jthread raises([&] {
    ::usleep(100'000);
    stop.raise(Cause::interrupted);
  });
  Result<std::vector<bool>> there = far.check(at(), {file}, true, stop);
  ASSERT_FALSE(there);
  EXPECT_EQ(there.error().cause, Cause::interrupted) << there.error().message;
  EXPECT_TRUE(far.broken());
}

TEST_F(FarFilesTest, TheReceiverEndsWithItsInputAndSaysWhatItDoesNotKnow) {
  ReceiverProcess receiver;
  {
    FarFiles far = receiver.far_files();
    Message strange;
    strange.head["type"] = "dance";
    Result<Message> answer = far.ask(strange);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().message, "unknown request 'dance'");
    EXPECT_FALSE(far.broken());
  }
  EXPECT_EQ(receiver.wait(), 0);
}

TEST_F(FarFilesTest, WhatIsNoMessageEndsTheReceiver) {
  for (const std::string& junk :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("GNF1\xff\xff\xff\xff....", 12)}) {
    ReceiverProcess receiver;
    MessageLink link = receiver.link();
    ASSERT_EQ(::send(link.descriptor(), junk.data(), junk.size(), 0), static_cast<ssize_t>(junk.size()));
    EXPECT_EQ(receiver.wait(), 12);
  }
}

// In a mount namespace of its own: a small disk, which the test fills while a file is on its way.
std::string on_a_small_disk(const fs::path& small, const std::function<Status()>& work) {
  int said[2];
  if (::pipe(said) != 0) return "no pipe";
  const int child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=16m") != 0) {
      ::_exit(77);
    }
    Status status = work();
    const std::string line =
        status ? "done" : std::string(name_of(status.error().cause)) + " " + status.error().message;
    ::_exit(::write(said[1], line.data(), line.size()) < 0);
  }
  ::close(said[1]);
  int status = 0;
  ::waitpid(child, &status, 0);
  char line[2048] = {};
  [[maybe_unused]] ssize_t got = ::read(said[0], line, sizeof line - 1);
  ::close(said[0]);
  return WEXITSTATUS(status) == 77 ? "(no right to mount)" : line;
}

TEST_F(FarFilesTest, AFullDiskIsNoResourcesAndNamesPathAndFreeBytes) {
  ASSERT_TRUE(create_folders(root));
  const HostFile large = make("large", random_bytes(20 << 20, 17)),
                 fits = make("fits", random_bytes(12 << 20, 18));
  const std::string before = on_a_small_disk(root, [&] {
    ReceiverProcess receiver;
    FarFiles far = receiver.far_files();
    return put(far, {large});
  });
  if (before.starts_with("(")) GTEST_SKIP() << "needs the right to mount";
  EXPECT_EQ(before, "no_resources " + root.string() + ": 20.0 MiB are to come and 16.0 MiB are free there");
  const std::string meanwhile = on_a_small_disk(root, [&] {
    ReceiverProcess receiver;
    FarFiles far = receiver.far_files();
    bool filled = false;
    return far.put(
        source.path(), {fits}, at(),
        [&](int64_t bytes) {
          if (bytes > 2 << 20 && !std::exchange(filled, true))
            (void)write_file_atomically(root / "filler", std::string(8 << 20, 'x'));
        },
        stop);
  });
  EXPECT_EQ(meanwhile.find("no_resources writing " + part(fits).string() + ": No space left on device; "), 0u)
      << meanwhile;
  EXPECT_NE(meanwhile.find(" are free there"), std::string::npos) << meanwhile;
}

}  // namespace
}  // namespace gnnflow
