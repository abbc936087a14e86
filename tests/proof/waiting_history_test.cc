// Targets, approvals and blocks in the history checker: each promise is broken once by the smallest
// change that breaks it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/kubernetes_names.h"
#include "core/text.h"
#include "tests/proof/story.h"

namespace capstan::proof {
namespace {

using ::testing::Not;
using v1::ApprovalSummary;
using v1::Execution;
using v1::ExecutionEvent;

class WaitingHistoryTest : public ::testing::Test {
 protected:
  // The n-th event of an execution.
  ExecutionEvent& EventOf(const Story& story, int seq) {
    return *std::find_if(history_.events.begin(), history_.events.end(), [&](const auto& event) {
      return event.execution() == story.name && event.seq() == seq;
    });
  }

  History history_;
};

// ---- 8

class TargetHistoryTest : public WaitingHistoryTest {
 protected:
  void Run(Story& story, const std::string& action = "RestartDeployment") {
    story.Accept(action);
    story.Decide(false);
    story.Launch();
    story.Succeed();
  }
};

TEST_F(TargetHistoryTest, OneAfterTheOtherBreaksNothing) {
  Story first{history_}, second{history_, 100};
  Run(first);
  Run(second);
  EXPECT_THAT(Check(history_), ::testing::IsEmpty());
}

TEST_F(TargetHistoryTest, TwoAtTheSameTimeOnOneTargetAreFound) {
  Story first{history_}, second{history_, 3};
  Run(first);
  Run(second);
  EXPECT_THAT(Check(history_), Breaks(Property::kOneChangesATarget, "held Deployment/default/web"));
}

TEST_F(TargetHistoryTest, OneThatOnlyReadsMayRunBesides) {
  Story first{history_}, second{history_, 3};
  Run(first);
  Run(second, "RolloutStatus");
  EXPECT_THAT(Check(history_), ::testing::IsEmpty());
}

TEST_F(TargetHistoryTest, TheSecondMayNotBeginBeforeAFirstThatNeverEnds) {
  Story first{history_}, second{history_, 100};
  first.Accept();
  first.Decide(false);
  first.Launch();
  Run(second);
  EXPECT_THAT(Check(history_), Breaks(Property::kOneChangesATarget, "held"));
}

TEST_F(TargetHistoryTest, AnArmAfterTheEndIsFound) {
  Story story{history_};
  Run(story);
  history_.audit.back().time = At(50);
  EXPECT_THAT(Check(history_), Breaks(Property::kOneChangesATarget, "did not hold its target"));
}

// ---- 9

class ApprovalHistoryTest : public WaitingHistoryTest {
 protected:
  void AskAndApprove(int quorum = 1) {
    story_.Accept();
    story_.Decide(true);
    story_.Ask(1, quorum);
    story_.Block(Execution::BLOCK_REASON_APPROVAL);
    story_.Vote("bob");
    story_.EndApproval(1, ApprovalSummary::STATE_APPROVED);
    story_.Unblock();
    story_.Decide(true);
  }

