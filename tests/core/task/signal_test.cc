// Cancel, pause and resume, in every situation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/situations.h"

namespace capstan::task {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kStages[] = "  - {name: render, " kProgram
                           "}\n"
                           "  - {name: validate, depends_on: [render], " kProgram
                           "}\n"
                           "  - {name: deploy, depends_on: [validate], " kProgram "}\n";
constexpr char kOne[] = "  - {name: build, " kModel "}\n";
constexpr char kGated[] =
    "  - {name: build, " kModel
    "}\n"
    "  - {name: ship, depends_on: [build], gate: {kind: human}, " kModel "}\n";

TEST(SignalTest, ATaskThatHasNotBegunIsCancelledAtOnce) {
  TaskUnderTest run{std::string(kOne)};

  run.Cancel();

  EXPECT_EQ(run.task.state, Execution::STATE_CANCELLED);
  EXPECT_EQ(run.End().message(), "cancelled by bob: not needed");
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_NONE);
}

TEST(SignalTest, ATaskIsCancelledWhilePolicyDecides) {
  TaskUnderTest run{std::string(kOne)};
  run.Feed(Resumed{});

  run.Cancel();

  EXPECT_EQ(run.task.state, Execution::STATE_CANCELLED);
  EXPECT_TRUE(run.Allow().ignored);
}

TEST(SignalTest, ARunningTaskIsStoppedThenPutAwayThenCancelled) {
  TaskUnderTest run("  - {name: a, " kModel "}\n  - {name: b, " kModel "}\n");
  run.Begin();
  run.NewStory();

  const Transition cancelled = run.Cancel();
  EXPECT_THAT(cancelled.stop, ElementsAre("a", "b"));
  EXPECT_FALSE(cancelled.put_away);
  const Transition first = run.Stopped("a");
  EXPECT_FALSE(first.put_away) << "b still runs";
  const Transition second = run.Stopped("b");
  EXPECT_TRUE(second.put_away);
  run.PutAway();

  EXPECT_THAT(run.NewStory(),
              ElementsAre("cancel_requested", "end_decided", "a ended STOPPED", "a CANCELLED",
                          "b ended STOPPED", "b CANCELLED", "work_committed", "CANCELLED"));
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_POSSIBLE);
}

TEST(SignalTest, AStepThatCompletesWhileItIsStoppedHasSucceededAndTheTaskIsCancelled) {
  TaskUnderTest run{std::string(kStages)};
  run.Begin();
  run.Cancel();

  const Transition completed = run.Complete("render");
  run.PutAway();

  EXPECT_TRUE(completed.put_away);
  EXPECT_THAT(completed.run, IsEmpty());
  EXPECT_EQ(run.StateOf("render"), StepStatus::STATE_SUCCEEDED);
  EXPECT_EQ(run.task.state, Execution::STATE_CANCELLED);
}

TEST(SignalTest, ATaskThatWaitsForPeopleIsCancelled) {
  TaskUnderTest run{std::string(kGated)};
  run.Begin();
  run.Complete("build");

  const Transition cancelled = run.Cancel();
  EXPECT_TRUE(cancelled.put_away);
  const Transition ended = run.PutAway();

  EXPECT_EQ(run.task.state, Execution::STATE_CANCELLED);
  ASSERT_EQ(ended.approvals.size(), 1u);
  EXPECT_EQ(ended.approvals[0].state, v1::ApprovalSummary::STATE_VOID);
}

TEST(SignalTest, ATaskThatWaitsBeforeItHasAWorkspaceIsCancelledAtOnce) {
  TaskUnderTest run("  - {name: ship, gate: {kind: human}, " kModel "}\n");
  run.Begin();
  ASSERT_EQ(run.task.state, Execution::STATE_BLOCKED);

  const Transition cancelled = run.Cancel();

  EXPECT_FALSE(cancelled.put_away);
  EXPECT_EQ(run.task.state, Execution::STATE_CANCELLED);
}

TEST(SignalTest, ATaskThatWaitsToTryAgainIsCancelled) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.Err("build");
  ASSERT_EQ(run.task.state, Execution::STATE_PENDING);

  EXPECT_TRUE(run.Cancel().put_away);
  run.PutAway();

  EXPECT_EQ(run.task.state, Execution::STATE_CANCELLED);
}

