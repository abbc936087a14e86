// Steps that submit an execution of their own: what the task waits for, and what follows from how
// it ended.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/situations.h"

namespace capstan::task {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kChild[] = "executions/c1";
constexpr char kOne[] = "- {name: scale, " kAction "}\n";
constexpr char kTwo[] = "- {name: build, " kProgram
                        "}\n"
                        "- {name: scale, depends_on: [build], retry_from: build, " kAction "}\n";

// Its step has submitted an execution, and nothing else is to be done.
void SubmitAndWait(TaskUnderTest& run) {
  run.Begin();
  const Transition transition = run.Submit("scale", kChild);
  ASSERT_TRUE(transition.store_child);
  ASSERT_TRUE(transition.park.has_value());
  run.NewStory();
}

std::vector<std::string> ToldToEnd(const Transition& transition) {
  std::vector<std::string> names;
  for (const ChildCancel& cancel : transition.cancel_children) names.push_back(cancel.child);
  return names;
}

TEST(ChildrenTest, AStepSubmitsAnExecutionAndTheTaskWaitsForItWithoutAWorker) {
  TaskUnderTest run(kOne);
  run.Begin();
  run.NewStory();

  const Transition transition = run.Submit("scale", kChild);

  EXPECT_TRUE(transition.store_child);
  EXPECT_TRUE(transition.guard_signals) << "its end, or a cancel, could be missed";
  EXPECT_EQ(transition.park, kStepTimeout);
  EXPECT_THAT(run.NewStory(), ElementsAre("child_submitted", "BLOCKED(CHILD)"));
  EXPECT_EQ(run.snapshot.steps(0).child(), kChild);
  EXPECT_EQ(run.snapshot.block_reason(), Execution::BLOCK_REASON_CHILD);
  EXPECT_THAT(run.snapshot.message(), HasSubstr("executions/c1 of step scale"));
}

TEST(ChildrenTest, ItsEndIsTheAnswerOfTheStepOncePolicyHasLetTheTaskGoOn) {
  TaskUnderTest run(kOne);
  SubmitAndWait(run);

  const Transition noted = run.ChildEnds(kChild, Execution::STATE_SUCCEEDED);

  ASSERT_THAT(noted.answers, SizeIs(1));
  EXPECT_EQ(noted.answers[0].artifact, "scale/1.1/answer");
  EXPECT_EQ(run.task.steps["scale"]["output"]["execution"], kChild);
  EXPECT_EQ(run.task.steps["scale"]["output"]["state"], "SUCCEEDED");
  EXPECT_EQ(run.task.steps["scale"]["output"]["effect"], "APPLIED");
  EXPECT_TRUE(noted.decide) << "policy is asked again, as after every wait";
  EXPECT_THAT(run.NewStory(),
              ElementsAre("scale ended COMPLETE", "artifact_stored", "PENDING", "VALIDATING"));
  run.Allow();
  EXPECT_THAT(run.NewStory(),
              ElementsAre("policy_evaluated", "RUNNING", "scale SUCCEEDED", "VERIFYING"));
  run.PutAway();
  EXPECT_EQ(run.task.state, Execution::STATE_SUCCEEDED);
}

TEST(ChildrenTest, AFailedOneFailsTheStepWithItsWordsAndSendsTheTaskBack) {
  TaskUnderTest run(kTwo);
  run.Begin();
  run.Complete("build");
  run.Submit("scale", kChild);

  run.ChildEnds(kChild, Execution::STATE_FAILED, Execution::FAILURE_REASON_POLICY_DENIED,
                "not on a Friday");
  const Transition again = run.Allow();

  EXPECT_THAT(NamesOf(again.run), ElementsAre("build"));
  EXPECT_THAT(run.Step("build").retry_reason(),
              HasSubstr("executions/c1 FAILED(POLICY_DENIED): not on a Friday"));
  run.Complete("build");
  const Transition second = run.Submit("scale", "executions/c2");
  EXPECT_TRUE(second.store_child) << "each round has an execution of its own";
  EXPECT_EQ(run.Step("scale").attempt(), 2);
}

TEST(ChildrenTest, WhatNobodyKnowsOfEndsTheTaskAndIsNotTriedAgain) {
  TaskUnderTest run(kTwo);
  run.Begin();
  run.Complete("build");
  run.Submit("scale", kChild);

  run.ChildEnds(kChild, Execution::STATE_FAILED, Execution::FAILURE_REASON_OUTCOME_UNKNOWN, "gone");
  run.Allow();
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN);
  EXPECT_THAT(run.End().message(), HasSubstr("step scale: executions/c1"));
  EXPECT_EQ(run.Count("back to build"), 0);
}

