// A job's channel, in processes of its own whose daemon is the test.
#include <cstdlib>
#include <functional>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/wire/job_channel.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

const Milliseconds kLong{10'000};

Message named(std::string_view type) {
  Message message;
  message.head["type"] = type;
  return message;
}

Message beat(int64_t lease_ms, int64_t grace_ms) {
  Message message = named("beat");
  message.head["lease_ms"] = lease_ms;
  message.head["grace_ms"] = grace_ms;
  return message;
}

// `work` runs in a child with the channel open; its result is the exit code.
class ChannelJob {
 public:
  explicit ChannelJob(const std::function<int(JobChannel&)>& work) {
    auto ends = make_socket_pair();
    if (!ends) bug(ends.error().message);
    pid_ = ::fork();
    if (pid_ == 0) {
      ends->first.reset();
      ::dup2(ends->second.get(), kChannelDescriptor);
      if (ends->second.get() == kChannelDescriptor) ends->second.release();
      ends->second.reset();
      ::setenv("GNNFLOW_TOKEN", "a.b.c", 1);
      int code = 1;
      {
        std::unique_ptr<JobChannel> channel = JobChannel::open();
        code = work(*channel);
      }
      std::_Exit(code);
    }
    link_.emplace(std::move(ends->first));
  }
  ~ChannelJob() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  void send(const Message& message) { EXPECT_TRUE(link_->send(message, Deadline::after(kLong))); }
  Message next(std::string_view type) {
    while (true) {
      Result<std::optional<Message>> message = link_->receive(Deadline::after(kLong));
      if (!message || !*message) return named("none");
      if ((*message)->type() == type) return **message;
    }
  }
  void hang_up() { link_.reset(); }
  int code() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  std::optional<MessageLink> link_;
};

int sleep_long(JobChannel&) {
  ::sleep(60);
  return 0;
}

TEST(JobChannel, EndsTheProcessWhenItsDaemonIsGone) {
  ChannelJob job(sleep_long);
  job.hang_up();
  EXPECT_EQ(job.code(), 143);
}

TEST(JobChannel, EndsTheProcessWithoutBeatsForALease) {
  ChannelJob job(sleep_long);
  job.send(beat(300, 100));
  EXPECT_EQ(job.code(), 143);
}

TEST(JobChannel, AProcessThatWasStoppedCountsTheBeatsThatCameMeanwhile) {
  ChannelJob job([](JobChannel& channel) {
    channel.report(named("up"));
    return channel.wait_for("go on", Deadline::after(kLong)) ? 5 : 6;
  });
  job.send(beat(500, 100));
  EXPECT_EQ(job.next("up").type(), "up");
  ::kill(job.pid(), SIGSTOP);
  ::usleep(700'000);
  job.send(beat(10'000, 100));
  ::kill(job.pid(), SIGCONT);
  ::usleep(200'000);
  job.send(named("go on"));
  EXPECT_EQ(job.code(), 5);
}

TEST(JobChannel, CancelRaisesTheStopSignalAndEndsAWaitAtOnce) {
  ChannelJob job([](JobChannel& channel) {
    Result<Message> peers = channel.wait_for("peers", Deadline::after(kLong));
    return !peers && peers.error().cause == Cause::stopped && channel.stop().raised() ? 7 : 1;
  });
  job.send(beat(60'000, 10'000));
  job.send(named("cancel"));
  EXPECT_EQ(job.code(), 7);
}

TEST(JobChannel, CancelEndsTheProcessAfterTheTimeOfGrace) {
  ChannelJob job(sleep_long);
  job.send(beat(60'000, 200));
  job.send(named("cancel"));
  EXPECT_EQ(job.code(), 143);
}

TEST(JobChannel, DeliversMessagesThatCameBeforeTheyWereAskedFor) {
  ChannelJob job([](JobChannel& channel) {
    if (!channel.wait_for("second", Deadline::after(kLong))) return 1;
    std::atomic<int> heard = 0;
    channel.on("first",
               [&](const Message& message) { heard = static_cast<int>(message.head.integer_or("n", 0)); });
    for (int i = 0; i < 1000 && heard != 2; ++i) ::usleep(5000);
    return heard == 2 ? 9 : 2;
  });
  Message first = named("first");
  first.head["n"] = 1;
  job.send(first);
  first.head["n"] = 2;
  job.send(first);
  job.send(named("second"));
  EXPECT_EQ(job.code(), 9);
}

TEST(JobChannel, ReportsWithTheirMembersBesideTheType) {
  ChannelJob job([](JobChannel& channel) {
    Json metrics;
    metrics["epoch"] = 3;
    channel.metrics(metrics);
    return report_failure(channel, {Cause::bad_data, "part.json: cut short"});
  });
  EXPECT_EQ(job.next("metrics").head.integer_or("epoch", 0), 3);
  Message failure = job.next("failure");
  EXPECT_EQ(failure.head.text_or("cause", ""), "bad_data");
  EXPECT_EQ(failure.head.text_or("message", ""), "part.json: cut short");
  EXPECT_EQ(job.code(), 12);
}

TEST(JobChannel, SendsFewProgressReportsAndAlwaysTheLastOfAPhase) {
  ChannelJob job([](JobChannel& channel) {
    for (int i = 1; i <= 10'000; ++i) channel.progress({"reading", i, 20'000, "edges", ""});
    channel.progress({"writing", 1, 0, "", ""});
    channel.progress({"writing", 2, 0, "", ""});
    return 0;
  });
  std::vector<Progress> seen;
  while (true) {
    Message message = job.next("progress");
    if (message.type() == "none") break;
    seen.push_back(Progress::from_json(message.head));
  }
  ASSERT_GE(seen.size(), 4u);
  EXPECT_LT(seen.size(), 50u);
  EXPECT_EQ(seen[seen.size() - 3].done, 10'000);
  EXPECT_EQ(seen[seen.size() - 1].phase, "writing");
  EXPECT_EQ(seen[seen.size() - 1].done, 2);
}

TEST(JobChannel, GetsAValueWhenAPeerHasSetIt) {
  ChannelJob job([](JobChannel& channel) {
    if (!channel.store_set("mine", "1")) return 1;
    Result<std::string> value = channel.store_get("theirs", Deadline::after(kLong));
    Result<std::string> missing = channel.store_get("none", Deadline::after(kLong));
    bool good =
        value && *value == std::string("a\0b", 3) && !missing && missing.error().cause == Cause::unreachable;
    return good ? 11 : 2;
  });
  EXPECT_EQ(job.next("store_set").head.text_or("key", ""), "mine");
  Message ask = job.next("store_get"), reply = named("store_reply");
  reply.head["request"] = ask.head.integer_or("request", 0);
  reply.head["ok"] = true;
  reply.body = std::string("a\0b", 3);
  job.send(reply);
  ask = job.next("store_get");
  reply.head["request"] = ask.head.integer_or("request", 0);
  reply.head["ok"] = false;
  job.send(reply);
  EXPECT_EQ(job.code(), 11);
}

TEST(JobChannel, ByHandReportsAreDroppedAndWaitsFail) {
  std::unique_ptr<JobChannel> channel = JobChannel::detached();
  channel->progress({"x", 1, 2, "", ""});
  Result<Message> peers = channel->wait_for("peers", Deadline::after(kLong));
  ASSERT_FALSE(peers);
  EXPECT_EQ(peers.error().message, "there is no daemon: this program was started by hand");
  EXPECT_FALSE(channel->store_set("a", "b"));
  EXPECT_FALSE(channel->store_get("a", Deadline::after(kLong)));
}

TEST(Task, IsReadStrictlyEnoughToNameWhatIsMissing) {
  TempDir temp;
  fs::path good = temp.file("good.json", R"({"token":"a.b","kind":"train","folder":"/x/tmp/a.b","rank":1})");
  Result<Task> task = Task::read(good);
  ASSERT_TRUE(task) << task.error().message;
  EXPECT_EQ(task->kind, "train");
  EXPECT_EQ(task->spec.integer_or("rank", 0), 1);
  Result<Task> bad = Task::read(temp.file("bad.json", R"({"token":"a.b","folder":"/x"})"));
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("'kind' is missing"), std::string::npos);
  EXPECT_FALSE(Task::read(temp.file("relative.json", R"({"token":"a","kind":"train","folder":"x"})")));
}

}  // namespace
}  // namespace gnnflow
