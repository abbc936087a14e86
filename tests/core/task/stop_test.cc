// Tasks while an emergency stop is in force, and the work that they keep.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/situations.h"

namespace capstan::task {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kOne[] = "  - {name: build, " kModel "}\n";
constexpr char kTwo[] = "  - {name: a, " kModel "}\n  - {name: b, " kModel "}\n";
constexpr char kChain[] =
    "  - {name: build, " kModel "}\n  - {name: ship, depends_on: [build], " kModel "}\n";

const machine::StoppedBy kStop = {"stops/1", "fire"};

TEST(StopTest, NothingBeginsWhileAStopIsInForce) {
  TaskUnderTest run{std::string(kChain)};
  run.Begin();
  run.task.stopped = kStop;

  const Transition blocked = run.Complete("build");

  EXPECT_THAT(blocked.run, IsEmpty());
  EXPECT_TRUE(blocked.stopped) << "only to be stored while the stop is in force";
  EXPECT_EQ(run.task.data.block_reason(), Execution::BLOCK_REASON_STOPPED);
  EXPECT_EQ(run.events.back().state_changed().message(), "stopped by stops/1: fire");
}

TEST(StopTest, WhenTheStopIsLiftedItGoesOnAfterPolicy) {
  TaskUnderTest run{std::string(kChain)};
  run.Begin();
  run.task.stopped = kStop;
  run.Complete("build");
  run.task.stopped.reset();

  EXPECT_TRUE(run.Feed(Resumed{}).decide);

  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("ship"));
}

TEST(StopTest, WhatRunsWhenAStopIsMadeGoesOnAndTheNextIterationWaits) {
  TaskUnderTest run{std::string(kTwo)};
  run.Begin();
  run.task.stopped = kStop;

  const Transition transition = run.Continue("a");

  EXPECT_THAT(transition.run, IsEmpty());
  EXPECT_THAT(transition.stop, IsEmpty());
  EXPECT_EQ(transition.look_again, kNow + absl::Seconds(5)) << "whether it was lifted";
}

TEST(StopTest, ASignalToAStoppedTaskLooksWhetherTheStopIsStillThere) {
  TaskUnderTest run("  - {name: build, " kModel
                    "}\n  - {name: ask, depends_on: [build], gate: {kind: human}, " kModel
                    "}\n  - {name: tell, depends_on: [build], " kModel "}\n");
  run.Begin();
  run.Complete("build");
  ASSERT_EQ(run.StateOf("ask"), StepStatus::STATE_WAITING);
  run.task.stopped = kStop;
  run.Continue("tell");
  ASSERT_EQ(run.task.data.block_reason(), Execution::BLOCK_REASON_STOPPED);

  const Transition voted = run.Vote("ann", true);  // does not count

  EXPECT_FALSE(voted.park.has_value()) << "parked again, nobody would tell it of the lift";
  EXPECT_TRUE(voted.decide);
}

TEST(StopTest, AStoppedTaskIsCancelled) {
  TaskUnderTest run{std::string(kChain)};
  run.Begin();
  run.task.stopped = kStop;
  run.Complete("build");

  EXPECT_TRUE(run.Cancel().put_away);
  run.PutAway();

  EXPECT_EQ(run.task.state, Execution::STATE_CANCELLED);
}

// ---- a worker that is about to go

TEST(StopTest, AWorkerThatLeavesBeginsNothingAndGivesTheTaskToOthers) {
  TaskUnderTest run{std::string(kChain)};
  run.Begin();
  run.task.leaving = true;

  const Transition left = run.Complete("build");

  EXPECT_THAT(left.run, IsEmpty());
  EXPECT_EQ(left.state, Execution::STATE_PENDING);
  EXPECT_EQ(left.park, absl::ZeroDuration());
  EXPECT_EQ(run.events.back().state_changed().message(), "its worker stops; another one goes on");
  run.task.leaving = false;
  EXPECT_TRUE(run.Feed(Resumed{}).decide);
  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("ship"));
}

TEST(StopTest, AWorkerThatLeavesKeepsATaskAsLongAsSomethingRuns) {
  TaskUnderTest run{std::string(kTwo)};
  run.Begin();
  run.task.leaving = true;

  const Transition transition = run.Continue("a");

  EXPECT_THAT(transition.run, IsEmpty());
  EXPECT_THAT(transition.stop, IsEmpty());
  EXPECT_EQ(transition.park, std::nullopt);
  EXPECT_EQ(run.Complete("b").park, absl::ZeroDuration());
}

TEST(StopTest, AWorkerThatLeavesPutsAwayWhatIsDone) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.task.leaving = true;

  EXPECT_TRUE(run.Complete("build").put_away);
}

// ---- work that the branch does not have

TEST(StopTest, S4_39_WorkThatWasKeptBesideTheBranchIsKnownUntilItIsCommitted) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  IterationEnded kept = run.Of("build", IterationFinished::STATUS_CONTINUE);
  kept.kept = "refs/kept/1";
  run.Feed(kept);
  EXPECT_EQ(run.task.data.kept_work(), "refs/kept/1");

  IterationEnded committed = run.Of("build", IterationFinished::STATUS_CONTINUE);
  committed.commit = "c1";
  run.Feed(committed);

  EXPECT_EQ(run.task.data.kept_work(), "");
  EXPECT_EQ(run.task.data.workspace().head_commit(), "c1");
}

TEST(StopTest, ACommitThatChangesNothingIsNotReported) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  IterationEnded ended = run.Of("build", IterationFinished::STATUS_CONTINUE);
  ended.commit = "c1";
  run.Feed(ended);
  ended.iteration = 2;

  run.Feed(ended);

  EXPECT_EQ(run.Count("work_committed"), 1);
}

}  // namespace
}  // namespace capstan::task
