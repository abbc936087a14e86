// What follows from where the steps of a task stand: order, gates, iterations, going back, budget.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/situations.h"

namespace capstan::task {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kOne[] = "  - {name: build, " kModel "}\n";
// a and b run side by side, c after both.
constexpr char kDiamond[] = "  - {name: a, " kModel "}\n  - {name: b, " kModel
                            "}\n"
                            "  - {name: c, depends_on: [a, b], " kModel "}\n";
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

// ---- order

TEST(TaskStepsTest, S4_34_StepsOfOneLevelRunSideBySideAndTheNextWaitsForAll) {
  TaskUnderTest run{std::string(kDiamond)};

  EXPECT_THAT(NamesOf(run.Begin().run), ElementsAre("a", "b"));
  EXPECT_THAT(NamesOf(run.Complete("b").run), IsEmpty());
  EXPECT_THAT(NamesOf(run.Complete("a").run), ElementsAre("c"));
}

TEST(TaskStepsTest, S4_34_ASkippedStepDoesNotBlockThoseThatDependOnIt) {
  TaskUnderTest run(
      "  - {name: a, " kModel
      "}\n"
      "  - {name: b, depends_on: [a], condition: {test: {field: steps.a.output.ui, op: eq, value: "
      "true}}, " kModel "}\n  - {name: c, depends_on: [b], " kModel "}\n");
  run.Begin();

  const Transition transition = run.Complete("a", {{"ui", false}});

  EXPECT_THAT(NamesOf(transition.run), ElementsAre("c"));
  EXPECT_EQ(run.StateOf("b"), StepStatus::STATE_SKIPPED);
}

TEST(TaskStepsTest, S4_32_AConditionSeesTheAnswerThatHasJustCome) {
  TaskUnderTest run(
      "  - {name: a, " kModel
      "}\n"
      "  - {name: b, depends_on: [a], condition: {any: [{test: {field: steps.a.output.n, op: gt, "
      "value: 2}}, {test: {field: steps.a.state, op: eq, value: failed}}]}, " kModel "}\n");
  run.Begin();

  EXPECT_THAT(NamesOf(run.Complete("a", {{"n", 3}}).run), ElementsAre("b"));
}

TEST(TaskStepsTest, S4_4_BeforeAStepRunsItsConditionIsLookedAtThenItsGateAndWhatItCostIsRecorded) {
  TaskUnderTest run(
      "  - {name: a, " kModel
      "}\n"
      "  - {name: b, depends_on: [a], condition: {test: {field: steps.a.output.go, op: eq, value: "
      "true}}, gate: {kind: auto}, " kModel "}\n");
  run.Begin();
  run.NewStory();

  IterationEnded ended = run.Of("a", IterationFinished::STATUS_COMPLETE);
  ended.answer = {{"go", true}};
  ended.answer_artifact = "a/1.1/answer";
  ended.usage.emplace_back().set_cost_microusd(5);
  run.Feed(ended);

  EXPECT_THAT(run.NewStory(),
              ElementsAre("a ended COMPLETE", "usage_recorded", "artifact_stored", "a SUCCEEDED",
                          "gate of b auto continue", "b started 1.1"));
}

// ---- gates

TEST(TaskStepsTest, S4_29_AGateThatDecidesItselfLetsTheStepRunOrNot) {
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

TEST(TaskStepsTest, S1_7_AGateSkipsItsStepWhereTheWorkflowSaysSo) {
  TaskUnderTest run(ShipGate(
      "kind: auto, on_reject: skip_step, criteria: {test: {field: steps.build.output.ok, op: eq, "
      "value: true}}"));
  run.Begin();

  EXPECT_THAT(NamesOf(run.Complete("build", {{"ok", false}}).run), ElementsAre("tell"));

  EXPECT_EQ(run.StateOf("ship"), StepStatus::STATE_SKIPPED);
  EXPECT_EQ(run.Count("gate of ship auto skip_step"), 1);
}

TEST(TaskStepsTest, AGateThatIsNotPassedMayLetTheStepRunAllTheSame) {
  TaskUnderTest run(ShipGate("kind: human, on_reject: continue"));
  run.Begin();
  run.Complete("build");

  run.Vote("bob", false, "I would not");

  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("ship"));
  EXPECT_EQ(run.Count("gate of ship human continue"), 1);
}

TEST(TaskStepsTest, AGateThatTheWorkflowPassesIsOnRecord) {
  TaskUnderTest run(ShipGate("kind: skip"));
  run.Begin();

  EXPECT_THAT(NamesOf(run.Complete("build").run), ElementsAre("ship"));

  EXPECT_EQ(run.Count("gate of ship skip continue"), 1);
}

TEST(TaskStepsTest, S4_30_AHumanGateBlocksTheTaskAndItGoesOnFromTheGate) {
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

TEST(TaskStepsTest, ARefusedGateFailsTheTaskWithTheWordsOfWhoRefused) {
  TaskUnderTest run(ShipGate("kind: human"));
  run.Begin();
  run.Complete("build");

  EXPECT_TRUE(run.Vote("bob", false, "on a Friday?").put_away);
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_APPROVAL_REJECTED);
  EXPECT_EQ(run.End().message(), "step ship: bob: on a Friday?");
}

TEST(TaskStepsTest, ARefusedGateGoesBackAndPolicyDecidesBeforeAnythingRuns) {
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

TEST(TaskStepsTest, ASkippedStepAfterARefusedGateLetsTheOthersGoOn) {
  TaskUnderTest run(ShipGate("kind: human, on_reject: skip_step"));
  run.Begin();
  run.Complete("build");

  run.Vote("bob", false);

  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("tell"));
}

TEST(TaskStepsTest, AGateNeedsAsManyPeopleAsItSaysAndOnlyOfItsGroups) {
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

TEST(TaskStepsTest, WhoSubmittedATaskDoesNotPassItsGates) {
  TaskUnderTest run(ShipGate("kind: human"));
  run.Begin();
  run.Complete("build");

  const Transition transition = run.Vote("ann", true);

  EXPECT_TRUE(transition.park.has_value());
  EXPECT_THAT(transition.events[0].approval_decided().ignored(), HasSubstr("requester"));
}

TEST(TaskStepsTest, AVoteAboutSomethingElseDoesNotCount) {
  TaskUnderTest run(ShipGate("kind: human"));
  run.Begin();
  run.Complete("build");
  Signalled signalled;
  signalled.votes.push_back(run.VoteOf("bob", true));
  signalled.votes[0].plan_digest = "another";

  EXPECT_TRUE(run.Feed(signalled).park.has_value());
}

TEST(TaskStepsTest, AVoteAfterTheOneThatDecidedDoesNotCount) {
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

TEST(TaskStepsTest, AGateThatNobodyPassesInTimeIsNotPassed) {
  TaskUnderTest run(ShipGate("kind: human, timeout: 2h"));
  run.Begin();
  run.Complete("build");
  run.now += absl::Hours(2);

  EXPECT_TRUE(run.Feed(Resumed{}).put_away);
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_APPROVAL_TIMEOUT);
}

TEST(TaskStepsTest, AnExpiredGateGoesBackAndPolicyDecidesBeforeAnythingRuns) {
  TaskUnderTest run(ShipGate("kind: human, on_reject: retry, timeout: 2h", "retry_from: build, "));
  run.Begin();
  run.Complete("build");
  run.now += absl::Hours(2);

  const Transition expired = run.Feed(Resumed{});

  EXPECT_TRUE(expired.decide);
  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("build"));
}

TEST(TaskStepsTest, AGateExpiresWhileOtherStepsRun) {
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

TEST(TaskStepsTest, AVoteThatWasCastInTimeCountsAlthoughItIsReadLate) {
  TaskUnderTest run(ShipGate("kind: human, timeout: 2h"));
  run.Begin();
  run.Complete("build");
  Signalled signalled;
  signalled.votes.push_back(run.VoteOf("bob", true));
  run.now += absl::Hours(3);

  EXPECT_TRUE(run.Feed(signalled).decide);

  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("ship"));
}

TEST(TaskStepsTest, PeopleAreAskedAboutOneGateAtATime) {
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

TEST(TaskStepsTest, AnApprovalThatIsAskedForAndEndsAtOnceIsStoredOnce) {
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

TEST(TaskStepsTest, S4_31_ProfilesAutoAndFastAskNobody) {
  for (const v1::Profile profile : {v1::PROFILE_AUTO, v1::PROFILE_FAST}) {
    TaskUnderTest run(ShipGate("kind: human"), profile);
    run.Begin();

    EXPECT_THAT(NamesOf(run.Complete("build").run), ElementsAre("ship"));
    EXPECT_EQ(run.Count("gate of ship profile continue"), 1);
  }
}

TEST(TaskStepsTest, S4_31_TheStrictProfileAsksAboutWhatSpecAndDesignHaveWritten) {
  const std::string steps =
      "  - {name: spec, " kModel "}\n  - {name: implement, depends_on: [spec], " kModel "}\n";
  TaskUnderTest strict(steps, v1::PROFILE_STRICT), safe(steps, v1::PROFILE_SAFE);
  strict.Begin();
  safe.Begin();

  EXPECT_TRUE(strict.Complete("spec").park.has_value());
  EXPECT_THAT(NamesOf(safe.Complete("spec").run), ElementsAre("implement"));

  EXPECT_EQ(strict.Count("asked about implement"), 1);
}

// ---- questions

TEST(TaskStepsTest, AStepThatAsksWaitsForAnAnswerAndGoesOnWithIt) {
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

TEST(TaskStepsTest, AnAnswerThatTakesLongerThanTheStepMayTakeIsNotTooLate) {
  TaskUnderTest run("  - {name: build, timeout: 10m, " kModel "}\n");
  run.Begin();
  run.Block("build", "which database?");
  run.now += absl::Hours(20);

  run.Vote("ann", true, "Postgres");

  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("build"));
}

TEST(TaskStepsTest, AQuestionThatIsRefusedFailsTheStep) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.Block("build", "which database?");

  run.Vote("bob", false, "stop it");
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_APPROVAL_REJECTED);
}

TEST(TaskStepsTest, AStepThatCannotGoOnGoesBackWhereTheWorkflowSaysSo) {
  TaskUnderTest run{std::string(kReview)};
  run.Begin();
  run.Complete("implement");

  const Transition transition = run.Block("review", "there is nothing to review");

  EXPECT_THAT(NamesOf(transition.run), ElementsAre("implement"));
}

TEST(TaskStepsTest, AQuestionOfAStepThatIsRunAgainIsForgotten) {
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

// ---- iterations

TEST(TaskStepsTest, AStepThatIsNotCompleteGoesOnWithWhatIsLeftToDo) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();

  const Transition transition = run.Continue("build", "the tests are missing");

  EXPECT_EQ(transition.run[0].iteration, 2);
  EXPECT_EQ(run.Step("build").feedback(), "the tests are missing");
}

TEST(TaskStepsTest, S1_3_ReachingTheLastIterationWithoutCompletionFailsTheStep) {
  TaskUnderTest run("  - {name: build, max_iterations: 2, " kModel "}\n");
  run.Begin();
  run.Continue("build");

  EXPECT_TRUE(run.Continue("build").put_away);
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_ITERATION_LIMIT);
  EXPECT_EQ(run.snapshot.steps(0).state(), StepStatus::STATE_FAILED);
}

