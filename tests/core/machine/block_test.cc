// Approvals, targets, emergency stops, conditions and retries in the action machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/machine/situations.h"

namespace capstan::machine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kKey[] = "Deployment/default/web";

Validated ForTarget(std::optional<TargetAnswer> answer = {}) {
  Validated validated = Allowed();
  validated.claim = {kKey, "ScaleDeployment", false, absl::ZeroDuration()};
  validated.target_answer = std::move(answer);
  return validated;
}

TargetAnswer Stands(TargetStanding standing, absl::Time until = absl::InfiniteFuture()) {
  return {standing, until, "held by executions/1"};
}

// ---- target

TEST(ActionBlockTest, S2_56_TheIntentTakesTheTargetAndTheEndGivesItBack) {
  Action action = At(ActionState::STEP_VALIDATE);
  const Transition intent = Apply(action, ForTarget());
  ASSERT_TRUE(intent.target.has_value());
  EXPECT_EQ(intent.target->kind, TargetStep::Kind::kTake);
  EXPECT_EQ(intent.target->claim.key, kKey);
  Apply(action, JobCreated{.uid = "u"});
  Apply(action, ArmResult{.kind = ArmResult::Kind::kArmed});
  Apply(action, JobEnded{.succeeded = true});
  const Transition end = Apply(action, ReadBack{});
  ASSERT_TRUE(end.target.has_value());
  EXPECT_EQ(end.target->kind, TargetStep::Kind::kLeave);
  EXPECT_EQ(end.target->result, TargetResult::kSucceeded);
}

TEST(ActionBlockTest, AnActionThatOnlyReadsTakesNoTarget) {
  Action action = At(ActionState::STEP_VALIDATE);
  EXPECT_FALSE(Apply(action, Allowed()).target.has_value());
}

TEST(ActionBlockTest, S2_61_ABusyTargetBlocksAndIsValidatedAgainAfterwards) {
  Action action = At(ActionState::STEP_VALIDATE);
  const Transition blocked = Apply(action, ForTarget(Stands(TargetStanding::kBusy)));
  EXPECT_EQ(blocked.state, Execution::STATE_BLOCKED);
  EXPECT_EQ(LastChange(blocked).block_reason(), Execution::BLOCK_REASON_TARGET_LOCK);
  EXPECT_THAT(LastChange(blocked).message(), HasSubstr("executions/1"));
  EXPECT_TRUE(blocked.store_decision) << "the decision that was made is kept";
  EXPECT_EQ(blocked.target->kind, TargetStep::Kind::kWait);
  EXPECT_EQ(blocked.park, absl::Hours(1)) << "no longer than its queue deadline";

  const Transition woken = Apply(action, Resumed{});
  EXPECT_THAT(StatesOf(woken), ElementsAre(Execution::STATE_PENDING, Execution::STATE_VALIDATING));
  EXPECT_EQ(woken.effect, Effect::kValidate);
}

TEST(ActionBlockTest, OnConflictRejectEndsAtOnce) {
  Action action = At(ActionState::STEP_VALIDATE);
  action.request.set_on_conflict(Execution::ON_CONFLICT_REJECT);
  const Transition end = Apply(action, ForTarget(Stands(TargetStanding::kBusy)));
  EXPECT_EQ(end.failure_reason, Execution::FAILURE_REASON_TARGET_BUSY);
  EXPECT_FALSE(end.target.has_value());
}

TEST(ActionBlockTest, ASupersededOneEndsCancelled) {
  Action action = At(ActionState::STEP_VALIDATE);
  Apply(action, ForTarget(Stands(TargetStanding::kBusy)));
  Apply(action, Resumed{});
  const Transition end = Apply(action, ForTarget(Stands(TargetStanding::kSuperseded)));
  EXPECT_EQ(end.state, Execution::STATE_CANCELLED);
  EXPECT_EQ(end.target->kind, TargetStep::Kind::kLeave) << "it stood in line";
}

