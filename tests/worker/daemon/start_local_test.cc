// A daemon comes up whatever lies in its folder, and whoever sweeps programs waits for who makes them.
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"
#include "tests/worker/daemon/daemon_client.h"
#include "worker/daemon/bundle_sweep.h"

namespace gnnflow {
namespace {

// Not even root deletes it. False where this user or this disk cannot have such files.
bool set_immutable(const fs::path& path, bool immutable) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  int flags = 0;
  if (::ioctl(file.get(), FS_IOC_GETFLAGS, &flags) != 0) return false;
  flags = immutable ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
  return ::ioctl(file.get(), FS_IOC_SETFLAGS, &flags) == 0;
}

struct Stuck : testing::Test {
  TempDir temp;
  fs::path root = temp / "h1";
  std::vector<fs::path> files = {temp.file("h1/tmp/old.1/x", "x"), temp.file("h1/trash-123/x", "x")};

  void TearDown() override {
    for (const fs::path& file : files) {
      if (fs::exists(file)) set_immutable(file, false);
    }
  }
};

TEST_F(Stuck, WhatCannotBeDeletedKeepsNoDaemonFromStarting) {
  temp.file("h1/tmp/old.2/y", "y");
  if (!set_immutable(files[0], true)) GTEST_SKIP() << "no file can be made immutable here";
  ASSERT_TRUE(set_immutable(files[1], true));
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  EXPECT_TRUE(client.greeting().boolean_or("ok", false)) << client.greeting().dump();
  EXPECT_EQ(client.greeting().text_or("leftovers", ""),
            "removing " + (root / "tmp/old.1").string() + ": Operation not permitted (and 1 more)");
  EXPECT_FALSE(fs::exists(root / "tmp/old.2"));
  EXPECT_NE(read_file(root.string() + ".out").value_or("").find("Operation not permitted"),
            std::string::npos);
}

TEST(Start, TellsOfNoLeftoversWhenThereAreNone) {
  TempDir temp;
  temp.file("h1/tmp/old.1/x", "x");
  DaemonUnderTest daemon(temp / "h1");
  DaemonClient client(temp / "h1");
  EXPECT_TRUE(client.greeting().has("leftovers"));
  EXPECT_EQ(client.greeting().text_or("leftovers", "none"), "");
}

// Tells of the first one who opens a file from now on.
class Opening {
 public:
  explicit Opening(const fs::path& file) {
    EXPECT_GE(::inotify_add_watch(events_.get(), file.c_str(), IN_OPEN), 0) << file;
  }
  bool comes() {
    char event[sizeof(inotify_event) + NAME_MAX + 1];
    return becomes_true([&] { return ::read(events_.get(), event, sizeof event) > 0; }, Milliseconds(60'000));
  }

 private:
  FileDescriptor events_{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
};

TEST(BundleSweepLock, WhatRunsIsLookedAtUnderTheLock) {
  TempDir temp;
  const fs::path workspace = fs::canonical(temp.path()), bundles = workspace / "bundles";
  const fs::path program = bundles / "receive/abc/sleep";
  ASSERT_TRUE(create_folders(program.parent_path()));
  fs::copy_file("/bin/sleep", program);
  std::optional<FileLock> maker = *FileLock::take(bundles / "lock");
  Opening another(bundles / "lock");
  const StopSignal stop;
  const SweepWish wish{.all = true, .patience = Milliseconds(60'000)};
  Result<std::vector<SweptBundle>> swept = Error{};
  std::jthread sweep([&] { swept = sweep_bundles(workspace, std::string(32, 'c'), wish, stop); });
  EXPECT_TRUE(another.comes());
  // Another controller came meanwhile: its receiver, beside the one of whoever asks.
  std::vector<ChildProcess> receivers;
  for (int i = 0; i < 2 && fs::exists(program); ++i) {
    ChildOptions options;
    options.argv = {program.string(), "600"};
    Result<ChildProcess> started = ChildProcess::start(options);
    ASSERT_TRUE(started) << started.error().message;
    receivers.push_back(*std::move(started));
  }
  maker.reset();
  sweep.join();
  for (ChildProcess& receiver : receivers) {
    receiver.signal(SIGKILL);
    receiver.wait(Deadline::never());
  }
  ASSERT_TRUE(swept) << swept.error().message;
  EXPECT_TRUE(swept->empty());
  EXPECT_TRUE(fs::exists(program));
}

}  // namespace
}  // namespace gnnflow
