// Gates of steps, and questions that steps ask.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/situations.h"

namespace capstan::task {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kOne[] = "  - {name: build, " kModel "}\n";
constexpr char kReview[] =
    "  - {name: implement, " kModel
    "}\n"
    "  - {name: review, depends_on: [implement], retry_from: implement, " kModel
    "}\n"
    "  - {name: ship, depends_on: [review], " kModel "}\n";

std::string ShipGate(const std::string& gate, const std::string& more = "") {
  return absl::StrCat("  - {name: build, " kModel "}\n  - {name: ship, depends_on: [build], ", more,
                      "gate: {", gate,
                      "}, " kModel "}\n  - {name: tell, depends_on: [ship], " kModel "}\n");
}

TEST(GateTest, S4_29_AGateThatDecidesItselfLetsTheStepRunOrNot) {
  const std::string criteria =
      "kind: auto, criteria: {test: {field: steps.build.output.ok, op: eq, value: true}}";
  TaskUnderTest passes(ShipGate(criteria)), fails(ShipGate(criteria));
  passes.Begin();
  fails.Begin();

  EXPECT_THAT(NamesOf(passes.Complete("build", {{"ok", true}}).run), ElementsAre("ship"));
  EXPECT_EQ(passes.Count("gate of ship auto continue"), 1);
  EXPECT_TRUE(fails.Complete("build", {{"ok", false}}).put_away);
  EXPECT_EQ(fails.Count("gate of ship auto fail"), 1);
  fails.PutAway();
  EXPECT_EQ(fails.End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED);
}

TEST(GateTest, S1_7_AGateSkipsItsStepWhereTheWorkflowSaysSo) {
  TaskUnderTest run(ShipGate(
      "kind: auto, on_reject: skip_step, criteria: {test: {field: steps.build.output.ok, op: eq, "
      "value: true}}"));
  run.Begin();

  EXPECT_THAT(NamesOf(run.Complete("build", {{"ok", false}}).run), ElementsAre("tell"));

  EXPECT_EQ(run.StateOf("ship"), StepStatus::STATE_SKIPPED);
  EXPECT_EQ(run.Count("gate of ship auto skip_step"), 1);
}

TEST(GateTest, AGateThatIsNotPassedMayLetTheStepRunAllTheSame) {
  TaskUnderTest run(ShipGate("kind: human, on_reject: continue"));
  run.Begin();
  run.Complete("build");

  run.Vote("bob", false, "I would not");

  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("ship"));
  EXPECT_EQ(run.Count("gate of ship human continue"), 1);
}

TEST(GateTest, AGateThatTheWorkflowPassesIsOnRecord) {
  TaskUnderTest run(ShipGate("kind: skip"));
  run.Begin();

  EXPECT_THAT(NamesOf(run.Complete("build").run), ElementsAre("ship"));

  EXPECT_EQ(run.Count("gate of ship skip continue"), 1);
}

TEST(GateTest, S4_30_AHumanGateBlocksTheTaskAndItGoesOnFromTheGate) {
  TaskUnderTest run(ShipGate("kind: human, timeout: 2h"));
  run.Begin();

  const Transition blocked = run.Complete("build");
  EXPECT_EQ(run.task.data.block_reason(), Execution::BLOCK_REASON_APPROVAL);
  EXPECT_EQ(blocked.park, absl::Hours(2));
  EXPECT_TRUE(blocked.guard_signals);
  ASSERT_EQ(blocked.approvals.size(), 1u);
  EXPECT_EQ(blocked.approvals[0].state, v1::ApprovalSummary::STATE_PENDING);
  run.NewStory();
  run.Vote("bob", true);
  run.Allow();

  EXPECT_THAT(run.NewStory(),
              ElementsAre("approval_decided", "APPROVED", "gate of ship human continue", "PENDING",
                          "VALIDATING", "policy_evaluated", "RUNNING", "ship started 1.1"));
  EXPECT_EQ(run.Count("build started 1.1"), 1);
}

TEST(GateTest, ARefusedGateFailsTheTaskWithTheWordsOfWhoRefused) {
  TaskUnderTest run(ShipGate("kind: human"));
  run.Begin();
  run.Complete("build");

  EXPECT_TRUE(run.Vote("bob", false, "on a Friday?").put_away);
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_APPROVAL_REJECTED);
  EXPECT_EQ(run.End().message(), "step ship: bob: on a Friday?");
}

