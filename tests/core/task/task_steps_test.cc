// What follows from where the steps of a task stand: order, iterations, budget.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/situations.h"

namespace capstan::task {
namespace {

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
  const Transition begun = given.Begin();
  EXPECT_EQ(begun.run[0].timeout, absl::Minutes(15));
  EXPECT_EQ(begun.run[0].left, absl::Minutes(20)) << "with its checks";
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