TEST(ActionBlockTest, S2_57_ACooldownWaitsForItsEnd) {
  Action action = At(ActionState::STEP_VALIDATE);
  const Transition blocked =
      Apply(action, ForTarget(Stands(TargetStanding::kCooldown, kNow + absl::Minutes(3))));
  EXPECT_EQ(LastChange(blocked).block_reason(), Execution::BLOCK_REASON_COOLDOWN);
  EXPECT_EQ(blocked.park, absl::Minutes(3));
  EXPECT_FALSE(action.data.at_target());
}

TEST(ActionBlockTest, ABlockedOneEndsAtItsQueueDeadline) {
  Action action = At(ActionState::STEP_VALIDATE);
  Apply(action, ForTarget(Stands(TargetStanding::kBlocked)));
  const Transition end = Apply(action, Resumed{}, kNow + absl::Hours(1));
  EXPECT_EQ(end.failure_reason, Execution::FAILURE_REASON_DEADLINE_EXCEEDED);
  EXPECT_THAT(LastChange(end).message(), HasSubstr("PREVIOUS_FAILURE"));
  EXPECT_EQ(end.target->kind, TargetStep::Kind::kLeave);
}

// How an execution that holds its target leaves it.
TargetStep Leaves(const Input& end, bool blocks = true) {
  Action action = At(ActionState::STEP_VALIDATE);
  Validated validated = ForTarget();
  validated.blocks_after_failure = blocks;
  Apply(action, validated);
  Apply(action, JobCreated{.uid = "u"});
  Apply(action, ArmResult{.kind = ArmResult::Kind::kArmed});
  Transition last = Apply(action, end);
  if (!IsTerminal(action.state)) last = Apply(action, Removed{.kind = Removed::Kind::kGone});
  return last.target.value();
}

TEST(ActionBlockTest, S2_58_AFailureToStartIsCountedAtTheTarget) {
  for (const auto reason :
       {Execution::FAILURE_REASON_FAILED_TO_START, Execution::FAILURE_REASON_IMAGE_PULL,
        Execution::FAILURE_REASON_RESOURCE_EXHAUSTED, Execution::FAILURE_REASON_FORBIDDEN}) {
    EXPECT_EQ(Leaves(JobDidNotStart{"no node", reason}).result, TargetResult::kFailedToStart);
  }
}

TEST(ActionBlockTest, S2_59_AFailureAfterTheStartBlocksTheTargetAsTheCatalogSays) {
  for (const bool blocks : {true, false}) {
    const TargetStep left = Leaves(JobEnded{.succeeded = false,
                                            .reason = Execution::FAILURE_REASON_JOB_FAILED,
                                            .exit_code = 1,
                                            .message = "half done"},
                                   blocks);
    EXPECT_EQ(left.result, blocks ? TargetResult::kBlocks : TargetResult::kNeutral);
    EXPECT_EQ(left.message, "half done");
  }
}

TEST(ActionBlockTest, S2_59_AnUnknownOutcomeAlwaysBlocksTheTarget) {
  EXPECT_EQ(Leaves(JobGone{}, /*blocks=*/false).result, TargetResult::kBlocks);
}

// ---- parent

Action OfParent(int limit = 5) {
  Action action = At(ActionState::STEP_VALIDATE);
  action.request.mutable_parent()->set_name("wf");
  action.parent_limit = limit;
  return action;
}

Validated ParentFull() {
  Validated validated = ForTarget();
  validated.parent_full = "5 executions of wf are in flight";
  return validated;
}

TEST(ActionBlockTest, S2_22_TheIntentTakesAPlaceOfTheParentAndTheEndGivesItBack) {
  Action action = OfParent();
  EXPECT_EQ(Apply(action, ForTarget()).parent, ParentUse::kTake);
  EXPECT_FALSE(Apply(action, JobCreated{.uid = "u"}).parent.has_value());
  Apply(action, ArmResult{.kind = ArmResult::Kind::kArmed});
  Apply(action, JobEnded{.succeeded = true});
  EXPECT_EQ(Apply(action, ReadBack{}).parent, ParentUse::kLeave);
}