TEST(TaskStepsTest, AStepWhoseChecksDoNotPassIsNotCompleteAndFailsInTheEnd) {
  TaskUnderTest run("  - {name: build, max_iterations: 2, " kModel "}\n");
  run.Begin();
  IterationEnded ended = run.Of("build", IterationFinished::STATUS_COMPLETE);
  ended.checks_block = true;
  ended.feedback = "2 tests failed";

  EXPECT_EQ(run.Feed(ended).run[0].iteration, 2);
  EXPECT_EQ(run.Step("build").feedback(), "2 tests failed");
  ended.iteration = 2;
  run.Feed(ended);
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_QUALITY_CHECK);
}

TEST(TaskStepsTest, ThreeIterationsInARowThatChangeNothingEndTheStep) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  const auto same = [&](const char* digest) {
    IterationEnded ended = run.Of("build", IterationFinished::STATUS_CONTINUE);
    ended.digest = digest;
    return run.Feed(ended);
  };

  same("x");
  same("x");
  same("y");
  same("y");
  EXPECT_TRUE(same("y").put_away);
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_ITERATION_LIMIT);
  EXPECT_THAT(run.End().message(), HasSubstr("no progress"));
}

TEST(TaskStepsTest, S1_5_AnIterationAndAStepHaveTheTimeThatTheWorkflowGivesThem) {
  TaskUnderTest given("  - {name: build, turn_timeout: 15m, timeout: 20m, " kModel "}\n");
  TaskUnderTest defaults{std::string(kOne)};

  EXPECT_EQ(defaults.Begin().run[0].timeout, absl::Minutes(10));
  EXPECT_EQ(given.Begin().run[0].timeout, absl::Minutes(15));
  given.now += absl::Minutes(15);
  EXPECT_EQ(given.Continue("build").run[0].timeout, absl::Minutes(5)) << "what is left of 20 min";
}

