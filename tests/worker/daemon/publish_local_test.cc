// Publishing something large: it holds nobody up who does not want it any more.
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/worker/daemon/daemon_client.h"

namespace gnnflow {
namespace {

const std::string kToken = "s3.r1.step.1." + std::to_string(::getpid());
constexpr int64_t kPublish = 1000;  // the order's id
constexpr const char* kPiece = "outputs/step/abc/1/x";

bool has_open(int pid, const fs::path& file) {
  std::error_code error;
  for (fs::directory_iterator entry("/proc/" + std::to_string(pid) + "/fd", error), end;
       !error && entry != end; entry.increment(error)) {
    std::error_code gone;
    if (fs::read_symlink(entry->path(), gone) == file) return true;
  }
  return false;
}

// The job's output is a file without content, and so large that its digest takes minutes.
struct LongPublish : testing::Test {
  TempDir temp;
  fs::path root = fs::canonical(temp.path()) / "h1";
  DaemonUnderTest daemon{root};
  DaemonClient client{root};

  void SetUp() override {
    Json more;
    more["outputs"]["x"] = "x";
    client.start_exec(kToken, {"truncate", "-s", "2T", "x"}, more);
    Json end = client.event(kToken, "exited").head;
    ASSERT_EQ(end.integer_or("code", -1), 0) << end.dump();
    Json publish = DaemonClient::head_of("publish", kToken);
    publish["to"] = "outputs/step/abc/1";
    publish["pieces"] = Json::Array{"x"};
    publish["id"] = kPublish;
    client.send(publish);
    ASSERT_TRUE(becomes_true([&] { return has_open(daemon.pid(), root / "tmp" / kToken / "out/x/x"); }));
  }
  void expect_stopped() {
    const Json answer = client.reply(kPublish).head;
    EXPECT_EQ(answer.text_or("cause", ""), "stopped") << answer.dump();
    EXPECT_FALSE(fs::exists(root / kPiece));
  }
};

TEST_F(LongPublish, EndsWhenItsTokenIsDiscarded) {
  Json remove = DaemonClient::head_of("remove");
  remove["path"] = "outputs/step/abc/1";
  remove["id"] = kPublish + 1;
  client.send(remove);
  EXPECT_TRUE(client.about(kToken, "discard").head.boolean_or("ok", false));
  EXPECT_FALSE(fs::exists(root / "tmp" / kToken));
  EXPECT_FALSE(fs::exists(root / "outputs/step"));
}

TEST_F(LongPublish, EndsWhenItsTokenIsCancelled) {
  EXPECT_TRUE(client.about(kToken, "cancel").head.boolean_or("ok", false));
  expect_stopped();
}

TEST_F(LongPublish, EndsWithAGoodbye) {
  EXPECT_TRUE(client.about("", "goodbye").head.boolean_or("ok", false));
  EXPECT_TRUE(daemon.wait(Milliseconds(20'000)));
  EXPECT_FALSE(fs::exists(root / "tmp" / kToken));
  EXPECT_FALSE(fs::exists(root / kPiece));
}

}  // namespace
}  // namespace gnnflow
