// A process that does not even hear SIGKILL makes nobody wait for ever.
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "worker/daemon/gone.h"
#include "worker/daemon/jobs.h"

namespace gnnflow {
namespace {

TEST(KillUntilClean, WantsTwoRoundsInARowThatFindNothing) {
  std::vector<bool> found = {false, true, false, true, true, false};
  size_t rounds = 0;
  EXPECT_TRUE(kill_until_clean([&] { return found[rounds++]; }, Deadline::after(Milliseconds(60'000))));
  EXPECT_EQ(rounds, 5u);
}

TEST(KillUntilClean, GivesUpAtItsDeadline) {
  size_t rounds = 0;
  const auto never = [&] {
    ++rounds;
    return false;
  };
  EXPECT_FALSE(kill_until_clean(never, Deadline::after(Milliseconds(50))));
  EXPECT_GT(rounds, 1u);
}

// Jobs whose process is a sleep that no signal reaches.
struct Unkillable : testing::Test {
  TempDir temp;
  HostFolder host{temp / "h1"};
  std::optional<Journal> journal;
  Inbox inbox;
  Beats beats{Milliseconds(60'000), Milliseconds(1'000)};
  std::vector<Message> told;
  std::optional<Jobs> jobs;
  Errands sweeps;

  void SetUp() override {
    ASSERT_TRUE(host.make());
    journal = Journal::open(host.journal()).value();
    JobsSetting setting{host,  *journal, beats,
                        inbox, sweeps,   [this](const Message& event) { told.push_back(event); }};
    setting.spawn = [](const HostFolder&, Job& job, std::function<void()> wake) -> Status {
      TRY(auto ends, make_socket_pair());
      ChildOptions options;
      options.argv = {"/bin/sleep", "600"};
      options.descriptors = {{ends.second.get(), 3}};
      TRY(job.process, ChildProcess::start(options));
      job.channel = std::make_shared<Channel>(std::move(ends.first), ChannelLimits{}, std::move(wake));
      job.record.state = JobState::started;
      return {};
    };
    setting.kill = [](ChildProcess&) {};
    setting.unkillable = Milliseconds(50);
    jobs.emplace(std::move(setting));
  }
};

TEST_F(Unkillable, AJobIsGivenUpAndItsEndSaysWhy) {
  Json spec;
  spec["kind"] = "serve";  // would be started again, were it not given up
  ASSERT_TRUE(jobs->start("a.b", "worker", spec));
  told.clear();
  jobs->kill("a.b");
  EXPECT_FALSE(jobs->none_live());
  const Deadline deadline = Deadline::after(Milliseconds(20'000));
  while (!jobs->none_live() && !deadline.passed()) jobs->do_what_is_due();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].head.text_or("event", ""), "exited");
  EXPECT_EQ(told[0].head.text_or("state", ""), "killed");
  EXPECT_EQ(told[0].head.text_or("message", "").find("process "), 0u) << told[0].head.dump();
  EXPECT_NE(told[0].head.text_or("message", "").find(" was killed and does not end: the kernel holds it"),
            std::string::npos)
      << told[0].head.dump();
  EXPECT_EQ(journal->jobs().at("a.b").state, JobState::killed);
}

}  // namespace
}  // namespace gnnflow