TEST(TaskStepsTest, S4_5_AStepWhoseTimeIsUpFailsAndIsTriedAgainWhereTheWorkflowSaysSo) {
  TaskUnderTest run{std::string(kReview)};
  run.Begin();
  run.Complete("implement");
  run.now += absl::Minutes(60);

  const Transition transition = run.Continue("review");

  EXPECT_THAT(StoryOf(transition.events),
              ElementsAre("review ended CONTINUE", "review FAILED", "back to implement",
                          "implement started 2.1"));
  EXPECT_EQ(transition.events[1].step_finished().failure_reason(),
            Execution::FAILURE_REASON_TIMED_OUT);
}

TEST(TaskStepsTest, S4_10_AnAnswerThatCannotBeUsedFailsTheTask) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  IterationEnded ended = run.Of("build", IterationFinished::STATUS_ERROR);
  ended.error = "INVALID_ANSWER";
  ended.reason = Execution::FAILURE_REASON_INVALID_ANSWER;
  ended.message = "status: got nothing";

  run.Feed(ended);
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_INVALID_ANSWER);
  EXPECT_EQ(run.End().message(), "step build: status: got nothing");
}

TEST(TaskStepsTest, ATransientErrorIsTriedAgainLaterWithoutAWorker) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();

  const Transition parked = run.Err("build");
  EXPECT_EQ(run.task.state, Execution::STATE_PENDING);
  EXPECT_EQ(parked.park, absl::Seconds(2));
  EXPECT_TRUE(parked.guard_signals);
  run.now += absl::Seconds(2);
  const Transition again = run.Begin();

  EXPECT_EQ(again.run[0].attempt, 2);
  EXPECT_EQ(again.run[0].iteration, 1) << "the same iteration, as a new attempt";
}