TEST(SignalTest, WhileItsWorkIsPutAwayItIsTooLateToCancel) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.Complete("build");

  EXPECT_TRUE(run.Cancel().put_away);
  run.PutAway();

  EXPECT_EQ(run.task.state, Execution::STATE_SUCCEEDED);
  EXPECT_EQ(run.Count("cancel_requested"), 1);
}

TEST(SignalTest, ACancelThatComesTogetherWithAVoteIsNotLost) {
  TaskUnderTest run("  - {name: build, " kModel
                    "}\n"
                    "  - {name: ship, depends_on: [build], retry_from: build, "
                    "gate: {kind: human, on_reject: retry}, " kModel "}\n");
  run.Begin();
  run.Complete("build");

  Signalled both;
  both.votes.push_back(run.VoteOf("bob", false));
  both.cancels.push_back({.number = ++run.signals, .caller = "ann", .reason = ""});
  const Transition transition = run.Feed(both);
  EXPECT_TRUE(transition.put_away);
  run.PutAway();

  EXPECT_EQ(run.task.state, Execution::STATE_CANCELLED);
  EXPECT_EQ(run.Count("back to build"), 0);
}

TEST(SignalTest, TheFirstEndThatWasDecidedCounts) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.Fail("build");

  run.Cancel();
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_STEP_FAILED);
  EXPECT_EQ(run.Count("cancel_requested"), 1);
}

TEST(SignalTest, SignalsThatWereReadBeforeMeanNothing) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.Pause();
  run.signals = 0;

  EXPECT_TRUE(run.Cancel().ignored);

  EXPECT_EQ(run.task.state, Execution::STATE_RUNNING);
}

TEST(SignalTest, S4_39_APausedTaskLetsItsStepEndAndThenWaitsWithoutAWorker) {
  TaskUnderTest run{std::string(kStages)};
  run.Begin();

  EXPECT_FALSE(run.Pause().park.has_value());
  EXPECT_EQ(run.task.state, Execution::STATE_RUNNING);
  const Transition blocked = run.Complete("render");
  EXPECT_EQ(run.task.data.block_reason(), Execution::BLOCK_REASON_PAUSED);
  EXPECT_EQ(blocked.park, kLongestPark);
  EXPECT_TRUE(blocked.guard_signals);
  const Transition resumed = run.Unpause();
  EXPECT_TRUE(resumed.decide);
  const Transition running = run.Allow();

  EXPECT_THAT(NamesOf(running.run), ElementsAre("validate"));
}

TEST(SignalTest, ATaskThatIsPausedBeforeItBeginsWaitsAndThenBegins) {
  TaskUnderTest run{std::string(kOne)};
  run.Pause();

  EXPECT_THAT(run.Begin().run, IsEmpty());
  EXPECT_EQ(run.task.data.block_reason(), Execution::BLOCK_REASON_PAUSED);
  run.Unpause();
  run.Allow();

  EXPECT_THAT(NamesOf(run.Prepare().run), ElementsAre("build"));
}

TEST(SignalTest, AnApprovalThatIsGivenWhilePausedCountsWhenItGoesOn) {
  TaskUnderTest run{std::string(kGated)};
  run.Begin();
  run.Complete("build");
  const Transition paused = run.Pause();
  EXPECT_EQ(paused.park, kGateTimeout) << "it goes on waiting for the approval";

  run.Vote("bob", true);
  run.Allow();
  ASSERT_EQ(run.task.data.block_reason(), Execution::BLOCK_REASON_PAUSED);
  run.Unpause();

  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("ship"));
}

TEST(SignalTest, TimeThatItWasPausedCountsNeitherForTheTaskNorForItsSteps) {
  TaskUnderTest run("  - {name: build, timeout: 10m, " kModel "}\n");
  run.task.request.mutable_timeout()->set_seconds(3600);
  run.Begin();
  run.Pause();
  run.Continue("build");
  run.now += absl::Hours(5);
  run.Unpause();

  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("build"));

  run.now += absl::Minutes(10);
  run.Continue("build");
  run.PutAway();
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_TIMED_OUT);
}

TEST(SignalTest, WhatRunsBesideAPausedTaskIsNotAskedAboutAgainAndAgain) {
  TaskUnderTest run("  - {name: a, " kModel "}\n  - {name: b, " kModel "}\n");
  run.Begin();
  run.Pause();

  const Transition transition = run.Continue("a");

  EXPECT_EQ(transition.look_again, std::nullopt) << "it can only go on when b ends, or on resume";
}

}  // namespace
}  // namespace capstan::task