  Story story_{history_};
};

TEST_F(ApprovalHistoryTest, WhatWasApprovedMayRun) {
  AskAndApprove();
  story_.Launch();
  story_.Succeed();
  EXPECT_THAT(Check(history_), ::testing::IsEmpty());
}

TEST_F(ApprovalHistoryTest, ALaunchWithoutApprovalIsFound) {
  story_.Accept();
  story_.Decide(true);
  story_.Launch();
  story_.Succeed();
  EXPECT_THAT(Check(history_),
              Breaks(Property::kPeopleAreHeard, "without the approval that the rules want"));
}

TEST_F(ApprovalHistoryTest, ALaunchOfAnotherJobThanTheApprovedOneIsFound) {
  AskAndApprove();
  story_.Launch("another job");
  story_.Succeed();
  EXPECT_THAT(Check(history_), Breaks(Property::kPeopleAreHeard, "another Job"));
}

TEST_F(ApprovalHistoryTest, ALaunchWhilePeopleAreAskedIsFound) {
  story_.Accept();
  story_.Decide(true);
  story_.Ask(1, 1);
  story_.Launch();
  story_.Succeed();
  EXPECT_THAT(Check(history_),
              Breaks(Property::kPeopleAreHeard, "launches while people are asked"));
}

TEST_F(ApprovalHistoryTest, ALaunchAfterItBecameVoidIsFound) {
  AskAndApprove();
  story_.EndApproval(1, ApprovalSummary::STATE_VOID);
  story_.Launch();
  story_.Succeed();
  EXPECT_THAT(Check(history_), Breaks(Property::kPeopleAreHeard, "without the approval"));
}

TEST_F(ApprovalHistoryTest, TooFewVotesAreFound) {
  AskAndApprove(/*quorum=*/2);
  story_.Launch();
  story_.Succeed();
  EXPECT_THAT(Check(history_), Breaks(Property::kPeopleAreHeard, "fewer votes than the quorum"));
}

TEST_F(ApprovalHistoryTest, TheRequestersOwnVoteIsFound) {
  AskAndApprove();
  EventOf(story_, 6).mutable_approval_decided()->mutable_decision()->set_caller("alice");
  EXPECT_THAT(Check(history_), Breaks(Property::kPeopleAreHeard, "requester's own vote"));
}

TEST_F(ApprovalHistoryTest, AVoteThatWasIgnoredDoesNotCount) {
  AskAndApprove();
  EventOf(story_, 6).mutable_approval_decided()->set_ignored("not in leads");
  EXPECT_THAT(Check(history_), Breaks(Property::kPeopleAreHeard, "fewer votes than the quorum"));
}

TEST_F(ApprovalHistoryTest, AJobThatIsCreatedInTheClusterMeanwhileIsFound) {
  AskAndApprove();
  story_.Call("create", 5);
  story_.history.audit.back().time += absl::Milliseconds(500);
  EXPECT_THAT(Check(history_),
              Breaks(Property::kPeopleAreHeard, "during which its Job was created"));
}

TEST_F(ApprovalHistoryTest, AnEndThatLeavesPeopleAskedIsFound) {
  story_.Accept();
  story_.Decide(true);
  story_.Ask(1, 1);
  story_.Block(Execution::BLOCK_REASON_APPROVAL);
  story_.End(Execution::STATE_CANCELLED, Execution::EFFECT_NONE);
  EXPECT_THAT(Check(history_), Breaks(Property::kPeopleAreHeard, "people are still asked"));
}

TEST_F(ApprovalHistoryTest, AskingTwiceAndEndingTwiceAreFound) {
  story_.Accept();
  story_.Decide(true);
  story_.Ask(1, 1);
  story_.Ask(2, 1);
  EXPECT_THAT(Check(history_), Breaks(Property::kPeopleAreHeard, "asks while people are asked"));
  story_.EndApproval(2, ApprovalSummary::STATE_EXPIRED);
  EXPECT_THAT(Check(history_), Not(Breaks(Property::kPeopleAreHeard, "not open")));
  story_.EndApproval(2, ApprovalSummary::STATE_EXPIRED);
  EXPECT_THAT(Check(history_), Breaks(Property::kPeopleAreHeard, "not open"));
}

// ---- 10

class BlockedHistoryTest : public WaitingHistoryTest {
 protected:
  void Wait(Execution::BlockReason reason, const std::string& action = "RestartDeployment") {
    story_.Accept(action);
    story_.Decide(false);
    story_.Block(reason);
    story_.Unblock();
    story_.Decide(false);
    story_.Launch();
    story_.Succeed();
  }

  Story story_{history_};
};

TEST_F(BlockedHistoryTest, WaitingAndGoingOnBreaksNothing) {
  Wait(Execution::BLOCK_REASON_TARGET_LOCK);
  EXPECT_THAT(Check(history_), ::testing::IsEmpty());
}

TEST_F(BlockedHistoryTest, WaitingForNothingIsFound) {
  Wait(Execution::BLOCK_REASON_UNSPECIFIED);
  EXPECT_THAT(Check(history_), Breaks(Property::kBlockedIsStill, "does not say for what"));
}

TEST_F(BlockedHistoryTest, OneThatReadsAndWaitsForItsTargetIsFound) {
  Wait(Execution::BLOCK_REASON_TARGET_LOCK, "RolloutStatus");
  EXPECT_THAT(Check(history_), Breaks(Property::kBlockedIsStill, "only reads"));
}

TEST_F(BlockedHistoryTest, OneThatReadsMayWaitForAStopToBeLifted) {
  Wait(Execution::BLOCK_REASON_STOPPED, "RolloutStatus");
  EXPECT_THAT(Check(history_), Not(Breaks(Property::kBlockedIsStill, "")));
}

TEST_F(BlockedHistoryTest, ADecisionWhileItIsBlockedIsFound) {
  story_.Accept();
  story_.Block(Execution::BLOCK_REASON_STOPPED);
  story_.Decide(false);
  EXPECT_THAT(Check(history_), Breaks(Property::kBlockedIsStill, "goes on while it is BLOCKED"));
}

TEST_F(BlockedHistoryTest, ACallToTheClusterWhileItIsBlockedIsFound) {
  Wait(Execution::BLOCK_REASON_STOPPED);
  history_.audit.back().time = At(4) + absl::Milliseconds(500);
  EXPECT_THAT(Check(history_), Breaks(Property::kBlockedIsStill, "got a patch"));
}

}  // namespace
}  // namespace capstan::proof
