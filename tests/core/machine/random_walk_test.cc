// Properties of the action machine: what holds of every input in every situation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/core/machine/situations.h"

namespace capstan::machine {
namespace {

using ::testing::ElementsAre;

class Walk {
 public:
  explicit Walk(unsigned seed) : random_(seed) {}

  Input RandomInput() {
    switch (Pick(15)) {
      case 0:
        return Resumed{.takeovers = takeovers_ += Pick(2), .alone = Pick(2) == 0};
      case 1: {
        Validated validated = Pick(4) == 0 ? Denied() : Allowed();
        validated.result = static_cast<Validated::Result>(Pick(6) < 3 ? 0 : Pick(4));
        validated.target_found = Pick(8) != 0;
        validated.infrastructure = Pick(2) == 0;
        validated.decision.set_requires_approval(Pick(3) == 0);
        validated.plan.set_digest(absl::StrCat("digest-", Pick(2)));
        *validated.plan.mutable_policy_decision() = validated.decision;
        if (Pick(2) == 0) validated.claim = {"Deployment/default/web", "ScaleDeployment"};
        if (Pick(3) == 0) {
          validated.target_answer = {static_cast<TargetStanding>(Pick(6)),
                                     kNow + absl::Minutes(Pick(80)), "busy"};
        }
        if (Pick(8) == 0) validated.stopped = StoppedBy{"stops/1", "fire"};
        if (Pick(4) == 0) {
          v1::ConditionResult& result = validated.preconditions.emplace_back();
          result.set_name("exists");
          result.set_required(Pick(2) == 0);
          result.set_passed(Pick(2) == 0);
        }
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
      case 10: {
        ReadBack read;
        for (int n = Pick(3); n > 0; --n) {
          ReadBack::Postcondition& one = read.postconditions.emplace_back();
          one.result.set_name(absl::StrCat("after-", n));
          one.result.set_required(Pick(3) != 0);
          one.result.set_passed(Pick(2) == 0);
          one.timeout = absl::Minutes(2);
        }
        return read;
      }
      case 13:
        return Stopped{{"stops/1", "fire"}};
      case 12:
        return Vote();
      case 11:
        return Removed{.kind = static_cast<Removed::Kind>(Pick(4)), .message = "x"};
      default:
        return Signalled{{{.number = signals_ += Pick(2), .caller = "ann", .reason = ""}}};
    }
  }

  Signalled Vote() {
    Signalled signalled;
    signalled.votes.push_back({.number = signals_ += Pick(2),
                               .caller = Pick(2) == 0 ? "bob" : "cid",
                               .reason = "ok",
                               .approve = Pick(4) != 0,
                               .plan_digest = absl::StrCat("digest-", Pick(2)),
                               .groups = {},
                               .time = kNow});
    return signalled;
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
    ASSERT_FALSE(after.data.at_target()) << "a target that nobody gives back";
  }
  if (after.state == Execution::STATE_BLOCKED) {
    ASSERT_NE(after.data.block_reason(), Execution::BLOCK_REASON_UNSPECIFIED);
  }
  if (transition.park.has_value()) {
    ASSERT_TRUE(transition.guard_signals) << "a signal could be missed";
    ASSERT_LT(*transition.park, absl::InfiniteDuration());
  }
  if (transition.effect == Effect::kCreateJob || arms) {
    ASSERT_TRUE(transition.launches) << "launched past an emergency stop";
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

    ASSERT_TRUE(resumed.effect != Effect::kNone || IsTerminal(resumed.state))
        << "seed " << seed << "\n"
        << action.data.DebugString();
  }
}

}  // namespace
}  // namespace capstan::machine