TEST(GateTest, ARefusedGateGoesBackAndPolicyDecidesBeforeAnythingRuns) {
  TaskUnderTest run(ShipGate("kind: human, on_reject: retry", "retry_from: build, "));
  run.Begin();
  run.Complete("build");
  run.NewStory();

  const Transition refused = run.Vote("bob", false, "no tests");
  EXPECT_TRUE(refused.decide);
  EXPECT_THAT(refused.run, IsEmpty());
  run.Allow();

  EXPECT_THAT(run.NewStory(),
              ElementsAre("approval_decided", "REJECTED", "gate of ship human retry", "ship FAILED",
                          "back to build", "PENDING", "VALIDATING", "policy_evaluated", "RUNNING",
                          "build started 2.1"));
  EXPECT_EQ(run.Step("build").retry_feedback(), "bob: no tests");
}

TEST(GateTest, ASkippedStepAfterARefusedGateLetsTheOthersGoOn) {
  TaskUnderTest run(ShipGate("kind: human, on_reject: skip_step"));
  run.Begin();
  run.Complete("build");

  run.Vote("bob", false);

  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("tell"));
}

TEST(GateTest, AGateNeedsAsManyPeopleAsItSaysAndOnlyOfItsGroups) {
  TaskUnderTest run(ShipGate("kind: human, quorum: 2, groups: [leads]"));
  run.Begin();
  run.Complete("build");
  const auto vote = [&](const char* caller, std::vector<std::string> groups) {
    Signalled signalled;
    signalled.votes.push_back(run.VoteOf(caller, true));
    signalled.votes[0].groups = std::move(groups);
    return run.Feed(signalled);
  };

  EXPECT_TRUE(vote("bob", {"leads"}).park.has_value());
  EXPECT_TRUE(vote("bob", {"leads"}).park.has_value()) << "the same person again";
  EXPECT_TRUE(vote("cid", {"others"}).park.has_value());
  EXPECT_TRUE(vote("dan", {"leads"}).decide);

  EXPECT_EQ(run.snapshot.approval().decisions_size(), 2);
}

TEST(GateTest, WhoSubmittedATaskDoesNotPassItsGates) {
  TaskUnderTest run(ShipGate("kind: human"));
  run.Begin();
  run.Complete("build");

  const Transition transition = run.Vote("ann", true);

  EXPECT_TRUE(transition.park.has_value());
  EXPECT_THAT(transition.events[0].approval_decided().ignored(), HasSubstr("requester"));
}

TEST(GateTest, AVoteAboutSomethingElseDoesNotCount) {
  TaskUnderTest run(ShipGate("kind: human"));
  run.Begin();
  run.Complete("build");
  Signalled signalled;
  signalled.votes.push_back(run.VoteOf("bob", true));
  signalled.votes[0].plan_digest = "another";

  EXPECT_TRUE(run.Feed(signalled).park.has_value());
}

TEST(GateTest, AVoteAfterTheOneThatDecidedDoesNotCount) {
  TaskUnderTest run(ShipGate("kind: human"));
  run.Begin();
  run.Complete("build");
  Signalled signalled;
  signalled.votes.push_back(run.VoteOf("bob", true));
  signalled.votes.push_back(run.VoteOf("cid", false));

  const Transition transition = run.Feed(signalled);

  EXPECT_TRUE(transition.decide) << "it goes on";
  EXPECT_EQ(run.snapshot.approval().state(), v1::ApprovalSummary::STATE_APPROVED);
  EXPECT_EQ(run.snapshot.approval().decisions_size(), 1);
}

TEST(GateTest, AGateThatNobodyPassesInTimeIsNotPassed) {
  TaskUnderTest run(ShipGate("kind: human, timeout: 2h"));
  run.Begin();
  run.Complete("build");
  run.now += absl::Hours(2);

  EXPECT_TRUE(run.Feed(Resumed{}).put_away);
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_APPROVAL_TIMEOUT);
}

TEST(GateTest, AnExpiredGateGoesBackAndPolicyDecidesBeforeAnythingRuns) {
  TaskUnderTest run(ShipGate("kind: human, on_reject: retry, timeout: 2h", "retry_from: build, "));
  run.Begin();
  run.Complete("build");
  run.now += absl::Hours(2);

  const Transition expired = run.Feed(Resumed{});

  EXPECT_TRUE(expired.decide);
  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("build"));
}