TEST(ChildrenTest, WhatNobodyKnowsOfComesBeforeWhatSendsTheTaskBack) {
  TaskUnderTest run("- {name: first, retry_from: first, " kAction
                    "}\n"
                    "- {name: second, " kAction "}\n");
  run.Begin();
  run.Submit("first", "executions/c1");
  run.Submit("second", "executions/c2");
  Signalled both;
  both.child_ends.push_back(run.EndOf("executions/c1", Execution::STATE_FAILED,
                                      Execution::FAILURE_REASON_JOB_FAILED, "no"));
  both.child_ends.push_back(run.EndOf("executions/c2", Execution::STATE_FAILED,
                                      Execution::FAILURE_REASON_OUTCOME_UNKNOWN, "gone"));

  run.Feed(both);
  run.Allow();
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN);
}

TEST(ChildrenTest, CancellingTheTaskCancelsTheChildAndTheTaskEndsAfterIt) {
  TaskUnderTest run(kOne);
  SubmitAndWait(run);

  const Transition cancelled = run.Cancel();

  EXPECT_THAT(ToldToEnd(cancelled), ElementsAre(kChild));
  EXPECT_TRUE(cancelled.park.has_value()) << "it waits without a worker";
  EXPECT_FALSE(cancelled.put_away);
  EXPECT_THAT(run.Cancel().cancel_children, IsEmpty()) << "once is enough";
  const Transition ended = run.ChildEnds(kChild, Execution::STATE_CANCELLED);
  EXPECT_TRUE(ended.put_away);
  run.PutAway();
  EXPECT_EQ(run.task.state, Execution::STATE_CANCELLED);
  EXPECT_EQ(run.StateOf("scale"), StepStatus::STATE_CANCELLED);
}

TEST(ChildrenTest, AChildThatSucceedsAlthoughItWasCancelledIsOnRecordAsThat) {
  TaskUnderTest run(kOne);
  SubmitAndWait(run);
  run.Cancel();

  run.ChildEnds(kChild, Execution::STATE_SUCCEEDED);
  run.PutAway();

  EXPECT_EQ(run.task.state, Execution::STATE_CANCELLED);
  EXPECT_EQ(run.StateOf("scale"), StepStatus::STATE_SUCCEEDED);
}

TEST(ChildrenTest, ACancelThatComesBeforeTheSubmissionIsStoredSubmitsNothing) {
  TaskUnderTest run(kOne);
  run.Begin();
  run.Cancel();

  const Transition late = run.Submit("scale", kChild);

  EXPECT_FALSE(late.store_child);
  EXPECT_TRUE(late.put_away);
  EXPECT_EQ(run.StateOf("scale"), StepStatus::STATE_CANCELLED);
}

TEST(ChildrenTest, AFailureElsewhereCancelsTheChildAndWaitsForIt) {
  TaskUnderTest run("- {name: scale, " kAction "}\n- {name: build, " kProgram "}\n");
  run.Begin();
  run.Submit("scale", kChild);
  EXPECT_EQ(run.task.state, Execution::STATE_RUNNING) << "the program runs";
  run.NewStory();

  const Transition failed = run.Fail("build");

  EXPECT_THAT(ToldToEnd(failed), ElementsAre(kChild));
  EXPECT_THAT(run.NewStory(), ElementsAre("build ended FAILED", "build FAILED", "end_decided",
                                          "child_cancelled", "BLOCKED(CHILD)"));
  run.ChildEnds(kChild, Execution::STATE_CANCELLED);
  run.PutAway();
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_STEP_FAILED);
}

TEST(ChildrenTest, GoingBackCancelsTheChildAndNothingOfItRunsBeforeThatHasEnded) {
  TaskUnderTest run("- {name: plan, " kProgram
                    "}\n"
                    "- {name: scale, depends_on: [plan], " kAction
                    "}\n"
                    "- {name: build, depends_on: [plan], retry_from: plan, " kProgram "}\n");
  run.Begin();
  run.Complete("plan");
  run.Submit("scale", kChild);

  const Transition back = run.Fail("build");

  EXPECT_THAT(ToldToEnd(back), ElementsAre(kChild));
  EXPECT_THAT(back.run, IsEmpty());
  EXPECT_EQ(run.task.state, Execution::STATE_BLOCKED);
  run.ChildEnds(kChild, Execution::STATE_CANCELLED);
  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("plan"));
}

TEST(ChildrenTest, S1_5_AStepWhoseTimeIsUpCancelsItsChildAndFailsWhenThatHasEnded) {
  TaskUnderTest run("- {name: scale, timeout: 10m, " kAction "}\n");
  run.Begin();
  const Transition waits = run.Submit("scale", kChild);
  EXPECT_EQ(waits.park, absl::Minutes(10)) << "it is its own time";

  run.now += absl::Minutes(10);
  run.Feed(Resumed{});
  const Transition up = run.Allow();

  EXPECT_THAT(ToldToEnd(up), ElementsAre(kChild));
  EXPECT_TRUE(up.park.has_value());
  run.ChildEnds(kChild, Execution::STATE_CANCELLED);
  run.Allow();
  run.PutAway();
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_TIMED_OUT);
}