TEST(ActionBlockTest, S2_22_WithoutAParentOrALimitNoPlaceIsTaken) {
  Action alone = At(ActionState::STEP_VALIDATE);
  alone.parent_limit = 5;
  EXPECT_FALSE(Apply(alone, ForTarget()).parent.has_value());
  Action unlimited = OfParent(0);
  EXPECT_FALSE(Apply(unlimited, ForTarget()).parent.has_value());
}

TEST(ActionBlockTest, S2_22_WhoFindsNoPlaceWaitsInLineAndLetsTheTargetGo) {
  Action action = OfParent();
  Apply(action, ForTarget(Stands(TargetStanding::kBusy)));
  Apply(action, Resumed{});
  const Transition blocked = Apply(action, ParentFull());
  EXPECT_EQ(LastChange(blocked).block_reason(), Execution::BLOCK_REASON_PARENT_LIMIT);
  EXPECT_THAT(LastChange(blocked).message(), HasSubstr("of wf are in flight"));
  EXPECT_EQ(blocked.parent, ParentUse::kWait);
  EXPECT_EQ(blocked.target->kind, TargetStep::Kind::kLeave);
  EXPECT_EQ(blocked.park, absl::Hours(1)) << "no longer than its queue deadline";

  EXPECT_EQ(Apply(action, Resumed{}).effect, Effect::kValidate);
  EXPECT_EQ(Apply(action, ForTarget()).parent, ParentUse::kTake);
}

TEST(ActionBlockTest, S2_22_WhoWaitsForSomethingElseOrEndsLeavesTheLine) {
  Action action = OfParent();
  Apply(action, ParentFull());
  Action cancelled = action;
  EXPECT_EQ(Apply(cancelled, Signalled{.cancels = {{1, "ann", "never mind"}}}).parent,
            ParentUse::kLeave);
  Apply(action, Resumed{});
  EXPECT_EQ(Apply(action, ForTarget(Stands(TargetStanding::kBusy))).parent, ParentUse::kLeave);
}

TEST(ActionBlockTest, S2_22_WhatIsStoppedWithItsJobKeepsItsPlace) {
  Action action = OfParent();
  Apply(action, ForTarget());
  EXPECT_FALSE(Apply(action, Stopped{{"stops/3", "fire"}}).parent.has_value());
  EXPECT_TRUE(action.data.at_parent());
}

TEST(ActionBlockTest, WhereTheLimitIsTakenAwayTheLineIsLeftWithTheLaunch) {
  Action action = OfParent();
  Apply(action, ParentFull());
  Apply(action, Resumed{});
  action.parent_limit = 0;
  EXPECT_EQ(Apply(action, ForTarget()).parent, ParentUse::kLeave);
}

// ---- emergency stop

TEST(ActionBlockTest, S2_21_WhatIsStoppedWaitsAndKeepsItsJobAndTarget) {
  Action action = At(ActionState::STEP_VALIDATE);
  const Transition intent = Apply(action, ForTarget());
  EXPECT_TRUE(intent.launches);
  const Transition blocked = Apply(action, Stopped{{"stops/3", "fire"}});
  EXPECT_EQ(blocked.state, Execution::STATE_BLOCKED);
  EXPECT_EQ(LastChange(blocked).block_reason(), Execution::BLOCK_REASON_STOPPED);
  EXPECT_THAT(LastChange(blocked).message(), HasSubstr("stops/3: fire"));
  EXPECT_TRUE(blocked.stopped);
  EXPECT_FALSE(blocked.target.has_value());
  EXPECT_TRUE(action.data.at_target()) << "its Job may exist";

  Apply(action, Resumed{});
  EXPECT_EQ(Apply(action, ForTarget()).effect, Effect::kCreateJob) << "it is found and adopted";
}

