// The computed states, as one table.
#include "orchestrator/store/step_state.h"

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

constexpr RunLife kLive{.ended = false, .exit_code = 0, .live = true};
constexpr RunLife kCutOff{.ended = false, .exit_code = 0, .live = false};
constexpr RunLife kEnded{.ended = true, .exit_code = 1, .live = false};

struct Expected {
  std::optional<AttemptState> attempt;
  StepState live, cut_off, ended;
};

StepState state(const std::string& kind, Decision decision, std::optional<AttemptState> of,
                const RunLife& life) {
  RunStepRow row;
  row.kind = kind;
  row.decision = decision;
  AttemptRow attempt;
  if (of) attempt.state = *of;
  return state_of_step(row, of ? &attempt : nullptr, life);
}

void check(const std::string& kind, const std::vector<Expected>& table) {
  for (const Expected& row : table) {
    for (Decision decision : {Decision::attempt, Decision::adopted}) {
      const std::string name = kind + " " + std::string(row.attempt ? name_of(*row.attempt) : "none");
      EXPECT_EQ(name_of(state(kind, decision, row.attempt, kLive)), name_of(row.live)) << name << ", live";
      EXPECT_EQ(name_of(state(kind, decision, row.attempt, kCutOff)), name_of(row.cut_off))
          << name << ", cut off";
      EXPECT_EQ(name_of(state(kind, decision, row.attempt, kEnded)), name_of(row.ended)) << name << ", ended";
    }
    EXPECT_EQ(state(kind, Decision::skipped, row.attempt, kLive), StepState::skipped);
  }
}

TEST(StepState, OfAStepIsComputedFromItsAttemptAndTheRun) {
  using enum StepState;
  check("train", {{std::nullopt, waiting, waiting, skipped},
                  {AttemptState::intent, running, interrupted, interrupted},
                  {AttemptState::running, running, interrupted, interrupted},
                  {AttemptState::publishing, running, interrupted, interrupted},
                  {AttemptState::succeeded, succeeded, succeeded, succeeded},
                  {AttemptState::failed, failed, failed, failed},
                  {AttemptState::lost, failed, failed, failed},
                  {AttemptState::cancelled, cancelled, cancelled, cancelled}});
}

TEST(StepState, OfAServiceIsNeverSucceeded) {
  using enum StepState;
  check("launch", {{std::nullopt, idle, idle, idle},
                   {AttemptState::intent, running, interrupted, interrupted},
                   {AttemptState::running, up, interrupted, interrupted},
                   {AttemptState::publishing, up, interrupted, interrupted},
                   {AttemptState::succeeded, idle, idle, idle},
                   {AttemptState::failed, failed, failed, failed},
                   {AttemptState::lost, failed, failed, failed},
                   {AttemptState::cancelled, idle, idle, idle}});
}

TEST(StepState, CachedIsADecision) {
  EXPECT_EQ(state("train", Decision::cached, AttemptState::succeeded, kLive), StepState::cached);
  EXPECT_EQ(state("train", Decision::cached, AttemptState::succeeded, kCutOff), StepState::cached);
}

TEST(StepState, OfARunFollowsItsEndAndItsController) {
  EXPECT_EQ(state_of_run(kLive), StepState::running);
  EXPECT_EQ(state_of_run(kCutOff), StepState::interrupted);
  EXPECT_EQ(state_of_run({.ended = true, .exit_code = 0, .live = false}), StepState::succeeded);
  for (int code : {1, 6, 12, 13, 70, 75}) {
    EXPECT_EQ(state_of_run({.ended = true, .exit_code = code, .live = false}), StepState::failed) << code;
  }
  for (int code : {8, 130, 143}) {
    EXPECT_EQ(state_of_run({.ended = true, .exit_code = code, .live = false}), StepState::cancelled) << code;
  }
}

TEST(StepState, AnEndedRunIsNotLiveWhoeverHoldsTheLock) {
  RunStatus status;
  status.run.ended_ms = 5;
  status.run.exit_code = 1;
  status.steps.resize(1);
  status.steps[0].row.kind = "train";
  compute_states(status, true);
  EXPECT_EQ(status.state, StepState::failed);
  EXPECT_EQ(status.steps[0].state, StepState::skipped);
}

}  // namespace
}  // namespace gnnflow