TEST(TaskStepsTest, AProviderThatSaysWhenToComeBackIsNotAskedBefore) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();

  EXPECT_EQ(run.Err("build", absl::Minutes(7)).park, absl::Minutes(7));
}

TEST(TaskStepsTest, WhatIsTriedAgainWhileOthersRunBeginsWhenItsTimeHasComeAndThatIsOnRecord) {
  TaskUnderTest run{std::string(kDiamond)};
  run.Begin();
  const Transition waits = run.Err("a");
  EXPECT_EQ(waits.look_again, kNow + absl::Seconds(2));
  EXPECT_TRUE(run.Feed(Tick{}).ignored) << "too early";
  run.now += absl::Seconds(2);

  const Transition ticked = run.Feed(Tick{});

  EXPECT_THAT(StoryOf(ticked.events), ElementsAre("a started 2.1"));
  EXPECT_THAT(NamesOf(ticked.run), ElementsAre("a"));
}

TEST(TaskStepsTest, TransientErrorsInARowFailTheStep) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  int tries = 0;

  for (; tries < 20 && run.task.state != Execution::STATE_FAILED; ++tries) {
    if (run.Err("build").put_away) run.PutAway();
    run.now += absl::Minutes(2);
    run.Begin();
  }

  EXPECT_EQ(tries, kMaxTransientErrors + 1);
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_PROVIDER);
}

