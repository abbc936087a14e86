// Properties of the task machine: what holds of every input in every situation of any workflow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "google/protobuf/util/message_differencer.h"
#include "tests/core/task/random_world.h"
#include "tests/support/status_matchers.h"

namespace capstan::task {
namespace {

using ::capstan::testing::IsOk;
using ::testing::IsSupersetOf;

constexpr int kWalks = 10'000;
constexpr int kInputs = 60;
// Honest answers that every task comes to its end with.
constexpr int kBound = 3'000;

bool IsDone(const TaskState::Step& step) {
  return step.state() == StepStatus::STATE_SUCCEEDED || step.state() == StepStatus::STATE_SKIPPED;
}

bool IsWorking(const TaskState::Step& step) {
  return step.state() == StepStatus::STATE_RUNNING && step.not_before() == 0 &&
         step.child().empty();
}

const v1::WorkflowStep& DefinitionOf(const World& world, const std::string& name) {
  for (const v1::WorkflowStep& step : world.run.workflow.steps()) {
    if (step.name() == name) return step;
  }
  CAPSTAN_CHECK(false);
  return world.run.workflow.steps(0);
}

// ---- what must hold of every transition

void CheckEvents(const Task& before, const Transition& transition) {
  Execution::State state = before.state;
  ASSERT_FALSE(transition.events.empty()) << "the store refuses a step without an event";
  for (const v1::ExecutionEvent& event : transition.events) {
    ASSERT_NE(event.payload_case(), v1::ExecutionEvent::PAYLOAD_NOT_SET);
    ASSERT_FALSE(event.causation_id().empty());
    if (!event.has_state_changed()) continue;
    const v1::StateChanged& change = event.state_changed();
    ASSERT_EQ(change.from(), state);
    ASSERT_FALSE(machine::IsTerminal(state)) << "something follows the end";
    ASSERT_TRUE(machine::IsLegal(change.from(), change.to())) << change.DebugString();
    ASSERT_EQ(change.to() == Execution::STATE_FAILED,
              change.failure_reason() != Execution::FAILURE_REASON_UNSPECIFIED);
    ASSERT_EQ(machine::IsTerminal(change.to()), change.has_outcome());
    state = change.to();
  }
  ASSERT_EQ(state, transition.state);
}

void CheckRuns(const Transition& transition, const World& world) {
  for (const StepRun& run : transition.run) {
    const TaskState::Step& step = world.run.Step(run.step);
    if (run.iteration == 0) {  // what decides its gate
      ASSERT_TRUE(step.gate().working()) << run.step;
      ASSERT_FALSE(step.gate().stops()) << run.step;
      ASSERT_EQ(run.attempt, step.gate().number());
      ASSERT_EQ(run.max_cost_microusd, step.gate().reserved_microusd());
    } else {
      ASSERT_TRUE(IsWorking(step)) << run.step;
      ASSERT_TRUE(step.gate_passed()) << run.step;
      ASSERT_EQ(run.attempt, step.attempt());
      ASSERT_EQ(run.iteration, step.iteration());
      ASSERT_EQ(run.max_cost_microusd, step.reserved_microusd());
    }
    ASSERT_EQ(world.run.task.state, Execution::STATE_RUNNING);
    ASSERT_TRUE(DefinitionOf(world, run.step).has_action() ||
                !world.run.task.data.workspace().path().empty());
    ASSERT_FALSE(world.run.task.data.has_ending());
    for (const std::string& name : DefinitionOf(world, run.step).depends_on())
      ASSERT_TRUE(IsDone(world.run.Step(name))) << run.step << " runs before " << name;
  }
}

bool HasTriggers(const World& world, v1::WorkflowTrigger::When when) {
  return std::any_of(world.run.workflow.triggers().begin(), world.run.workflow.triggers().end(),
                     [&](const auto& trigger) { return trigger.when() == when; });
}

// Those of its creation: in its workspace, before any step. Those of its completion: when no step
// is left.
void CheckTriggers(const Transition& transition, const World& world) {
  const TaskState& data = world.run.task.data;
  const bool due = HasTriggers(world, v1::WorkflowTrigger::WHEN_CREATED);
  if (transition.triggers) {
    ASSERT_FALSE(data.has_ending());
  }
  if (transition.triggers && transition.put_away) {
    ASSERT_TRUE(HasTriggers(world, v1::WorkflowTrigger::WHEN_COMPLETED));
    ASSERT_EQ(world.run.task.state, Execution::STATE_VERIFYING);
  } else if (transition.triggers) {
    ASSERT_TRUE(due);
    ASSERT_FALSE(data.workspace().path().empty());
    ASSERT_FALSE(data.created_triggers_ran());
    ASSERT_EQ(world.run.task.state, Execution::STATE_RUNNING);
  }
  if (due && !transition.run.empty()) {
    ASSERT_TRUE(data.created_triggers_ran()) << "a step runs before the triggers have";
  }
}

void CheckSteps(const World& world) {
  const TaskState& data = world.run.task.data;
  int open = 0;
  for (const TaskState::Step& step : data.steps()) {
    if (IsWorking(step) && !machine::IsTerminal(world.run.task.state)) {
      const auto place = world.working.find({step.name(), false});
      ASSERT_NE(place, world.working.end()) << step.name() << " runs nowhere";
      ASSERT_EQ(place->second.run.attempt, step.attempt());
      ASSERT_EQ(place->second.run.iteration, step.iteration());
    }
    const TaskState::Gate& gate = step.gate();
    if (gate.working()) {
      ASSERT_FALSE(machine::IsTerminal(world.run.task.state)) << step.name();
      const auto place = world.working.find({step.name(), true});
      ASSERT_NE(place, world.working.end()) << "the gate of " << step.name() << " is nowhere";
      ASSERT_EQ(place->second.run.attempt, gate.number());
    } else {
      ASSERT_EQ(gate.reserved_microusd(), 0) << step.name();
      ASSERT_FALSE(gate.stops()) << step.name();
    }
    const bool decided = gate.stage() == TaskState::Gate::STAGE_UNSPECIFIED && !gate.working();
    ASSERT_TRUE(decided || (world.run.task.state != Execution::STATE_VERIFYING &&
                            world.run.task.state != Execution::STATE_SUCCEEDED))
        << "succeeds although the gate of " << step.name() << " is open";
    const bool asked =
        step.state() == StepStatus::STATE_WAITING || gate.stage() == TaskState::Gate::STAGE_ASKED;
    if (asked && !step.approval().ended()) ++open;
    const int limit = workflow::MaxRetries(world.run.workflow);
    const bool fast = world.run.task.request.task().profile() == v1::PROFILE_FAST;
    ASSERT_LE(step.retries(), fast ? std::min(limit, 2) : limit);
    ASSERT_LE(step.loops(), workflow::MaxLoops(DefinitionOf(world, step.name()).loop()));
    if (!IsWorking(step)) {
      ASSERT_EQ(step.reserved_microusd(), 0) << step.name();
    }
  }
  ASSERT_LE(open, machine::IsTerminal(world.run.task.state) ? 0 : 1);
}

// Of the executions that steps have submitted.
void CheckChildren(const Transition& transition, const World& world) {
  const TaskState& data = world.run.task.data;
  std::set<std::string> awaited;
  for (const TaskState::Step& step : data.steps()) {
    if (step.child().empty() || step.has_child_end()) continue;
    ASSERT_TRUE(world.children.contains(step.child())) << step.name() << " waits in vain";
    ASSERT_TRUE(awaited.insert(step.child()).second);
  }
  for (const auto& [child, cancelled] : world.children) {
    ASSERT_TRUE(awaited.contains(child)) << child << " is forgotten";
    ASSERT_TRUE(cancelled || !data.has_ending()) << child << " goes on after an end was decided";
    ASSERT_TRUE(cancelled || !machine::IsTerminal(world.run.task.state)) << child;
  }
  if (world.unknown_child) {
    ASSERT_TRUE(transition.run.empty()) << "goes on although nobody knows what a child did";
    ASSERT_FALSE(transition.store_child);
  }
  if (transition.put_away) {
    ASSERT_TRUE(world.children.empty()) << "is put away before its children have ended";
  }
}

void CheckBudget(const World& world) {
  const std::int64_t limit = world.run.task.request.task().max_cost_microusd();
  std::int64_t used = world.run.task.data.usage().cost_microusd();
  for (const TaskState::Step& step : world.run.task.data.steps())
    used += step.reserved_microusd() + step.gate().reserved_microusd();
  if (limit > 0) {
    ASSERT_LE(used, limit);
  }
}

// Of the project: never beyond its limit but where that is overridden, and to the last cent.
void CheckProject(const World& world) {
  const World::Project& project = world.project;
  ASSERT_EQ(project.billed, world.run.task.request.task().project().empty()
                                ? 0
                                : world.run.task.data.usage().cost_microusd());
  if (machine::IsTerminal(world.run.task.state)) {
    ASSERT_EQ(world.OwnReserved(), 0) << "it keeps what others could have";
  }
  if (project.limit > 0 && world.run.task.request.task().budget_override().empty()) {
    ASSERT_LE(project.spent + project.others + world.OwnReserved(), project.limit);
  }
}

// What clients see is what is stored.
void CheckSnapshot(const World& world) {
  const v1::Execution& seen = world.run.snapshot;
  const TaskState& data = world.run.task.data;
  ASSERT_EQ(seen.state(), world.run.task.state);
  ASSERT_EQ(seen.seq(), world.run.task.seq);
  ASSERT_TRUE(google::protobuf::util::MessageDifferencer::Equals(seen.usage(), data.usage()));
  for (int i = 0; i < data.steps_size(); ++i) {
    if (data.steps(i).restarts()) continue;  // still being stopped
    ASSERT_EQ(seen.steps(i).state(), data.steps(i).state()) << data.steps(i).name();
    ASSERT_EQ(seen.steps(i).retries(), data.steps(i).retries()) << data.steps(i).name();
    if (!IsWorking(data.steps(i))) continue;
    ASSERT_EQ(seen.steps(i).attempt(), data.steps(i).attempt());
    ASSERT_EQ(seen.steps(i).iteration(), data.steps(i).iteration());
  }
}

void CheckPark(const Transition& transition) {
  ASSERT_EQ(transition.state == Execution::STATE_BLOCKED,
            transition.data.block_reason() != Execution::BLOCK_REASON_UNSPECIFIED);
  ASSERT_EQ(transition.stopped, transition.park.has_value() && transition.data.block_reason() ==
                                                                   Execution::BLOCK_REASON_STOPPED);
  ASSERT_EQ(transition.waits_for_project.has_value(),
            transition.park.has_value() && transition.state == Execution::STATE_BLOCKED &&
                transition.data.block_reason() == Execution::BLOCK_REASON_BUDGET);
  if (!transition.park.has_value()) return;
  ASSERT_TRUE(transition.guard_signals) << "a signal could be missed";
  ASSERT_GE(*transition.park, absl::ZeroDuration());
  ASSERT_LE(*transition.park, kLongestPark);
  ASSERT_TRUE(transition.state == Execution::STATE_BLOCKED ||
              transition.state == Execution::STATE_PENDING);
  ASSERT_TRUE(transition.run.empty());
  ASSERT_FALSE(transition.decide || transition.prepare || transition.triggers ||
               transition.put_away);
}

// Rows that the store keeps under a key.
void CheckKeys(const Transition& transition) {
  std::set<int> approvals;
  for (const auto& approval : transition.approvals)
    ASSERT_TRUE(approvals.insert(approval.number).second) << "one row, twice in a statement";
}

}  // namespace

void CheckTransition(const Task& before, const Transition& transition, const World& world) {
  if (machine::IsTerminal(before.state)) {
    ASSERT_TRUE(transition.ignored);
  }
  ASSERT_NO_FATAL_FAILURE(CheckRuns(transition, world));
  ASSERT_NO_FATAL_FAILURE(CheckTriggers(transition, world));
  ASSERT_NO_FATAL_FAILURE(CheckSteps(world));
  ASSERT_NO_FATAL_FAILURE(CheckChildren(transition, world));
  if (transition.look_again.has_value()) {
    ASSERT_GT(*transition.look_again, world.run.now);
  }
  if (transition.ignored) {
    ASSERT_TRUE(transition.events.empty());
    return;
  }
  ASSERT_NO_FATAL_FAILURE(CheckEvents(before, transition));
  ASSERT_NO_FATAL_FAILURE(CheckBudget(world));
  ASSERT_NO_FATAL_FAILURE(CheckProject(world));
  ASSERT_NO_FATAL_FAILURE(CheckSnapshot(world));
  ASSERT_NO_FATAL_FAILURE(CheckPark(transition));
  ASSERT_NO_FATAL_FAILURE(CheckKeys(transition));
  if (!transition.run.empty() || transition.triggers) {
    ASSERT_FALSE(world.stop_is_in_force) << "begins in spite of a stop";
  }
  if (world.held() && !world.ended() && world.nothing_is_going_on()) {
    // Somebody looked at a task that waits for what is being stopped: it is held until it hears.
    ASSERT_TRUE(world.run.task.data.has_ending() && !world.children.empty())
        << "held, and nothing will ever come of it";
  }
}

namespace {

// ---- what may come

Signalled RandomSignal(World& world) {
  Signalled signalled;
  TaskUnderTest& run = world.run;
  const int kind = world.dice.Pick(12);
  if (kind == 0) signalled.cancels.push_back({++run.signals, "bob", "x"});
  if (kind == 1 || kind == 2) signalled.pauses.push_back({++run.signals, "bob", "x", kind == 2});
  for (int n = world.dice.Pick(3); n >= 0 && kind != 1; --n) {
    const char* callers[] = {"ann", "bob", "cid"};
    signalled.votes.push_back(
        run.VoteOf(callers[world.dice.Pick(3)], !world.dice.OneIn(4), "words"));
    if (world.dice.OneIn(8)) signalled.votes.back().plan_digest = "other";
  }
  return signalled;
}

// Late, twice, or never asked for. (That something runs as told is the runner's promise.)
Input RandomNoise(World& world) {
  const Input& again =
      world.fed[static_cast<std::size_t>(world.dice.Pick(static_cast<int>(world.fed.size())))];
  const bool stale = std::holds_alternative<IterationEnded>(again) ||
                     std::holds_alternative<Signalled>(again) ||
                     std::holds_alternative<PutAway>(again);
  if (stale && world.dice.OneIn(2)) return again;
  switch (world.dice.Pick(4)) {
    case 0:
      return Tick{};
    case 1:
      return PutAway{};
    case 2: {
      Decided decided;
      decided.decision.set_allow(true);
      return decided;
    }
    default: {
      const auto& steps = world.run.task.data.steps();
      if (steps.empty()) return Tick{};
      const auto& step = steps[world.dice.Pick(steps.size())];
      return world.RandomEnd(step.name(), step.attempt() + world.dice.Pick(3) - 3,
                             1 + world.dice.Pick(3), false);
    }
  }
}

void WalkOn(World& world) {
  const int kind = world.dice.Pick(20);
  if (kind == 0 && world.dice.OneIn(3)) world.run.now += absl::Minutes(world.dice.Pick(100));
  if (kind < 3) return world.Signal(RandomSignal(world));
  if (kind == 9 && world.dice.OneIn(3))
    return world.stop_is_in_force ? world.LiftStop() : world.MakeStop();
  if (kind == 10 || kind == 11) world.OthersSpend();
  if (kind == 12 && world.project.limit > 0) world.SetBudget(world.project.limit + 50);
  if (kind == 10 && !world.children.empty()) return world.EndChild(/*honest=*/false);
  if (!world.held()) return world.WakeWhenDue();
  if (kind == 3 && world.dice.OneIn(3)) return world.TakeOver();
  if (kind == 4) return world.ReadAgain();
  if (kind == 10 && world.dice.OneIn(3)) world.run.task.leaving = true;
  if (kind < 8) return world.Feed(RandomNoise(world));
  world.Answer(/*honest=*/false);
}

// Whoever is asked says yes, what is paused goes on, what was asked for is done.
void GoOnHonestly(World& world) {
  TaskUnderTest& run = world.run;
  if (world.stop_is_in_force) return world.LiftStop();
  if (world.held()) {
    ASSERT_TRUE(world.Answer(/*honest=*/true)) << "stuck";
    return;
  }
  if (run.task.data.block_reason() == Execution::BLOCK_REASON_BUDGET)
    return world.SetBudget(world.project.limit + 100);
  Signalled signalled;
  const bool waits_for_child =
      run.task.data.has_ending() || run.task.data.block_reason() == Execution::BLOCK_REASON_CHILD;
  if (waits_for_child && !world.children.empty()) return world.EndChild(/*honest=*/true);
  if (run.task.data.paused()) {
    signalled.pauses.push_back({++run.signals, "bob", "go on", true});
  } else if (run.task.state == Execution::STATE_BLOCKED) {
    for (const char* caller : {"bob", "cid", "dan"})
      signalled.votes.push_back(run.VoteOf(caller, true));
  } else {
    return world.WakeWhenDue();
  }
  world.Signal(signalled);
}

TEST(TaskMachinePropertyTest, EveryTaskComesToExactlyOneEndWhateverHappensOnTheWay) {
  std::set<Execution::State> states;
  std::set<Execution::FailureReason> reasons;
  std::set<std::string> gates;
  for (unsigned seed = 0; seed < kWalks; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    World world(seed);
    ASSERT_THAT(workflow::Check(world.run.workflow), IsOk());
    for (int i = 0; i < kInputs && !world.ended() && !::testing::Test::HasFailure(); ++i)
      WalkOn(world);
    int honest = 0;
    for (; honest < kBound && !world.ended() && !::testing::Test::HasFailure(); ++honest)
      GoOnHonestly(world);
    ASSERT_FALSE(HasFailure()) << world.run.workflow.DebugString() << "\n"
                               << absl::StrJoin(world.run.Story(), "; ");
    ASSERT_LT(honest, kBound);
    world.Feed(RandomNoise(world));
    int terminal = 0;
    for (const v1::ExecutionEvent& event : world.run.events) {
      terminal += IsTerminal(StateAfter(event)) ? 1 : 0;
      if (event.has_gate_decided()) {
        const v1::GateDecided& gate = event.gate_decided();
        gates.insert(absl::StrCat(gate.decider(), gate.passed() ? " yes" : " no"));
      }
    }
    ASSERT_EQ(terminal, 1);
    states.insert(world.run.task.state);
    reasons.insert(world.run.snapshot.failure_reason());
  }
  EXPECT_EQ(states.size(), 3u);
  // The walk has been everywhere.
  EXPECT_THAT(gates, IsSupersetOf({"auto yes", "auto no", "human yes", "human no", "skip yes",
                                   "profile yes", "model yes", "model no", "model:m yes",
                                   "model:m no", "script yes", "script no"}));
  EXPECT_THAT(
      reasons,
      IsSupersetOf(
          {Execution::FAILURE_REASON_POLICY_DENIED, Execution::FAILURE_REASON_STEP_FAILED,
           Execution::FAILURE_REASON_RETRY_LIMIT, Execution::FAILURE_REASON_ITERATION_LIMIT,
           Execution::FAILURE_REASON_QUALITY_CHECK, Execution::FAILURE_REASON_BUDGET_EXCEEDED,
           Execution::FAILURE_REASON_APPROVAL_REJECTED, Execution::FAILURE_REASON_APPROVAL_TIMEOUT,
           Execution::FAILURE_REASON_PRECONDITION_FAILED, Execution::FAILURE_REASON_TIMED_OUT,
           Execution::FAILURE_REASON_CONFIGURATION, Execution::FAILURE_REASON_LEASE_LOST,
           Execution::FAILURE_REASON_OUTCOME_UNKNOWN}));
}

TEST(TaskMachinePropertyTest, NothingIsBilledOrStoredTwiceUnderOneKey) {
  for (unsigned seed = 0; seed < 1'000; ++seed) {
    World world(seed);
    for (int i = 0; i < kInputs && !world.ended() && !HasFailure(); ++i) WalkOn(world);
    ASSERT_FALSE(HasFailure());
    std::set<std::string> usage, artifacts;
    for (const v1::ExecutionEvent& event : world.run.events) {
      if (event.has_usage_recorded()) {
        const v1::UsageRecorded& one = event.usage_recorded();
        ASSERT_TRUE(usage
                        .insert(absl::StrCat(one.step(), "/", one.attempt(), ".", one.iteration(),
                                             " ", one.model()))
                        .second);
      }
      if (event.has_artifact_stored()) {
        ASSERT_TRUE(artifacts.insert(event.artifact_stored().artifact()).second);
      }
    }
  }
}

}  // namespace
}  // namespace capstan::task
