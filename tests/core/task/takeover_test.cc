// Tasks whose worker is lost, or does not know what it has stored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/situations.h"

namespace capstan::task {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kOne[] = "  - {name: build, " kModel "}\n";
constexpr char kProgramOnly[] = "  - {name: deploy, " kProgram "}\n";

// A worker takes over from one that was lost.
Resumed After(int takeovers) { return {.takeovers = takeovers, .alone = true, .anew = true}; }
// The worker that holds it asks again.
Resumed Again() { return {.takeovers = 0, .alone = true, .anew = false}; }

TEST(TakeoverTest, S1_31_ALostWorkerCostsOneIterationAndTheNextOneIsANewAttempt) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.Continue("build", "the tests are missing");
  run.NewStory();

  const Transition taken = run.Feed(After(1));

  EXPECT_THAT(run.NewStory(),
              ElementsAre("lease_lost", "build ended STOPPED", "build started 2.2"));
  EXPECT_EQ(taken.run[0].iteration, 2);
  EXPECT_EQ(run.Step("build").feedback(), "the tests are missing") << "it goes on from there";
}

TEST(TakeoverTest, AProgramThatMayNotRunTwiceEndsTheTaskWithAnUnknownOutcome) {
  TaskUnderTest run{std::string(kProgramOnly)};
  run.Begin();

  const Transition taken = run.Feed(After(1));
  EXPECT_THAT(taken.run, IsEmpty());
  EXPECT_TRUE(taken.put_away);
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN);
  EXPECT_THAT(run.End().message(), HasSubstr("step deploy"));
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_POSSIBLE);
}

TEST(TakeoverTest, ARepeatableProgramRunsAgain) {
  TaskUnderTest run("  - {name: deploy, " kRepeatable "}\n");
  run.Begin();

  EXPECT_EQ(run.Feed(After(1)).run[0].attempt, 2);
}

TEST(TakeoverTest, AnUnknownOutcomeStopsNothingThatIsNotRunningAnyMore) {
  TaskUnderTest run("  - {name: a, " kModel "}\n  - {name: deploy, " kProgram "}\n");
  run.Begin();

  const Transition taken = run.Feed(After(1));

  EXPECT_THAT(taken.stop, IsEmpty());
  EXPECT_TRUE(taken.put_away);
}

TEST(TakeoverTest, AReleasedTaskIsDoneAgainAlthoughNoWorkerWasLost) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.NewStory();

  run.Feed(After(0));

  EXPECT_THAT(run.NewStory(), ElementsAre("build ended STOPPED", "build started 2.1"));
}

TEST(TakeoverTest, S4_24_WhatWasReservedWhenAWorkerWasLostCountsAsSpent) {
  TaskUnderTest run{std::string(kOne)};
  run.task.request.mutable_task()->set_max_cost_microusd(100);
  run.Begin();

  const Transition taken = run.Feed(After(1));
  EXPECT_THAT(taken.run, IsEmpty());
  run.PutAway();

  EXPECT_EQ(run.task.data.usage().cost_microusd(), 100);
  EXPECT_TRUE(run.task.data.usage().is_upper_bound());
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_BUDGET_EXCEEDED);
}

TEST(TakeoverTest, ATaskOverWhichThreeWorkersWereLostIsGivenUp) {
  TaskUnderTest run{std::string(kOne)};
  run.task.request.mutable_task()->set_max_cost_microusd(100);
  run.workflow.mutable_steps(0)->mutable_llm()->set_max_cost_microusd(10);
  run.Begin();
  run.Feed(After(1));
  run.Feed(After(2));

  run.Feed(After(3));

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_LEASE_LOST);
  EXPECT_EQ(run.StateOf("build"), StepStatus::STATE_CANCELLED);
  EXPECT_EQ(run.task.data.usage().cost_microusd(), 30) << "each may have spent its reservation";
}

TEST(TakeoverTest, AProgramThatMayHaveRunIsNeverGivenUpAsIfItHadNot) {
  TaskUnderTest run{std::string(kProgramOnly)};
  run.Begin();

  run.Feed(After(3));

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN);
}

TEST(TakeoverTest, AnEndThatWasDecidedIsKeptWhenATaskIsGivenUp) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.Cancel();
  run.Stopped("build");

  run.Feed(After(3));

  EXPECT_EQ(run.task.state, Execution::STATE_CANCELLED);
  EXPECT_THAT(run.End().message(), HasSubstr("was not put away"));
}

TEST(TakeoverTest, ATaskThatWaitedHasANewLeaseWhoseLossesAreCountedFromTheBeginning) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.Feed(After(1));
  run.Feed(After(2));
  run.Err("build");
  run.now += absl::Minutes(2);
  run.Begin();

  run.Feed(After(1));

  EXPECT_EQ(run.Count("lease_lost"), 3);
  EXPECT_EQ(run.task.state, Execution::STATE_RUNNING);
}

