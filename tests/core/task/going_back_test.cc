// Tasks that go back to a step: after a failure, and in loops.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/situations.h"

namespace capstan::task {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kReview[] =
    "  - {name: implement, " kModel
    "}\n"
    "  - {name: review, depends_on: [implement], retry_from: implement, " kModel
    "}\n"
    "  - {name: ship, depends_on: [review], " kModel "}\n";

TEST(GoingBackTest, S4_14_AFailedStepGoesBackWithWhyAndAllAfterItRunAgain) {
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

TEST(GoingBackTest, S4_16_TheStepThatRunsAgainKnowsWhy) {
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

TEST(GoingBackTest, S4_17_AStepThatRunsAgainBeginsANewConversation) {
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

TEST(GoingBackTest, AConversationGoesOnOnlyWhereTheWorkflowSaysSo) {
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

TEST(GoingBackTest, I11_WhatNoOtherStepCanMendEndsTheTask) {
  TaskUnderTest run{std::string(kReview)};
  run.Begin();
  run.Complete("implement");
  IterationEnded full = run.Of("review", IterationFinished::STATUS_ERROR);
  full.error = "DISK_LIMIT";
  full.message = "the workspace holds 60 MiB";
  full.reason = Execution::FAILURE_REASON_RESOURCE_EXHAUSTED;
  full.fatal = true;

  EXPECT_TRUE(run.Feed(full).put_away);
  run.PutAway();

  EXPECT_EQ(run.Count("back to implement"), 0);
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_RESOURCE_EXHAUSTED);
  EXPECT_EQ(run.End().message(), "step review: the workspace holds 60 MiB");
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

TEST(GoingBackTest, S4_15_ATaskGoesBackFiveTimesAndTwiceWhenItIsFast) {
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

TEST(GoingBackTest, S4_33_AStepLoopsAsLongAsItsConditionHolds) {
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

TEST(GoingBackTest, S4_33_ALoopEndsAfterThreeTimesUnlessTheWorkflowSaysOtherwise) {
  TaskUnderTest run(
      "  - {name: fix, loop: {to_step: fix, condition: {test: {field: steps.fix.output.again, op: "
      "eq, value: true}}}, " kModel "}\n");
  run.Begin();

  for (int i = 0; i < 4; ++i) run.Complete("fix", {{"again", true}});
  run.PutAway();

  EXPECT_EQ(run.Count("back to fix"), 3);
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_RETRY_LIMIT);
}

TEST(GoingBackTest, S4_15_LoopsAndFailuresCountTogether) {
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

TEST(GoingBackTest, WhatRunsBesideAStepThatGoesBackIsStoppedBeforeTheWorkBeginsAgain) {
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

TEST(GoingBackTest, WhatWasAboutToBeginDoesNotBeginWhenTheTaskGoesBackAtTheSameTime) {
  TaskUnderTest run(
      "  - {name: a, " kModel "}\n  - {name: b, depends_on: [a], " kProgram
      "}\n  - {name: c, depends_on: [a], retry_from: a, gate: {kind: auto, on_reject: retry, "
      "criteria: {test: {field: steps.a.output.ok, op: eq, value: true}}}, " kModel "}\n");
  run.Begin();

  const Transition transition = run.Complete("a", {{"ok", false}});

  EXPECT_THAT(NamesOf(transition.run), ElementsAre("a"));
  EXPECT_THAT(transition.stop, IsEmpty());
}

TEST(GoingBackTest, S4_42_ASecondReviewSeesTheFindingsOfTheFirst) {
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

TEST(GoingBackTest, S1_8_S4_18_TheModelThatAStepWorksWithIsOnRecord) {
  TaskUnderTest run(
      WorkflowOf("  - {name: a, " kModel
                 "}\n  - {name: b, llm: {prompt_file: p.md, schema_file: s.json, model: strong}}\n",
                 "model: fast\n"));

  run.Begin();

  EXPECT_EQ(run.snapshot.steps(0).model(), "fast");
  EXPECT_EQ(run.snapshot.steps(1).model(), "strong");
}

}  // namespace
}  // namespace capstan::task