TEST(GateTest, AGateExpiresWhileOtherStepsRun) {
  TaskUnderTest run(
      "  - {name: a, " kModel
      "}\n  - {name: b, gate: {kind: human, timeout: 1h, on_reject: skip_step}, " kModel
      "}\n  - {name: c, depends_on: [b], " kModel "}\n");
  const Transition begun = run.Begin();
  EXPECT_EQ(begun.look_again, kNow + absl::Hours(1));
  run.now += absl::Hours(1);

  const Transition ticked = run.Feed(Tick{});

  EXPECT_THAT(NamesOf(ticked.run), ElementsAre("c"));
  EXPECT_TRUE(ticked.guard_signals) << "a vote that came in time counts";
}

TEST(GateTest, AVoteThatWasCastInTimeCountsAlthoughItIsReadLate) {
  TaskUnderTest run(ShipGate("kind: human, timeout: 2h"));
  run.Begin();
  run.Complete("build");
  Signalled signalled;
  signalled.votes.push_back(run.VoteOf("bob", true));
  run.now += absl::Hours(3);

  EXPECT_TRUE(run.Feed(signalled).decide);

  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("ship"));
}

TEST(GateTest, PeopleAreAskedAboutOneGateAtATime) {
  TaskUnderTest run("  - {name: a, gate: {kind: human}, " kModel
                    "}\n  - {name: b, gate: {kind: human}, " kModel "}\n");
  run.Begin();
  EXPECT_EQ(run.Count("asked about b"), 0);

  run.Vote("bob", true);
  run.Allow();
  const Transition transition = run.Prepare();

  EXPECT_THAT(NamesOf(transition.run), ElementsAre("a"));
  EXPECT_EQ(run.StateOf("b"), StepStatus::STATE_WAITING);
}

TEST(GateTest, AnApprovalThatIsAskedForAndEndsAtOnceIsStoredOnce) {
  TaskUnderTest run("  - {name: a, gate: {kind: human}, " kModel
                    "}\n  - {name: b, condition: {test: {field: TASK_ID, op: eq, value: x}}, gate: "
                    "{kind: auto}, " kModel
                    "}\n  - {name: c, depends_on: [b], gate: {kind: auto, criteria: {test: {field: "
                    "steps.b.state, op: eq, value: succeeded}}}, " kModel "}\n");
  run.Feed(Resumed{});

  const Transition ended = run.Allow();

  ASSERT_EQ(ended.approvals.size(), 1u);
  EXPECT_EQ(ended.approvals[0].state, v1::ApprovalSummary::STATE_VOID);
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED);
}

TEST(GateTest, S4_31_ProfilesAutoAndFastAskNobody) {
  for (const v1::Profile profile : {v1::PROFILE_AUTO, v1::PROFILE_FAST}) {
    TaskUnderTest run(ShipGate("kind: human"), profile);
    run.Begin();

    EXPECT_THAT(NamesOf(run.Complete("build").run), ElementsAre("ship"));
    EXPECT_EQ(run.Count("gate of ship profile continue"), 1);
  }
}

TEST(GateTest, S4_31_TheStrictProfileAsksAboutWhatSpecAndDesignHaveWritten) {
  const std::string steps =
      "  - {name: spec, " kModel "}\n  - {name: implement, depends_on: [spec], " kModel "}\n";
  TaskUnderTest strict(steps, v1::PROFILE_STRICT), safe(steps, v1::PROFILE_SAFE);
  strict.Begin();
  safe.Begin();

  EXPECT_TRUE(strict.Complete("spec").park.has_value());
  EXPECT_THAT(NamesOf(safe.Complete("spec").run), ElementsAre("implement"));

  EXPECT_EQ(strict.Count("asked about implement"), 1);
}

// ---- each kind with each action

constexpr char kKinds[][80] = {
    "kind: auto, criteria: {test: {field: TASK_ID, op: eq, value: other}}",
    "kind: human",
    "kind: model, judge: {prompt: good}",
};

// What comes of a no of this kind of gate before ship.
struct Refused {
  std::vector<std::string> runs;  // "ship", "script"
  std::string action;
  bool ends = false;
};

