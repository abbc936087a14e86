#include "core/machine/action_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "absl/strings/str_cat.h"

namespace capstan::machine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

Action Accepted(bool dry_run = false) {
  Action action;
  action.request.set_action("ScaleDeployment");
  action.request.set_dry_run(dry_run);
  action.request.mutable_target()->set_kind("Deployment");
  action.request.mutable_target()->set_namespace_("default");
  action.request.mutable_target()->set_name("web");
  action.request.mutable_queue_deadline()->set_seconds(absl::ToUnixSeconds(kNow + absl::Hours(1)));
  action.correlation_id = "c0ffee";
  action.seq = 1;
  return action;
}

Validated Allowed() {
  Validated validated;
  validated.result = Validated::Result::kDecided;
  validated.decision.set_allow(true);
  validated.target_found = true;
  validated.target.set_kind("Deployment");
  validated.target.set_namespace_("default");
  validated.target.set_name("web");
  validated.target.set_uid("target-uid");
  (*validated.before.mutable_fields())["replicas"].set_number_value(1);
  validated.rollback.emplace().set_action("ScaleDeployment");
  validated.rendered_job = "{}";
  validated.job_namespace = "capstan-actions";
  validated.job_name = "capstan-1";
  validated.job_spec_hash = "hash";
  return validated;
}

Validated Denied() {
  Validated validated = Allowed();
  validated.decision.set_allow(false);
  v1::PolicyViolation& violation = *validated.decision.add_violations();
  violation.set_id("namespace-restrictions/protected-namespace");
  violation.set_message("kube-system is protected");
  return validated;
}

// Stores what the machine answered, as the runner does.
Transition Apply(Action& action, const Input& input, absl::Time now = kNow) {
  Transition transition = Next(action, input, now);
  if (transition.ignored) return transition;
  action.state = transition.state;
  action.seq += static_cast<int>(transition.events.size());
  action.data = transition.data;
  return transition;
}

Action At(ActionState::Step step) {
  Action action = Accepted();
  Apply(action, Resumed{});
  if (step == ActionState::STEP_VALIDATE) return action;
  Apply(action, Allowed());
  if (step == ActionState::STEP_CREATE) return action;
  Apply(action, JobCreated{.uid = "uid-1"});
  if (step == ActionState::STEP_ARM) return action;
  Apply(action, ArmResult{.kind = ArmResult::Kind::kArmed});
  if (step == ActionState::STEP_WATCH) return action;
  if (step == ActionState::STEP_REMOVE) {
    Apply(action, JobDidNotStart{"ImagePullBackOff"});
    return action;
  }
  Apply(action, JobEnded{.succeeded = true, .exit_code = 0});
  return action;
}

std::vector<Execution::State> StatesOf(const Transition& transition) {
  std::vector<Execution::State> states;
  for (const ExecutionEvent& event : transition.events) {
    if (event.has_state_changed()) states.push_back(event.state_changed().to());
  }
  return states;
}

const v1::StateChanged& LastChange(const Transition& transition) {
  return transition.events.back().state_changed();
}

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

// ---- properties: thousands of random walks over every input

class Walk {
 public:
  explicit Walk(unsigned seed) : random_(seed) {}

  Input RandomInput() {
    switch (Pick(13)) {
      case 0:
        return Resumed{.takeovers = takeovers_ += Pick(2), .alone = Pick(2) == 0};
      case 1: {
        Validated validated = Pick(4) == 0 ? Denied() : Allowed();
        validated.result = static_cast<Validated::Result>(Pick(6) < 3 ? 0 : Pick(4));
        validated.target_found = Pick(8) != 0;
        return validated;
      }
      case 2:
        return JobCreated{.uid = absl::StrCat("uid-", Pick(3)), .adopted = Pick(2) == 0};
      case 3:
        return JobCreateFailed{.kind = static_cast<JobCreateFailed::Kind>(Pick(3)),
                               .reason = Execution::FAILURE_REASON_FORBIDDEN,
                               .message = "x"};
      case 4:
        return ArmResult{.kind = static_cast<ArmResult::Kind>(Pick(6)), .message = "x"};
      case 5:
        return JobEnded{.succeeded = Pick(2) == 0,
                        .reason = Execution::FAILURE_REASON_JOB_FAILED,
                        .exit_code = 1};
      case 6:
        return JobGone{};
      case 7:
        return JobSuspended{};
      case 8:
        return JobDidNotStart{"x"};
      case 9:
        return JobLost{"x"};
      case 10:
        return ReadBack{};
      case 11:
        return Removed{.kind = static_cast<Removed::Kind>(Pick(4)), .message = "x"};
      default:
        return Signalled{{{.number = signals_ += Pick(2), .caller = "ann", .reason = ""}}};
    }
  }