TEST(ActionBlockTest, S2_21_AStopBeforeArmingIsKeptByWhoeverTakesOver) {
  Action action = At(ActionState::STEP_ARM);
  Validated stopped = Allowed();
  stopped.stopped = StoppedBy{"stops/3", "fire"};
  EXPECT_EQ(Apply(action, stopped).state, Execution::STATE_BLOCKED);
  Apply(action, Resumed{});
  const Transition on = Apply(action, Allowed());
  EXPECT_THAT(StatesOf(on), ElementsAre(Execution::STATE_RUNNING));
  EXPECT_EQ(on.effect, Effect::kArmJob);
}

// ---- approval

Validated NeedsApproval(const std::string& digest = "digest", int quorum = 1,
                        const std::vector<std::string>& groups = {}) {
  Validated validated = ForTarget();
  validated.decision.set_requires_approval(true);
  validated.decision.mutable_approval()->set_quorum(quorum);
  for (const std::string& group : groups) validated.decision.mutable_approval()->add_groups(group);
  *validated.plan.mutable_policy_decision() = validated.decision;
  validated.plan.set_digest(digest);
  return validated;
}

Signalled Votes(int number, const std::string& caller, bool approve = true,
                const std::vector<std::string>& groups = {}, const std::string& digest = "digest") {
  Signalled signalled;
  signalled.votes.push_back({.number = number,
                             .caller = caller,
                             .reason = "looked at it",
                             .approve = approve,
                             .plan_digest = digest,
                             .groups = groups,
                             .time = kNow});
  return signalled;
}

Action Waiting(const Validated& validated = NeedsApproval()) {
  Action action = At(ActionState::STEP_VALIDATE);
  action.request.set_caller("ann");
  Apply(action, validated);
  return action;
}

TEST(ActionBlockTest, S2_37_AnApprovalIsAskedForWithThePlan) {
  Action action = At(ActionState::STEP_VALIDATE);
  const Transition asked = Apply(action, NeedsApproval());
  EXPECT_EQ(asked.state, Execution::STATE_BLOCKED);
  EXPECT_EQ(LastChange(asked).block_reason(), Execution::BLOCK_REASON_APPROVAL);
  ASSERT_THAT(asked.approvals, SizeIs(1));
  EXPECT_EQ(asked.approvals[0].plan_digest, "digest");
  EXPECT_EQ(asked.park, absl::Hours(1));
  EXPECT_FALSE(asked.target.has_value()) << "the target stays free meanwhile";
}

TEST(ActionBlockTest, S2_37_OnceApprovedEverythingIsValidatedAgainAndRuns) {
  Action action = Waiting();
  const Transition approved = Apply(action, Votes(1, "bob"));
  EXPECT_THAT(StatesOf(approved),
              ElementsAre(Execution::STATE_PENDING, Execution::STATE_VALIDATING));
  EXPECT_EQ(approved.approvals.back().state, v1::ApprovalSummary::STATE_APPROVED);
  EXPECT_EQ(Apply(action, NeedsApproval()).effect, Effect::kCreateJob);
}

TEST(ActionBlockTest, ADriftVoidsTheApproval) {
  Action action = Waiting();
  Apply(action, Votes(1, "bob"));
  const Transition again = Apply(action, NeedsApproval("another plan"));
  EXPECT_EQ(again.state, Execution::STATE_BLOCKED);
  ASSERT_THAT(again.approvals, SizeIs(2));
  EXPECT_EQ(again.approvals[0].state, v1::ApprovalSummary::STATE_VOID);
  EXPECT_EQ(again.approvals[1].number, 2);
}

TEST(ActionBlockTest, ADriftAfterTheIntentEndsIt) {
  Action action = Waiting();
  Apply(action, Votes(1, "bob"));
  Apply(action, NeedsApproval());
  const Transition end = Apply(action, NeedsApproval("another plan"));
  EXPECT_EQ(end.effect, Effect::kRemoveJob);
  EXPECT_EQ(action.data.ending().reason(), Execution::FAILURE_REASON_POLICY_DENIED);
}

