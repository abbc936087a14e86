// An approval that is open comes to an end with what it is about: nobody is asked to decide on an
// execution that has ended, or that needs nobody any more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/machine/situations.h"

namespace capstan::machine {
namespace {

using ::testing::SizeIs;
using v1::ApprovalSummary;

Validated AskingFor(bool approval) {
  Validated validated = Allowed();
  if (!approval) return validated;
  validated.decision.set_requires_approval(true);
  validated.decision.mutable_approval()->set_quorum(1);
  *validated.plan.mutable_policy_decision() = validated.decision;
  return validated;
}

Action Waiting() {
  Action action = At(ActionState::STEP_VALIDATE);
  Apply(action, AskingFor(true));
  return action;
}

Signalled CancelBy(const std::string& caller) {
  Signalled signalled;
  signalled.cancels.push_back({1, caller, "not needed"});
  return signalled;
}

int Ended(const Transition& transition, ApprovalSummary::State state) {
  int found = 0;
  for (const ExecutionEvent& event : transition.events)
    found += event.has_approval_ended() && event.approval_ended().state() == state;
  return found;
}

TEST(OpenApprovalTest, ACancelMakesItVoidInEventsAndStore) {
  Action action = Waiting();
  const Transition end = Apply(action, CancelBy("bob"));

  EXPECT_EQ(end.state, Execution::STATE_CANCELLED);
  EXPECT_EQ(Ended(end, ApprovalSummary::STATE_VOID), 1);
  ASSERT_THAT(end.approvals, SizeIs(1));
  EXPECT_EQ(end.approvals[0].number, 1);
  EXPECT_EQ(end.approvals[0].state, ApprovalSummary::STATE_VOID);
}

TEST(OpenApprovalTest, ADenialAfterItWasAskedForMakesItVoid) {
  Action action = Waiting();
  Apply(action, Resumed{});
  const Transition end = Apply(action, Denied());

  EXPECT_EQ(end.failure_reason, Execution::FAILURE_REASON_POLICY_DENIED);
  EXPECT_EQ(Ended(end, ApprovalSummary::STATE_VOID), 1);
}

TEST(OpenApprovalTest, AnEndOfItsOwnIsItsOnlyOne) {
  Action action = Waiting();
  const Transition end = Apply(action, Resumed{}, kNow + absl::Hours(2));

  EXPECT_EQ(end.failure_reason, Execution::FAILURE_REASON_APPROVAL_TIMEOUT);
  EXPECT_EQ(Ended(end, ApprovalSummary::STATE_EXPIRED), 1);
  EXPECT_EQ(Ended(end, ApprovalSummary::STATE_VOID), 0);
}

TEST(OpenApprovalTest, RulesThatAskForNoneAnyMoreMakeItVoidBeforeTheLaunch) {
  Action action = Waiting();
  Apply(action, Resumed{});
  const Transition intent = Apply(action, AskingFor(false));

  EXPECT_EQ(intent.effect, Effect::kCreateJob);
  EXPECT_EQ(Ended(intent, ApprovalSummary::STATE_VOID), 1);
  const Transition end = Apply(action, JobCreateFailed{.kind = JobCreateFailed::Kind::kCollision});
  EXPECT_EQ(Ended(end, ApprovalSummary::STATE_VOID), 0);
}

}  // namespace
}  // namespace capstan::machine