  int Pick(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }

 private:
  std::mt19937 random_;
  int takeovers_ = 0;
  int signals_ = 0;
};

// What must hold of every transition, whatever came before.
void CheckTransition(const Action& before, const Transition& transition, const Action& after) {
  Execution::State state = before.state;
  ASSERT_FALSE(transition.events.empty())
      << "a commit without an event could not be told from one that was lost";
  for (const ExecutionEvent& event : transition.events) {
    ASSERT_NE(event.payload_case(), ExecutionEvent::PAYLOAD_NOT_SET);
    ASSERT_FALSE(event.causation_id().empty());
    if (!event.has_state_changed()) continue;
    const v1::StateChanged& change = event.state_changed();
    ASSERT_EQ(change.from(), state);
    ASSERT_TRUE(IsLegal(change.from(), change.to())) << change.DebugString();
    ASSERT_EQ(change.to() == Execution::STATE_FAILED,
              change.failure_reason() != Execution::FAILURE_REASON_UNSPECIFIED);
    ASSERT_EQ(IsTerminal(change.to()), change.has_outcome());
    state = change.to();
  }
  ASSERT_EQ(state, after.state);
  const bool arms = transition.effect == Effect::kArmJob;
  if (arms) {
    ASSERT_FALSE(after.data.job_uid().empty()) << "armed before the uid is recorded";
  }
  if (transition.effect == Effect::kCreateJob) {
    ASSERT_GT(after.data.decisions(), 0) << "created without a stored decision";
    ASSERT_TRUE(before.data.job_uid().empty()) << "created again after the uid was recorded";
  }
  if (!before.data.job_uid().empty()) {
    ASSERT_EQ(after.data.job_uid(), before.data.job_uid()) << "the uid is written once";
  }
  if (IsTerminal(after.state)) {
    ASSERT_EQ(after.data.step(), ActionState::STEP_DONE);
  }
}

TEST(ActionMachinePropertyTest, EveryInputInEverySituationHasALegalAnswerAndTerminalStatesAbsorb) {
  std::set<Execution::State> ends;
  for (unsigned seed = 0; seed < 20'000; ++seed) {
    Walk walk(seed);
    Action action = Accepted(walk.Pick(10) == 0);
    int terminals = 0;
    for (int step = 0; step < 40; ++step) {
      const Action before = action;
      const absl::Time now = kNow + absl::Minutes(walk.Pick(70));
      const Transition transition = Apply(action, walk.RandomInput(), now);
      if (IsTerminal(before.state)) {
        ASSERT_TRUE(transition.ignored);
        ASSERT_EQ(transition.effect, Effect::kNone);
        continue;
      }
      if (transition.ignored) continue;
      CheckTransition(before, transition, action);
      if (HasFatalFailure()) FAIL() << "seed " << seed << " step " << step;
      terminals += IsTerminal(action.state) ? 1 : 0;
    }
    ASSERT_LE(terminals, 1);
    if (terminals == 1) ends.insert(action.state);
  }
  EXPECT_THAT(ends, ElementsAre(Execution::STATE_SUCCEEDED, Execution::STATE_FAILED,
                                Execution::STATE_CANCELLED));
}

TEST(ActionMachinePropertyTest, ANonTerminalActionAlwaysGoesOnWhenItIsResumed) {
  for (unsigned seed = 0; seed < 5'000; ++seed) {
    Walk walk(seed);
    Action action = Accepted();
    for (int step = walk.Pick(12); step > 0; --step) Apply(action, walk.RandomInput());
    if (IsTerminal(action.state)) continue;

    const Transition resumed =
        Next(action, Resumed{.takeovers = action.data.takeovers_seen()}, kNow);

    ASSERT_NE(resumed.effect, Effect::kNone) << "seed " << seed << "\n"
                                             << action.data.DebugString();
  }
}

TEST(StatesTest, TerminalStatesHaveNoWayOut) {
  for (const auto& [from, to] : LegalTransitions()) {
    EXPECT_FALSE(IsTerminal(from)) << StateName(from) << " to " << StateName(to);
  }
}

TEST(StatesTest, EveryNonTerminalStateCanFail) {
  for (const Execution::State state : {Execution::STATE_PENDING, Execution::STATE_VALIDATING,
                                       Execution::STATE_RUNNING, Execution::STATE_VERIFYING}) {
    EXPECT_TRUE(IsLegal(state, Execution::STATE_FAILED)) << StateName(state);
  }
}

}  // namespace
}  // namespace capstan::machine