TEST(ActionBlockTest, TheRequesterAndStrangersDoNotCount) {
  Action action = Waiting(NeedsApproval("digest", 1, {"sre"}));
  const auto ignored = [&](const Signalled& vote) {
    const Transition noted = Apply(action, vote);
    EXPECT_EQ(noted.state, Execution::STATE_BLOCKED);
    EXPECT_TRUE(noted.park.has_value());
    return noted.events.back().approval_decided().ignored();
  };
  EXPECT_THAT(ignored(Votes(1, "ann", true, {"sre"})), HasSubstr("requester"));
  EXPECT_THAT(ignored(Votes(2, "bob", true, {"dev"})), HasSubstr("not in sre"));
  EXPECT_THAT(ignored(Votes(3, "bob", true, {"sre"}, "old")), HasSubstr("another plan"));
  EXPECT_EQ(Apply(action, Votes(4, "bob", true, {"sre"})).effect, Effect::kValidate);
}

TEST(ActionBlockTest, AQuorumIsOfDifferentPeople) {
  Action action = Waiting(NeedsApproval("digest", 2));
  EXPECT_TRUE(Apply(action, Votes(1, "bob")).park.has_value());
  EXPECT_THAT(Apply(action, Votes(2, "bob")).events.back().approval_decided().ignored(),
              HasSubstr("before"));
  EXPECT_EQ(Apply(action, Votes(3, "cid")).effect, Effect::kValidate);
}

TEST(ActionBlockTest, OneNoEndsIt) {
  Action action = Waiting(NeedsApproval("digest", 2));
  const Transition end = Apply(action, Votes(1, "bob", false));
  EXPECT_EQ(end.failure_reason, Execution::FAILURE_REASON_APPROVAL_REJECTED);
  EXPECT_THAT(LastChange(end).message(), HasSubstr("looked at it"));
}

TEST(ActionBlockTest, S2_37_AnApprovalThatDoesNotComeEndsIt) {
  Action action = Waiting();
  const Transition end = Apply(action, Resumed{}, kNow + absl::Hours(1));
  EXPECT_EQ(end.failure_reason, Execution::FAILURE_REASON_APPROVAL_TIMEOUT);
  EXPECT_EQ(end.approvals.back().state, v1::ApprovalSummary::STATE_EXPIRED);
}

TEST(ActionBlockTest, TimeSpentWaitingForAnApprovalDoesNotCountAgainstTheQueueDeadline) {
  Validated validated = NeedsApproval();
  validated.plan.mutable_policy_decision()->mutable_approval()->mutable_timeout()->set_seconds(
      4 * 3600);
  Action action = Waiting(validated);
  const absl::Time later = kNow + absl::Hours(2);
  EXPECT_EQ(Apply(action, Votes(1, "bob"), later).effect, Effect::kValidate);
  EXPECT_EQ(Apply(action, validated, later).effect, Effect::kCreateJob);
}

// ---- conditions and retries

v1::ConditionResult Result(const std::string& name, bool required, bool passed) {
  v1::ConditionResult result;
  result.set_name(name);
  result.set_required(required);
  result.set_evaluated(true);
  result.set_passed(passed);
  result.set_message(passed ? "" : "not so");
  return result;
}

TEST(ActionBlockTest, S2_39_ARequiredPreconditionThatDoesNotHoldEndsItBeforeAnythingIsLaunched) {
  Action action = At(ActionState::STEP_VALIDATE);
  Validated validated = Allowed();
  validated.preconditions = {Result("optional", false, false), Result("exists", true, false)};
  const Transition end = Apply(action, validated);
  EXPECT_EQ(end.failure_reason, Execution::FAILURE_REASON_PRECONDITION_FAILED);
  EXPECT_THAT(LastChange(end).message(), HasSubstr("exists: not so"));
  EXPECT_EQ(LastChange(end).outcome().effect(), Execution::EFFECT_NONE);
}

