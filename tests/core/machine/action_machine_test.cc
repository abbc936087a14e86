#include "core/machine/action_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/core/machine/situations.h"

namespace capstan::machine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(ActionMachineTest, AnActionThatGoesWellPassesEveryStateOnce) {
  Action action = Accepted();

  EXPECT_THAT(StatesOf(Apply(action, Resumed{})), ElementsAre(Execution::STATE_VALIDATING));
  EXPECT_EQ(Apply(action, Allowed()).effect, Effect::kCreateJob);
  EXPECT_THAT(StatesOf(Apply(action, JobCreated{.uid = "u"})),
              ElementsAre(Execution::STATE_RUNNING));
  EXPECT_EQ(Apply(action, ArmResult{.kind = ArmResult::Kind::kArmed}).effect, Effect::kWatchJob);
  EXPECT_THAT(StatesOf(Apply(action, JobEnded{.succeeded = true, .exit_code = 0})),
              ElementsAre(Execution::STATE_VERIFYING));
  const Transition end = Apply(action, ReadBack{});

  EXPECT_THAT(StatesOf(end), ElementsAre(Execution::STATE_SUCCEEDED));
  EXPECT_EQ(LastChange(end).outcome().effect(), Execution::EFFECT_APPLIED);
  EXPECT_EQ(end.effect, Effect::kCleanUp);
}

TEST(ActionMachineTest, TheIntentIsStoredWithDecisionJobAndRollbackAndTestsSignals) {
  Action action = At(ActionState::STEP_VALIDATE);

  const Transition transition = Apply(action, Allowed());

  EXPECT_TRUE(transition.store_decision);
  EXPECT_TRUE(transition.store_artifacts);
  EXPECT_TRUE(transition.guard_signals);
  ASSERT_THAT(transition.events, SizeIs(3));
  EXPECT_TRUE(transition.events[0].has_policy_evaluated());
  EXPECT_EQ(transition.events[1].artifact_stored().artifact(), "job");
  EXPECT_EQ(transition.events[2].artifact_stored().artifact(), "rollback");
}

TEST(ActionMachineTest, RecordingTheUidTestsSignals) {
  Action action = At(ActionState::STEP_CREATE);
  EXPECT_TRUE(Apply(action, JobCreated{.uid = "u"}).guard_signals);
}

TEST(ActionMachineTest, S2_24_ADenialEndsPolicyDeniedWithTheRuleAndLaunchesNothing) {
  Action action = At(ActionState::STEP_VALIDATE);

  const Transition end = Apply(action, Denied());

  EXPECT_EQ(LastChange(end).failure_reason(), Execution::FAILURE_REASON_POLICY_DENIED);
  EXPECT_THAT(LastChange(end).message(), HasSubstr("namespace-restrictions/protected-namespace"));
  EXPECT_EQ(LastChange(end).outcome().effect(), Execution::EFFECT_NONE);
  EXPECT_EQ(end.effect, Effect::kNone);
  EXPECT_FALSE(end.store_artifacts);
}

TEST(ActionMachineTest, S2_32_APolicyThatCannotBeEvaluatedEndsPolicyError) {
  Action action = At(ActionState::STEP_VALIDATE);
  Validated validated = Denied();
  validated.decision.set_error("time limit");

  EXPECT_EQ(LastChange(Apply(action, validated)).failure_reason(),
            Execution::FAILURE_REASON_POLICY_ERROR);
}

TEST(ActionMachineTest, S2_36_ADryRunEndsWithThePlanAndStoresNoArtifact) {
  Action action = Accepted(/*dry_run=*/true);
  Apply(action, Resumed{});

  const Transition end = Apply(action, Allowed());

  EXPECT_EQ(end.state, Execution::STATE_SUCCEEDED);
  EXPECT_TRUE(LastChange(end).outcome().dry_run());
  EXPECT_EQ(LastChange(end).outcome().plan().rendered_job(), "{}");
  EXPECT_FALSE(end.store_artifacts);
  EXPECT_EQ(end.effect, Effect::kNone);
}

TEST(ActionMachineTest, S2_36_ADeniedDryRunFailsAsARealRunWould) {
  Action action = Accepted(/*dry_run=*/true);
  Apply(action, Resumed{});

  EXPECT_EQ(LastChange(Apply(action, Denied())).failure_reason(),
            Execution::FAILURE_REASON_POLICY_DENIED);
}

TEST(ActionMachineTest, S2_10_ATransientErrorParksWithGrowingBackoff) {
  Action action = At(ActionState::STEP_CREATE);
  const JobCreateFailed refused{.kind = JobCreateFailed::Kind::kTransient, .message = "quota"};

  const Transition first = Apply(action, refused);
  Apply(action, Resumed{});
  Apply(action, Allowed());
  const Transition second = Apply(action, refused);

  EXPECT_EQ(first.state, Execution::STATE_PENDING);
  EXPECT_EQ(first.park, absl::Seconds(1));
  EXPECT_EQ(second.park, absl::Seconds(2));
  EXPECT_TRUE(second.guard_signals);
}

