// A retry makes again what failed and what follows, and nothing else.
#include <gtest/gtest.h>

#include "tests/orchestrator/engine/engine_bench.h"

namespace gnnflow {
namespace {

using Lines = std::vector<std::string>;

// a -> b -> c, and `other` that needs nothing; b and other have failed.
class Retry : public ::testing::Test {
 protected:
  void SetUp() override {
    bench.host().on_start([this](const Json& order) {
      const std::string step = order.get("spec").text_or("step", "");
      return broken.count(step) ? fails(Cause::failed, "no luck") : makes("thing", step);
    });
    bench.add("a", "make");
    ASSERT_EQ(bench.run(), 0);
    bench.add("b", "make", {{"input", "${steps.a}"}});
    bench.add("c", "make", {{"input", "${steps.b}"}});
    broken = {"b", "other"};
    ASSERT_EQ(bench.run(), 1);
    bench.add("other", "make");
    std::swap(bench.workflow.steps[1], bench.workflow.steps.back());
    std::swap(bench.workflow.steps[2], bench.workflow.steps.back());
    broken.clear();
    before = bench.host().started().size();
  }
  EngineBench bench;
  std::set<std::string> broken;
  size_t before = 0;
};

TEST_F(Retry, OfASingleStepMakesItAndWhatFollows) {
  EXPECT_EQ(bench.retry({"b"}), 0);
  EXPECT_EQ(bench.host().started().size(), before + 2);
  EXPECT_EQ(bench.last("a").number, 1);
  EXPECT_EQ(bench.last("b").number, 2);
  EXPECT_EQ(bench.last("c").state, AttemptState::succeeded);
  EXPECT_EQ(bench.last("other").id, 0);
  EXPECT_EQ(bench.status().run.command, "retry");
  EXPECT_EQ(bench.status_of("other").state, StepState::skipped);
  EXPECT_EQ(bench.status_of("other").row.reason, "not retried");
}

// What a killed controller has left of other steps may live: it goes on.
TEST_F(Retry, OfASingleStepDoesNotEndWhatStillRunsOfOthers) {
  bench.leave("other", bench.key_of("other"), AttemptState::running, TaskState::started);
  bench.start_job("controller", "old.1.other.1.0");
  const fs::path out = bench.host().root() / "tmp/old.1.other.1.0/out/thing";
  ASSERT_TRUE(create_folders(out));
  bench.on_tick = [&] {
    if (bench.last("c").state == AttemptState::succeeded) bench.host().finish("old.1.other.1.0", 0);
  };
  EXPECT_EQ(bench.retry({"b"}), 0);
  EXPECT_EQ(bench.last("other").number, 1);
  EXPECT_EQ(bench.last("other").state, AttemptState::succeeded);
  EXPECT_EQ(bench.last("c").state, AttemptState::succeeded);
}

TEST_F(Retry, WithoutNamesMakesAllThatIsNotDone) {
  EXPECT_EQ(bench.retry({}), 0);
  EXPECT_EQ(bench.host().started().size(), before + 3);
  EXPECT_EQ(bench.last("a").number, 1);
}

TEST_F(Retry, SaysThatANamedStepIsDone) {
  EXPECT_EQ(bench.retry({"a", "other"}), 0);
  EXPECT_EQ(bench.observer.lines_with("note step"), Lines{"note step a is done: nothing changed"});
  EXPECT_EQ(bench.last("a").number, 1);
  EXPECT_EQ(bench.last("b").number, 2);  // it follows a
}

TEST_F(Retry, OfDoneStepsAloneIsNothingToDo) {
  ASSERT_EQ(bench.run(), 0);
  before = bench.host().started().size();
  EXPECT_EQ(bench.retry({"c"}), 0);
  EXPECT_EQ(bench.host().started().size(), before);
  EXPECT_EQ(bench.observer.lines_with("note step"), Lines{"note step c is done: nothing changed"});
  EXPECT_EQ(bench.observer.lines_with("end").back(), "end 0: nothing to do");
}

TEST_F(Retry, OfAStepWhoseInputIsNotDoneSaysWhatIsMissing) {
  EXPECT_EQ(bench.retry({"c"}), exit_code(Cause::bad_usage));
  EXPECT_EQ(bench.observer.lines_with("failure").back(),
            "failure : step c needs b, which has to be made first (attempt 1 failed): name it too, or use "
            "`gnnflow run`");
  EXPECT_EQ(bench.host().started().size(), before);
}

TEST_F(Retry, OfAnUnknownStepIsRefused) {
  EXPECT_EQ(bench.retry({"d"}), exit_code(Cause::not_found));
  EXPECT_EQ(bench.observer.lines_with("failure").back(), "failure : there is no step 'd' in flow");
}

TEST_F(Retry, BeginsTheCountOfRetriesAnew) {
  broken = {"b"};
  bench.step("b").retries = 1;
  EXPECT_EQ(bench.retry({"b"}), 1);
  EXPECT_EQ(bench.last("b").number, 3);
  EXPECT_EQ(bench.retry({"b"}), 1);
  EXPECT_EQ(bench.last("b").number, 5);
}

}  // namespace
}  // namespace gnnflow