TEST(TakeoverTest, WhoeverTakesOverWhilePolicyDecidesDecidesAgain) {
  TaskUnderTest run{std::string(kOne)};
  run.Feed(Resumed{});

  EXPECT_TRUE(run.Feed(After(0)).ignored);
  const Transition taken = run.Feed(After(1));

  EXPECT_TRUE(taken.decide);
  EXPECT_THAT(StoryOf(taken.events), ElementsAre("lease_lost"));
}

TEST(TakeoverTest, WhoeverTakesOverWhileThereIsNoWorkspaceMakesIt) {
  TaskUnderTest run{std::string(kOne)};
  run.Feed(Resumed{});
  run.Allow();

  const Transition again = run.Feed(After(0));

  EXPECT_TRUE(again.ignored) << "nothing to store";
  EXPECT_TRUE(again.prepare);
  EXPECT_TRUE(run.Feed(After(1)).prepare);
}

TEST(TakeoverTest, WhoeverTakesOverWhileWorkIsPutAwayPutsItAway) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.Complete("build");

  EXPECT_TRUE(run.Feed(Again()).put_away);
  EXPECT_TRUE(run.Feed(After(1)).put_away);
  run.PutAway();

  EXPECT_EQ(run.task.state, Execution::STATE_SUCCEEDED);
}

TEST(TakeoverTest, WhoeverTakesOverATaskThatIsEndingGoesOnEndingIt) {
  TaskUnderTest run("  - {name: a, " kModel "}\n  - {name: b, " kModel "}\n");
  run.Begin();
  run.Cancel();

  const Transition taken = run.Feed(After(1));
  EXPECT_TRUE(taken.put_away);
  EXPECT_THAT(taken.run, IsEmpty());
  EXPECT_TRUE(run.Feed(After(1)).put_away) << "and once more";
  run.PutAway();

  EXPECT_EQ(run.task.state, Execution::STATE_CANCELLED);
}

TEST(TakeoverTest, WhatATaskThatIsBlockedWaitsForIsLookedAtAgain) {
  TaskUnderTest run("  - {name: build, gate: {kind: human}, " kModel "}\n");
  run.Begin();

  EXPECT_TRUE(run.Feed(Resumed{}).decide);
  const Transition blocked = run.Allow();

  EXPECT_EQ(run.task.state, Execution::STATE_BLOCKED);
  EXPECT_EQ(run.Count("asked about build"), 1) << "the same approval stays open";
  EXPECT_EQ(blocked.park, kGateTimeout);
}

TEST(TakeoverTest, AStepThatWasBeingStoppedRunsAgain) {
  TaskUnderTest run("  - {name: a, " kModel "}\n  - {name: slow, depends_on: [a], " kModel
                    "}\n  - {name: fails, depends_on: [a], retry_from: a, " kModel "}\n");
  run.Begin();
  run.Complete("a");
  run.Fail("fails");

  const Transition taken = run.Feed(After(1));

  EXPECT_THAT(NamesOf(taken.run), ElementsAre("a"));
  EXPECT_EQ(run.StateOf("slow"), StepStatus::STATE_PENDING);
}

// ---- its holder asks again: the reply of a commit was lost

TEST(TakeoverTest, WhoeverHoldsItStartsWhatItMayHaveForgottenAndStoresNothing) {
  TaskUnderTest run("  - {name: build, turn_timeout: 15m, " kModel "}\n");
  run.Begin();

  const Transition again = run.Feed(Again());

  EXPECT_TRUE(again.ignored);
  EXPECT_THAT(NamesOf(again.run), ElementsAre("build"));
  EXPECT_EQ(again.run[0].attempt, 1);
  EXPECT_EQ(again.run[0].timeout, absl::Minutes(15));
}

TEST(TakeoverTest, WhoeverHoldsItStopsWhatItMayHaveForgottenToStop) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.Cancel();

  const Transition again = run.Feed(Again());

  EXPECT_THAT(again.stop, ElementsAre("build"));
  EXPECT_THAT(again.run, IsEmpty());
}

TEST(TakeoverTest, AProgramThatMayNotRunTwiceIsNotLostWhenItsHolderAsksAgain) {
  TaskUnderTest run{std::string(kProgramOnly)};
  run.Begin();

  run.Feed(Again());
  run.Complete("deploy");
  run.PutAway();

  EXPECT_EQ(run.task.state, Execution::STATE_SUCCEEDED);
}

TEST(TakeoverTest, AnAnswerThatWasStoredAlreadyMeansNothing) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  const IterationEnded ended = run.Of("build", IterationFinished::STATUS_CONTINUE);
  run.Feed(ended);

  EXPECT_TRUE(run.Feed(ended).ignored);
}

TEST(TakeoverTest, ADefinitionThatIsGoneEndsATaskWhoseReservationMayBeSpent) {
  TaskUnderTest run{std::string(kOne)};
  run.task.request.mutable_task()->set_max_cost_microusd(100);
  run.Begin();
  const v1::Workflow none;
  run.task.workflow = &none;

  run.Feed(Unusable{"there is no workflow w@digest"});

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_CONFIGURATION);
  EXPECT_EQ(run.task.data.usage().cost_microusd(), 100);
}

}  // namespace
}  // namespace capstan::task