TEST(ActionBlockTest, S2_39_AnOptionalOneIsAWarning) {
  Action action = At(ActionState::STEP_VALIDATE);
  Validated validated = Allowed();
  validated.preconditions = {Result("optional", false, false)};
  const Transition on = Apply(action, validated);
  EXPECT_EQ(on.effect, Effect::kCreateJob);
  EXPECT_EQ(on.events[1].condition_evaluated().result().name(), "optional");
}

ReadBack Looks(const std::vector<v1::ConditionResult>& results) {
  ReadBack read;
  for (const v1::ConditionResult& result : results)
    read.postconditions.push_back({result, absl::Minutes(2)});
  return read;
}

TEST(ActionBlockTest, S2_40_PostconditionsArePolledUntilTheyHoldTogether) {
  Action action = At(ActionState::STEP_VERIFY);
  const Transition first =
      Apply(action, Looks({Result("a", true, true), Result("b", true, false)}));
  EXPECT_EQ(first.effect, Effect::kReadBack);
  EXPECT_EQ(first.delay, absl::Seconds(5));
  EXPECT_THAT(first.events, SizeIs(2));
  const Transition same = Apply(action, Looks({Result("a", true, true), Result("b", true, false)}));
  EXPECT_TRUE(same.ignored) << "nothing new is stored";
  EXPECT_EQ(same.effect, Effect::kReadBack);
  EXPECT_EQ(Apply(action, Looks({Result("a", true, false), Result("b", true, true)})).state,
            Execution::STATE_VERIFYING)
      << "S2.44: it flaps";
  const Transition end = Apply(action, Looks({Result("a", true, true), Result("b", true, true)}));
  EXPECT_EQ(end.state, Execution::STATE_SUCCEEDED);
}

TEST(ActionBlockTest, S2_40_OneThatDoesNotComeTrueInTimeFailsTheExecutionAlthoughTheJobSucceeded) {
  Action action = At(ActionState::STEP_VERIFY);
  const Transition end = Apply(action, Looks({Result("b", true, false)}), kNow + absl::Minutes(2));
  EXPECT_EQ(end.failure_reason, Execution::FAILURE_REASON_POSTCONDITION_FAILED);
  EXPECT_EQ(LastChange(end).outcome().effect(), Execution::EFFECT_APPLIED);
}

TEST(ActionBlockTest, S2_13_TheCallersRetriesAreUsedUpByErrorsThatAreNotTheInfrastructures) {
  Action action = At(ActionState::STEP_CREATE);
  action.request.set_max_retries(1);
  const auto fail = [&](bool infrastructure) {
    const Transition retried =
        Apply(action, JobCreateFailed{.kind = JobCreateFailed::Kind::kTransient,
                                      .message = "x",
                                      .infrastructure = infrastructure});
    if (retried.state == Execution::STATE_PENDING) {
      Apply(action, Resumed{});
      Apply(action, Allowed());
    }
    return retried;
  };
  for (int i = 0; i < 10; ++i) EXPECT_EQ(fail(true).state, Execution::STATE_PENDING);
  EXPECT_EQ(fail(false).state, Execution::STATE_PENDING);
  EXPECT_EQ(fail(false).effect, Effect::kRemoveJob);
  EXPECT_EQ(action.data.ending().reason(), Execution::FAILURE_REASON_RETRY_LIMIT);
}

TEST(ActionBlockTest, ATargetThatHasMovedRefusesARollback) {
  Action action = At(ActionState::STEP_VALIDATE);
  Validated validated = Allowed();
  validated.moved = "replicas: got 5, want 3";
  const Transition end = Apply(action, validated);
  EXPECT_EQ(end.failure_reason, Execution::FAILURE_REASON_PRECONDITION_FAILED);
  EXPECT_THAT(LastChange(end).message(), HasSubstr("replicas: got 5, want 3"));
}

}  // namespace
}  // namespace capstan::machine