TEST(TaskStepsTest, ACompletedIterationForgetsTheErrorsBeforeIt) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.Err("build");
  run.now += absl::Minutes(2);
  run.Begin();

  run.Continue("build");

  EXPECT_EQ(run.Err("build").park, absl::Seconds(2)) << "the first in a row again";
}

TEST(TaskStepsTest, AnAnswerToAnEarlierIterationMeansNothing) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  const IterationEnded old = run.Of("build", IterationFinished::STATUS_COMPLETE);
  run.Continue("build");

  EXPECT_TRUE(run.Feed(old).ignored);
  EXPECT_TRUE(run.Feed(IterationEnded{.step = "other"}).ignored);
}

// ---- going back

TEST(TaskStepsTest, S4_14_AFailedStepGoesBackWithWhyAndAllAfterItRunAgain) {
  TaskUnderTest run{std::string(kReview)};
  run.Begin();
  run.Complete("implement");

  IterationEnded ended = run.Of("review", IterationFinished::STATUS_FAILED);
  ended.message = "2 findings";
  ended.feedback = "line 3 is wrong";
  const Transition transition = run.Feed(ended);

  EXPECT_THAT(transition.events[2].steps_reset().steps(),
              ElementsAre("implement", "review", "ship"));
  EXPECT_EQ(transition.events[2].steps_reset().from_step(), "review");
  EXPECT_EQ(transition.events[2].steps_reset().reason(), "2 findings");
  EXPECT_THAT(NamesOf(transition.run), ElementsAre("implement"));
  EXPECT_EQ(transition.run[0].attempt, 2);
}

TEST(TaskStepsTest, S4_16_TheStepThatRunsAgainKnowsWhy) {
  TaskUnderTest run{std::string(kReview)};
  run.Begin();
  run.Complete("implement");
  IterationEnded ended = run.Of("review", IterationFinished::STATUS_FAILED);
  ended.message = "2 findings";
  ended.feedback = "line 3 is wrong";
  run.Feed(ended);

  const workflow::Values values =
      ValuesFor(run.task, run.task.data, run.task.steps, run.Step("implement"));

  EXPECT_EQ(values.variables.at("RETRY_ATTEMPT"), "1");
  EXPECT_EQ(values.variables.at("RETRY_FROM_PHASE"), "review");
  EXPECT_EQ(values.variables.at("RETRY_REASON"), "2 findings");
  EXPECT_EQ(values.variables.at("RETRY_FEEDBACK"), "line 3 is wrong");
}

TEST(TaskStepsTest, S4_17_AStepThatRunsAgainBeginsANewConversation) {
  TaskUnderTest run{std::string(kReview)};
  run.Begin();
  IterationEnded ended = run.Of("implement", IterationFinished::STATUS_COMPLETE);
  ended.session = "s1";
  run.Feed(ended);
  EXPECT_EQ(run.Step("implement").session(), "s1");

  run.Fail("review");

  EXPECT_EQ(run.Step("implement").session(), "");
  EXPECT_EQ(run.StateOf("ship"), StepStatus::STATE_PENDING);
}