TEST(ActionMachineTest, ARetryNeverReplacesTheStoredJob) {
  Action action = At(ActionState::STEP_CREATE);
  Apply(action, JobCreateFailed{.kind = JobCreateFailed::Kind::kTransient, .message = "reset"});
  Apply(action, Resumed{});

  const Transition again = Apply(action, Allowed());

  EXPECT_FALSE(again.store_artifacts);
  EXPECT_TRUE(again.store_decision);
  EXPECT_EQ(again.effect, Effect::kCreateJob);
}

TEST(ActionMachineTest, TheQueueDeadlineEndsWhatWasNotLaunched) {
  Action action = Accepted();

  const Transition end = Apply(action, Resumed{}, kNow + absl::Hours(2));

  EXPECT_EQ(LastChange(end).failure_reason(), Execution::FAILURE_REASON_DEADLINE_EXCEEDED);
  EXPECT_EQ(end.effect, Effect::kNone);
}

TEST(ActionMachineTest, WhoeverTakesOverBeforeArmingValidatesAgain) {
  Action action = At(ActionState::STEP_ARM);

  const Transition resumed = Apply(action, Resumed{.takeovers = 1});
  const Transition validated = Apply(action, Allowed());

  EXPECT_EQ(resumed.effect, Effect::kValidate);
  EXPECT_TRUE(resumed.events.front().has_lease_lost());
  EXPECT_EQ(validated.effect, Effect::kArmJob);
  EXPECT_FALSE(validated.store_artifacts);
}

TEST(ActionMachineTest, ADenyOnRevalidationEndsOnlyWhenTheJobIsGone) {
  Action action = At(ActionState::STEP_ARM);
  Apply(action, Resumed{.takeovers = 1});

  const Transition decided = Apply(action, Denied());
  const Transition end = Apply(action, Removed{.kind = Removed::Kind::kNeverArmed});

  EXPECT_EQ(decided.effect, Effect::kRemoveJob);
  EXPECT_THAT(StatesOf(decided), IsEmpty());
  EXPECT_EQ(LastChange(end).failure_reason(), Execution::FAILURE_REASON_POLICY_DENIED);
  EXPECT_EQ(LastChange(end).outcome().effect(), Execution::EFFECT_NONE);
}

TEST(ActionMachineTest, S2_19_AJobThatIsGoneAfterArmingIsAnUnknownOutcomeAndNeverCreatedAgain) {
  Action action = At(ActionState::STEP_WATCH);

  const Transition gone = Apply(action, JobGone{});
  const Transition end = Apply(action, Removed{.kind = Removed::Kind::kGone});

  EXPECT_EQ(gone.effect, Effect::kRemoveJob);
  EXPECT_EQ(LastChange(end).failure_reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN);
  EXPECT_EQ(LastChange(end).outcome().effect(), Execution::EFFECT_POSSIBLE);
}

TEST(ActionMachineTest, AnArmedJobThatSomebodySuspendedIsRemovedAndNeverUnsuspended) {
  Action action = At(ActionState::STEP_ARM);

  const Transition transition =
      Apply(action, ArmResult{.kind = ArmResult::Kind::kArmedButSuspended});

  EXPECT_EQ(transition.effect, Effect::kRemoveJob);
  EXPECT_EQ(action.data.ending().reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN);
}

TEST(ActionMachineTest, AForeignJobOfOurNameIsLeftAlone) {
  Action action = At(ActionState::STEP_CREATE);

  const Transition end =
      Apply(action, JobCreateFailed{.kind = JobCreateFailed::Kind::kCollision, .message = "taken"});

  EXPECT_EQ(LastChange(end).failure_reason(), Execution::FAILURE_REASON_NAME_COLLISION);
  EXPECT_EQ(end.effect, Effect::kNone);
}

TEST(ActionMachineTest, ACancelBeforeAnythingWasStoredEndsAtOnceWithoutEffect) {
  Action action = Accepted();

  const Transition end =
      Apply(action, Signalled{{{.number = 1, .caller = "ann", .reason = "wrong one"}}});

  EXPECT_EQ(end.state, Execution::STATE_CANCELLED);
  EXPECT_EQ(end.events.front().causation_id(), "signal/1");
  EXPECT_THAT(LastChange(end).message(), HasSubstr("ann: wrong one"));
  EXPECT_EQ(LastChange(end).outcome().effect(), Execution::EFFECT_NONE);
}

TEST(ActionMachineTest, ACancelWhileTheJobRunsRemovesItFirst) {
  Action action = At(ActionState::STEP_WATCH);

  const Transition decided =
      Apply(action, Signalled{{{.number = 1, .caller = "ann", .reason = ""}}});
  const Transition end = Apply(action, Removed{.kind = Removed::Kind::kGone});

  EXPECT_EQ(decided.effect, Effect::kRemoveJob);
  EXPECT_EQ(decided.state, Execution::STATE_RUNNING);
  EXPECT_EQ(end.state, Execution::STATE_CANCELLED);
  EXPECT_EQ(LastChange(end).outcome().effect(), Execution::EFFECT_POSSIBLE);
}