Refused RefuseShip(const std::string& kind, const std::string& action) {
  const bool script = action == "run_script";
  TaskUnderTest run(
      ShipGate(absl::StrCat(kind, ", on_reject: ", action,
                            script ? ", script: {argv: [repair], repeatable: true}" : ""),
               "retry_from: build, "));
  run.Begin();
  Transition last = run.Complete("build");
  if (kind == kKinds[1]) {
    run.Vote("bob", false, "no");
    last = run.Allow();
  } else if (kind == kKinds[2]) {
    last = run.Judge("ship", false, "no");
  }
  Refused out;
  for (const StepRun& one : last.run) out.runs.push_back(one.iteration == 0 ? "script" : one.step);
  for (const v1::ExecutionEvent& event : run.events) {
    if (event.has_gate_decided()) out.action = event.gate_decided().action();
  }
  out.ends = run.task.data.has_ending();
  return out;
}

TEST(GateTest, S4_29_EachKindOfGateKnowsEachAction) {
  for (const char* kind : kKinds) {
    SCOPED_TRACE(kind);
    const auto refused = [&](const char* action) {
      const Refused out = RefuseShip(kind, action);
      EXPECT_EQ(out.action, action);
      EXPECT_EQ(out.ends, out.runs.empty());
      return out.runs;
    };
    EXPECT_THAT(refused("fail"), IsEmpty());
    EXPECT_THAT(refused("retry"), ElementsAre("build"));
    EXPECT_THAT(refused("skip_step"), ElementsAre("tell"));
    EXPECT_THAT(refused("continue"), ElementsAre("ship"));
    EXPECT_THAT(refused("run_script"), ElementsAre("script"));
  }
}

// ---- questions

TEST(GateTest, AStepThatAsksWaitsForAnAnswerAndGoesOnWithIt) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();

  const Transition asked = run.Block("build", "which database?");
  EXPECT_EQ(run.task.data.block_reason(), Execution::BLOCK_REASON_USER_INPUT);
  EXPECT_EQ(run.snapshot.approval().reason(), "which database?");
  EXPECT_TRUE(run.snapshot.approval().question());
  run.Vote("ann", true, "Postgres");  // who submitted it may answer
  const Transition running = run.Allow();

  EXPECT_THAT(NamesOf(running.run), ElementsAre("build"));
  EXPECT_EQ(running.run[0].iteration, 2);
  EXPECT_EQ(run.Step("build").feedback(), "ann: Postgres");
  EXPECT_EQ(run.snapshot.steps(0).state(), StepStatus::STATE_RUNNING);
}

TEST(GateTest, AnAnswerThatTakesLongerThanTheStepMayTakeIsNotTooLate) {
  TaskUnderTest run("  - {name: build, timeout: 10m, " kModel "}\n");
  run.Begin();
  run.Block("build", "which database?");
  run.now += absl::Hours(20);

  run.Vote("ann", true, "Postgres");

  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("build"));
}

TEST(GateTest, AQuestionThatIsRefusedFailsTheStep) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.Block("build", "which database?");

  run.Vote("bob", false, "stop it");
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_APPROVAL_REJECTED);
}

TEST(GateTest, AStepThatCannotGoOnGoesBackWhereTheWorkflowSaysSo) {
  TaskUnderTest run{std::string(kReview)};
  run.Begin();
  run.Complete("implement");

  const Transition transition = run.Block("review", "there is nothing to review");

  EXPECT_THAT(NamesOf(transition.run), ElementsAre("implement"));
}

TEST(GateTest, AQuestionOfAStepThatIsRunAgainIsForgotten) {
  TaskUnderTest run("  - {name: a, " kModel "}\n  - {name: asks, depends_on: [a], " kModel
                    "}\n  - {name: fails, depends_on: [a], retry_from: a, " kModel "}\n");
  run.Begin();
  run.Complete("a");
  run.Block("asks", "which database?");
  run.Fail("fails");
  EXPECT_EQ(run.Count("VOID"), 1);

  const Transition again = run.Complete("a");

  EXPECT_THAT(NamesOf(again.run), ElementsAre("asks", "fails"));
  run.Continue("fails");
  EXPECT_EQ(run.StateOf("asks"), StepStatus::STATE_RUNNING);
  EXPECT_EQ(run.Count("asked about asks"), 1);
}

}  // namespace
}  // namespace capstan::task