TEST(TaskStepsTest, AConversationGoesOnOnlyWhereTheWorkflowSaysSo) {
  const auto session_after = [](const char* head, const char* step) {
    TaskUnderTest run(WorkflowOf(step, head));
    run.Begin();
    IterationEnded ended = run.Of("build", IterationFinished::STATUS_CONTINUE);
    ended.session = "s1";
    run.Feed(ended);
    return run.Step("build").session() + "/" + run.task.data.session();
  };
  const char* plain = "  - {name: build, " kModel "}\n";
  const char* fresh =
      "  - {name: build, llm: {prompt_file: p.md, schema_file: s.json, fresh_session: true}}\n";

  EXPECT_EQ(session_after("session: per_step\n", plain), "s1/");
  EXPECT_EQ(session_after("session: per_task\n", plain), "s1/s1");
  EXPECT_EQ(session_after("session: fresh\n", plain), "/");
  EXPECT_EQ(session_after("session: per_task\n", fresh), "/");
}

// The task goes back until it ends; how often.
int TimesBack(TaskUnderTest& run) {
  run.Begin();
  for (int i = 0; i < 20; ++i) {
    run.Complete("implement");
    if (run.Fail("review").put_away) break;
  }
  run.PutAway();
  return run.Count("back to implement");
}

TEST(TaskStepsTest, S4_15_ATaskGoesBackFiveTimesAndTwiceWhenItIsFast) {
  TaskUnderTest safe{std::string(kReview)};
  TaskUnderTest fast(std::string(kReview), v1::PROFILE_FAST);

  EXPECT_EQ(TimesBack(safe), 5);
  EXPECT_EQ(TimesBack(fast), 2);

  EXPECT_EQ(safe.End().failure_reason(), Execution::FAILURE_REASON_RETRY_LIMIT);
  EXPECT_EQ(fast.End().failure_reason(), Execution::FAILURE_REASON_RETRY_LIMIT);
}

constexpr char kLoop[] =
    "  - {name: fix, " kModel
    "}\n"
    "  - {name: check, depends_on: [fix], retry_from: fix, loop: {to_step: fix, max_loops: 4, "
    "condition: {test: {field: steps.check.output.again, op: eq, value: true}}}, " kModel "}\n";

TEST(TaskStepsTest, S4_33_AStepLoopsAsLongAsItsConditionHolds) {
  TaskUnderTest run{std::string(kLoop)};
  run.Begin();
  run.Complete("fix");

  const Transition looped = run.Complete("check", {{"again", true}});
  EXPECT_THAT(NamesOf(looped.run), ElementsAre("fix"));
  EXPECT_EQ(looped.events[2].steps_reset().reason(), "loop 1 of 4");
  run.Complete("fix");
  run.Complete("check", {{"again", false}});

  EXPECT_EQ(run.task.state, Execution::STATE_VERIFYING);
}

TEST(TaskStepsTest, S4_33_ALoopEndsAfterThreeTimesUnlessTheWorkflowSaysOtherwise) {
  TaskUnderTest run(
      "  - {name: fix, loop: {to_step: fix, condition: {test: {field: steps.fix.output.again, op: "
      "eq, value: true}}}, " kModel "}\n");
  run.Begin();

  for (int i = 0; i < 4; ++i) run.Complete("fix", {{"again", true}});
  run.PutAway();

  EXPECT_EQ(run.Count("back to fix"), 3);
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_RETRY_LIMIT);
}

TEST(TaskStepsTest, S4_15_LoopsAndFailuresCountTogether) {
  TaskUnderTest run(WorkflowOf(kLoop, "max_retries: 3\n"));
  run.Begin();
  run.Complete("fix");
  run.Complete("check", {{"again", true}});
  run.Complete("fix");
  run.Fail("check");
  run.Complete("fix");
  run.Complete("check", {{"again", true}});
  run.Complete("fix");

  EXPECT_TRUE(run.Complete("check", {{"again", true}}).put_away);
  run.PutAway();

  EXPECT_EQ(run.Count("back to fix"), 3);
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_RETRY_LIMIT);
}