TEST(ChildrenTest, AChildThatSucceededJustInTimeIsASuccess) {
  TaskUnderTest run("- {name: scale, timeout: 10m, " kAction "}\n");
  run.Begin();
  run.Submit("scale", kChild);
  run.now += absl::Minutes(10);
  run.Feed(Resumed{});
  run.Allow();

  run.ChildEnds(kChild, Execution::STATE_SUCCEEDED);
  run.Allow();

  EXPECT_EQ(run.StateOf("scale"), StepStatus::STATE_SUCCEEDED);
}

TEST(ChildrenTest, PausingLetsTheChildRunOnAndItsEndIsTakenNoteOf) {
  TaskUnderTest run("- {name: scale, " kAction
                    "}\n"
                    "- {name: build, depends_on: [scale], " kProgram "}\n");
  run.Begin();
  run.Pause();
  run.Submit("scale", kChild);
  EXPECT_EQ(run.snapshot.block_reason(), Execution::BLOCK_REASON_PAUSED);

  const Transition ended = run.ChildEnds(kChild, Execution::STATE_SUCCEEDED);

  EXPECT_THAT(ended.cancel_children, IsEmpty());
  EXPECT_TRUE(ended.park.has_value()) << "it is still paused";
  run.Unpause();
  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("build"));
}

TEST(ChildrenTest, AChildThatEndsWhileAGateIsOpenLetsTheOthersGoOn) {
  TaskUnderTest run("- {name: scale, " kAction
                    "}\n"
                    "- {name: asked, gate: {kind: human}, " kProgram
                    "}\n"
                    "- {name: build, depends_on: [scale], " kProgram "}\n");
  run.Begin();
  run.Submit("scale", kChild);
  EXPECT_EQ(run.snapshot.block_reason(), Execution::BLOCK_REASON_APPROVAL);

  run.ChildEnds(kChild, Execution::STATE_SUCCEEDED);

  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("build"));
  EXPECT_EQ(run.StateOf("asked"), StepStatus::STATE_WAITING);
}

TEST(ChildrenTest, S1_31_AWorkerThatIsLostBeforeTheSubmissionIsStoredHasSubmittedNothing) {
  TaskUnderTest run(kOne);
  run.Begin();

  const Transition again = run.Feed(Resumed{.takeovers = 1, .alone = true});

  EXPECT_THAT(NamesOf(again.run), ElementsAre("scale"));
  EXPECT_EQ(run.Step("scale").attempt(), 2);
  IterationEnded late = run.Of("scale", IterationFinished::STATUS_UNSPECIFIED);
  late.attempt = 1;
  late.child = "executions/late";
  EXPECT_TRUE(run.Feed(late).ignored);
}

TEST(ChildrenTest, S1_31_AWorkerThatIsLostAfterItLeavesTheChildAlone) {
  TaskUnderTest run("- {name: scale, " kAction "}\n- {name: build, " kRepeatable "}\n");
  run.Begin();
  run.Submit("scale", kChild);

  const Transition again = run.Feed(Resumed{.takeovers = 1, .alone = true});

  EXPECT_THAT(NamesOf(again.run), ElementsAre("build"));
  EXPECT_THAT(again.cancel_children, IsEmpty());
  EXPECT_EQ(run.Step("scale").attempt(), 1);
}

TEST(ChildrenTest, ATaskThatNobodyCanWorkOnEndsAndCancelsItsChild) {
  TaskUnderTest run(kOne);
  SubmitAndWait(run);

  const Transition end = run.Feed(Unusable{"its definition is gone"});

  EXPECT_EQ(run.task.state, Execution::STATE_FAILED);
  EXPECT_THAT(ToldToEnd(end), ElementsAre(kChild));
}

TEST(ChildrenTest, ALoopSubmitsAgain) {
  TaskUnderTest run("- {name: scale, " kAction
                    ", loop: {to_step: scale, max_loops: 1, condition: {test: {field: "
                    "steps.scale.output.state, op: eq, value: SUCCEEDED}}}}\n");
  SubmitAndWait(run);
  run.ChildEnds(kChild, Execution::STATE_SUCCEEDED);

  EXPECT_THAT(NamesOf(run.Allow().run), ElementsAre("scale"));

  run.Submit("scale", "executions/c2");
  EXPECT_EQ(run.snapshot.steps(0).child(), "executions/c2");
}

TEST(ChildrenTest, TheEndOfAnExecutionThatNoStepWaitsForChangesNothing) {
  TaskUnderTest run(kOne);
  SubmitAndWait(run);

  const Transition other = run.ChildEnds("executions/other", Execution::STATE_SUCCEEDED);

  EXPECT_FALSE(other.ignored) << "the signal is read";
  EXPECT_TRUE(other.park.has_value());
  EXPECT_EQ(run.StateOf("scale"), StepStatus::STATE_RUNNING);
}

}  // namespace
}  // namespace capstan::task