TEST(ActionMachineTest, ACancelThatComesAfterTheJobSucceededEndsSucceededWithTheRequestOnRecord) {
  Action action = At(ActionState::STEP_WATCH);
  Apply(action, Signalled{{{.number = 1, .caller = "ann", .reason = ""}}});

  Apply(action, JobEnded{.succeeded = true, .exit_code = 0});
  const Transition end = Apply(action, ReadBack{});

  EXPECT_EQ(end.state, Execution::STATE_SUCCEEDED);
  EXPECT_TRUE(action.data.cancel_requested());
}

TEST(ActionMachineTest, ASignalSeenTwiceIsOneEvent) {
  Action action = At(ActionState::STEP_VERIFY);
  const Signalled cancel{{{.number = 1, .caller = "ann", .reason = ""}}};

  EXPECT_FALSE(Apply(action, cancel).ignored);
  EXPECT_TRUE(Apply(action, cancel).ignored);
}

TEST(ActionMachineTest, ARemovalThatCannotBeShownIsAnUnknownOutcome) {
  Action action = At(ActionState::STEP_REMOVE);

  const Transition end =
      Apply(action, Removed{.kind = Removed::Kind::kCannotBeShown, .message = "node lost"});

  EXPECT_EQ(LastChange(end).failure_reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN);
  EXPECT_THAT(LastChange(end).message(), HasSubstr("node lost"));
}

TEST(ActionMachineTest, APoisonousExecutionEndsLeaseLostBeforeTheUidAndUnknownAfterIt) {
  Action before = At(ActionState::STEP_VALIDATE);
  Action after = At(ActionState::STEP_WATCH);

  const Transition lost = Apply(before, Resumed{.takeovers = kMaxTakeovers, .alone = true});
  Apply(after, Resumed{.takeovers = kMaxTakeovers, .alone = true});
  const Transition unknown = Apply(after, Removed{.kind = Removed::Kind::kGone});

  EXPECT_EQ(LastChange(lost).failure_reason(), Execution::FAILURE_REASON_LEASE_LOST);
  EXPECT_EQ(LastChange(unknown).failure_reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN);
}

TEST(ActionMachineTest, ACompanionOfAPoisonousExecutionGoesOn) {
  Action action = At(ActionState::STEP_WATCH);
  EXPECT_EQ(Apply(action, Resumed{.takeovers = 7, .alone = false}).effect, Effect::kWatchJob);
}

TEST(ActionMachineTest, S0_9_EveryEventNamesItsRunAndWhatCausedIt) {
  Action action = At(ActionState::STEP_VALIDATE);
  const int seq = action.seq;

  const Transition transition = Apply(action, Allowed());

  EXPECT_EQ(transition.events[0].correlation_id(), "c0ffee");
  EXPECT_EQ(transition.events[0].causation_id(), absl::StrCat("event/", seq));
  EXPECT_EQ(transition.events[1].causation_id(), absl::StrCat("event/", seq + 1));
}

TEST(StatesTest, S2_2_EveryStateIsInTheTableOfTheManual) {
  std::ifstream file(CAPSTAN_SOURCE_DIR "/docs/states.md");
  const std::string manual{std::istreambuf_iterator<char>(file), {}};
  const auto* states = Execution::State_descriptor();
  for (int i = 1; i < states->value_count(); ++i) {
    const auto state = static_cast<Execution::State>(states->value(i)->number());
    EXPECT_THAT(manual, HasSubstr(absl::StrCat("| ", std::string(StateName(state)), " |")));
  }
  const auto* reasons = Execution::BlockReason_descriptor();
  for (int i = 1; i < reasons->value_count(); ++i) {
    const auto reason = static_cast<Execution::BlockReason>(reasons->value(i)->number());
    EXPECT_THAT(manual, HasSubstr(absl::StrCat("| ", std::string(BlockReasonName(reason)), " |")));
  }
}

TEST(StatesTest, TerminalStatesHaveNoWayOut) {
  for (const auto& [from, to] : LegalTransitions()) {
    EXPECT_FALSE(IsTerminal(from)) << StateName(from) << " to " << StateName(to);
  }
}

TEST(StatesTest, EveryNonTerminalStateCanFail) {
  for (const Execution::State state :
       {Execution::STATE_PENDING, Execution::STATE_VALIDATING, Execution::STATE_RUNNING,
        Execution::STATE_VERIFYING, Execution::STATE_BLOCKED}) {
    EXPECT_TRUE(IsLegal(state, Execution::STATE_FAILED)) << StateName(state);
  }
}

}  // namespace
}  // namespace capstan::machine