TEST(TaskStepsTest, WhatRunsBesideAStepThatGoesBackIsStoppedBeforeTheWorkBeginsAgain) {
  TaskUnderTest run("  - {name: a, " kModel "}\n  - {name: slow, depends_on: [a], " kModel
                    "}\n  - {name: fails, depends_on: [a], retry_from: a, " kModel "}\n");
  run.Begin();
  run.Complete("a");

  const Transition failed = run.Fail("fails");
  EXPECT_THAT(failed.stop, ElementsAre("slow"));
  EXPECT_THAT(failed.run, IsEmpty()) << "slow still works in the workspace";
  const Transition stopped = run.Stopped("slow");
  EXPECT_THAT(NamesOf(stopped.run), ElementsAre("a"));
  EXPECT_EQ(run.StateOf("slow"), StepStatus::STATE_PENDING);

  EXPECT_THAT(NamesOf(run.Complete("a").run), ElementsAre("slow", "fails"));
  EXPECT_EQ(run.Step("slow").attempt(), 2);
}

TEST(TaskStepsTest, WhatWasAboutToBeginDoesNotBeginWhenTheTaskGoesBackAtTheSameTime) {
  TaskUnderTest run(
      "  - {name: a, " kModel "}\n  - {name: b, depends_on: [a], " kProgram
      "}\n  - {name: c, depends_on: [a], retry_from: a, gate: {kind: auto, on_reject: retry, "
      "criteria: {test: {field: steps.a.output.ok, op: eq, value: true}}}, " kModel "}\n");
  run.Begin();

  const Transition transition = run.Complete("a", {{"ok", false}});

  EXPECT_THAT(NamesOf(transition.run), ElementsAre("a"));
  EXPECT_THAT(transition.stop, IsEmpty());
}

TEST(TaskStepsTest, S4_42_ASecondReviewSeesTheFindingsOfTheFirst) {
  TaskUnderTest run{std::string(kReview)};
  run.Begin();
  run.Complete("implement");
  IterationEnded ended = run.Of("review", IterationFinished::STATUS_FAILED);
  ended.answer = {{"needs_changes", true}, {"summary", "line 3 is wrong"}};
  run.Feed(ended);
  run.Complete("implement");

  const workflow::Values values =
      ValuesFor(run.task, run.task.data, run.task.steps, run.Step("review"));

  EXPECT_EQ(values.variables.at("REVIEW_ROUND"), "2");
  EXPECT_THAT(values.variables.at("REVIEW_FINDINGS"), HasSubstr("line 3 is wrong"));
}

TEST(TaskStepsTest, S1_8_TheModelThatAStepWorksWithIsOnRecord) {
  TaskUnderTest run(
      WorkflowOf("  - {name: a, " kModel
                 "}\n  - {name: b, llm: {prompt_file: p.md, schema_file: s.json, model: strong}}\n",
                 "model: fast\n"));

  run.Begin();

  EXPECT_EQ(run.snapshot.steps(0).model(), "fast");
  EXPECT_EQ(run.snapshot.steps(1).model(), "strong");
}

// ---- budget

constexpr char kDear[] =
    "  - {name: a, llm: {prompt_file: p.md, schema_file: s.json, max_cost_microusd: 40}}\n";

// It ends so, and was billed this much.
IterationEnded Billed(const TaskUnderTest& run, const std::string& step,
                      IterationFinished::Status status, std::int64_t cost) {
  IterationEnded ended = run.Of(step, status);
  v1::UsageRecorded& usage = ended.usage.emplace_back();
  usage.set_step(step);
  usage.set_attempt(ended.attempt);
  usage.set_iteration(ended.iteration);
  usage.set_input_tokens(1);
  usage.set_cache_creation_tokens(2);
  usage.set_cache_read_tokens(4);
  usage.set_effective_input_tokens(7);
  usage.set_output_tokens(3);
  usage.set_cost_microusd(cost);
  return ended;
}

TEST(TaskStepsTest, S4_24_WhatAnIterationMayCostIsReservedAndSettledByWhatWasBilled) {
  TaskUnderTest run{std::string(kDear)};
  run.task.request.mutable_task()->set_max_cost_microusd(100);

  EXPECT_EQ(run.Begin().run[0].max_cost_microusd, 40);
  const Transition next = run.Feed(Billed(run, "a", IterationFinished::STATUS_CONTINUE, 30));

  EXPECT_EQ(run.task.data.usage().cost_microusd(), 30);
  EXPECT_EQ(next.run[0].max_cost_microusd, 40);
  EXPECT_EQ(
      run.Feed(Billed(run, "a", IterationFinished::STATUS_CONTINUE, 40)).run[0].max_cost_microusd,
      30)
      << "no more than is left";
}

TEST(TaskStepsTest, S4_24_PeopleAreWarnedOnceAtFourFifths) {
  TaskUnderTest run{std::string(kDear)};
  run.task.request.mutable_task()->set_max_cost_microusd(100);
  run.Begin();

  run.Feed(Billed(run, "a", IterationFinished::STATUS_CONTINUE, 40));
  run.Feed(Billed(run, "a", IterationFinished::STATUS_CONTINUE, 39));
  EXPECT_EQ(run.Count("budget_warning"), 0);
  run.Feed(Billed(run, "a", IterationFinished::STATUS_CONTINUE, 1));
  run.Feed(Billed(run, "a", IterationFinished::STATUS_CONTINUE, 1));

  EXPECT_EQ(run.Count("budget_warning"), 1);
}

TEST(TaskStepsTest, S4_24_WhenTheBudgetIsSpentNothingMoreBegins) {
  TaskUnderTest run{std::string(kDear)};
  run.task.request.mutable_task()->set_max_cost_microusd(50);
  run.Begin();
  run.Feed(Billed(run, "a", IterationFinished::STATUS_CONTINUE, 40));

  const Transition spent = run.Feed(Billed(run, "a", IterationFinished::STATUS_CONTINUE, 10));
  EXPECT_THAT(spent.run, IsEmpty());
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_BUDGET_EXCEEDED);
}

TEST(TaskStepsTest, WithoutABudgetNothingIsReserved) {
  TaskUnderTest run{std::string(kDear)};

  EXPECT_EQ(run.Begin().run[0].max_cost_microusd, 0);
  EXPECT_EQ(run.Count("budget_warning"), 0);
}

TEST(TaskStepsTest, AStepForWhichNothingIsLeftWaitsForWhatTheOthersReserved) {
  TaskUnderTest run("  - {name: a, " kModel "}\n  - {name: b, " kModel "}\n");
  run.task.request.mutable_task()->set_max_cost_microusd(100);

  const Transition begun = run.Begin();
  EXPECT_THAT(NamesOf(begun.run), ElementsAre("a"));
  EXPECT_EQ(begun.run[0].max_cost_microusd, 100);
  const Transition next = run.Feed(Billed(run, "a", IterationFinished::STATUS_COMPLETE, 30));

  EXPECT_THAT(NamesOf(next.run), ElementsAre("b"));
  EXPECT_EQ(next.run[0].max_cost_microusd, 70);
}

TEST(TaskStepsTest, S1_28_TotalsCountEverythingThatTheModelRead) {
  TaskUnderTest run{std::string(kDear)};
  run.Begin();

  run.Feed(Billed(run, "a", IterationFinished::STATUS_CONTINUE, 1));
  run.Feed(Billed(run, "a", IterationFinished::STATUS_COMPLETE, 2));

  EXPECT_EQ(run.task.data.usage().input_tokens(), 14);
  EXPECT_EQ(run.task.data.usage().output_tokens(), 6);
  EXPECT_EQ(run.snapshot.usage().input_tokens(), 14);
  EXPECT_EQ(run.snapshot.steps(0).usage().cost_microusd(), 3);
}

}  // namespace
}  // namespace capstan::task
