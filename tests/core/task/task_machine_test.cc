// The task machine: from its acceptance to its end. What its steps do is in task_steps_test.cc.
#include "core/task/task_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/situations.h"

namespace capstan::task {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kStages[] = "  - {name: render, " kProgram
                           "}\n"
                           "  - {name: validate, depends_on: [render], " kProgram
                           "}\n"
                           "  - {name: deploy, depends_on: [validate], " kProgram "}\n";
constexpr char kOne[] = "  - {name: build, " kModel "}\n";
constexpr char kGated[] =
    "  - {name: build, " kModel
    "}\n"
    "  - {name: ship, depends_on: [build], gate: {kind: human}, " kModel "}\n";

// ---- stages

TEST(TaskMachineTest, S0_1_ATriggerStartsOneRun) {
  TaskUnderTest run{std::string(kStages)};

  run.Begin();

  EXPECT_THAT(run.Story(), ElementsAre("accepted", "VALIDATING", "policy_evaluated", "RUNNING",
                                       "workspace_ready", "render started 1.1"));
}

TEST(TaskMachineTest, S0_2_StagesRunInOrderAndEachWaitsForTheOneBefore) {
  TaskUnderTest run{std::string(kStages)};
  run.Begin();
  run.NewStory();

  const Transition after_render = run.Complete("render");
  const Transition after_validate = run.Complete("validate");

  EXPECT_THAT(NamesOf(after_render.run), ElementsAre("validate"));
  EXPECT_THAT(NamesOf(after_validate.run), ElementsAre("deploy"));
  EXPECT_THAT(run.NewStory(),
              ElementsAre("render ended COMPLETE", "render SUCCEEDED", "validate started 1.1",
                          "validate ended COMPLETE", "validate SUCCEEDED", "deploy started 1.1"));
}

TEST(TaskMachineTest, S0_3_AFailedStageEndsTheRunAndLaterOnesNeverRun) {
  TaskUnderTest run{std::string(kStages)};
  run.Begin();

  const Transition failed = run.Fail("render", "line 3: no such variable");
  run.PutAway();

  EXPECT_TRUE(failed.put_away);
  EXPECT_THAT(failed.run, IsEmpty());
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_STEP_FAILED);
  EXPECT_EQ(run.End().message(), "step render: line 3: no such variable");
  EXPECT_THAT(run.Story(), Not(Contains(HasSubstr("validate"))));
  EXPECT_EQ(run.StateOf("deploy"), StepStatus::STATE_PENDING);
}

TEST(TaskMachineTest, S0_4_AFailedValidationKeepsAllErrorsAndNothingIsDeployed) {
  TaskUnderTest run{std::string(kStages)};
  run.Begin();
  run.Complete("render");

  IterationEnded ended = run.Of("validate", IterationFinished::STATUS_FAILED);
  ended.message = "port: got 0";
  ended.checks.resize(2);
  ended.checks[0].set_message("port: got 0");
  ended.checks[1].set_message("host: got nothing");
  run.Feed(ended);
  run.PutAway();

  EXPECT_EQ(run.snapshot.steps(1).checks_size(), 2);
  EXPECT_THAT(run.End().message(), HasSubstr("port: got 0"));
  EXPECT_THAT(run.Story(), Not(Contains(HasSubstr("deploy"))));
}

TEST(TaskMachineTest, S0_5_TheDurationOfAStageIsOnRecord) {
  TaskUnderTest run{std::string(kStages)};
  run.Begin();

  IterationEnded ended = run.Of("render", IterationFinished::STATUS_COMPLETE);
  ended.took = absl::Milliseconds(1500);
  const Transition transition = run.Feed(ended);

  const auto& duration = transition.events.front().iteration_finished().duration();
  EXPECT_EQ(duration.seconds(), 1);
  EXPECT_EQ(duration.nanos(), 500'000'000);
}

TEST(TaskMachineTest, S0_6_ItHasSucceededOnlyWhenTheLastStageHasEndedAndItsWorkIsPutAway) {
  TaskUnderTest run{std::string(kStages)};
  run.Begin();
  run.Complete("render");
  run.Complete("validate");

  const Transition last = run.Complete("deploy");
  EXPECT_EQ(run.task.state, Execution::STATE_VERIFYING);
  EXPECT_TRUE(last.put_away);
  run.PutAway();

  EXPECT_EQ(run.task.state, Execution::STATE_SUCCEEDED);
  EXPECT_EQ(run.Count("SUCCEEDED"), 1);
  EXPECT_EQ(run.Count("FAILED(STEP_FAILED)"), 0);
  EXPECT_EQ(run.Story().back(), "SUCCEEDED");
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_APPLIED);
}

TEST(TaskMachineTest, S0_7_StagesAreOnlyNames) {
  TaskUnderTest run("  - {name: one, " kProgram
                    "}\n  - {name: two, depends_on: [one], check: {}, "
                    "checks: [{name: c, argv: [make]}]}\n");
  run.Begin();

  const Transition transition = run.Complete("one");

  EXPECT_THAT(NamesOf(transition.run), ElementsAre("two"));
}

TEST(TaskMachineTest, S0_9_EveryEventHasTheCorrelationAndItsCause) {
  TaskUnderTest run{std::string(kStages)};
  run.Begin();
  run.Complete("render");
  run.Cancel();

  for (std::size_t i = 1; i < run.events.size(); ++i) {
    EXPECT_EQ(run.events[i].correlation_id(), "c0ffee");
    EXPECT_THAT(run.events[i].causation_id(),
                ::testing::AnyOf(absl::StrCat("event/", i), "signal/1"));
  }
  EXPECT_EQ(run.Count("cancel_requested"), 1);
}

TEST(TaskMachineTest, S0_20_AFailureNamesTheStageTheKindAndTheCause) {
  TaskUnderTest run{std::string(kStages)};
  run.Begin();
  run.Complete("render");

  IterationEnded ended = run.Of("validate", IterationFinished::STATUS_ERROR);
  ended.error = "NO_ENGINE";
  ended.message = "no such program";
  ended.reason = Execution::FAILURE_REASON_CONFIGURATION;
  run.Feed(ended);
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_CONFIGURATION);
  EXPECT_EQ(run.End().message(), "step validate: no such program");
  EXPECT_EQ(run.snapshot.steps(1).state(), StepStatus::STATE_FAILED);
}

// ---- policy

TEST(TaskMachineTest, ADeniedTaskEndsAtOnceAndRunsNothing) {
  TaskUnderTest run{std::string(kOne)};
  run.Feed(Resumed{});

  const Transition denied = run.Feed(DeniedBy("tasks/none"));

  EXPECT_TRUE(denied.store_decision);
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_POLICY_DENIED);
  EXPECT_THAT(run.End().message(), HasSubstr("tasks/none: no"));
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_NONE);
}

TEST(TaskMachineTest, APolicyThatCannotBeEvaluatedDenies) {
  TaskUnderTest run{std::string(kOne)};
  run.Feed(Resumed{});

  Decided broken;
  broken.decision.set_error("undefined");
  run.Feed(broken);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_POLICY_ERROR);
}

TEST(TaskMachineTest, ADryRunEndsAfterPolicyAndRunsNothing) {
  TaskUnderTest run{std::string(kOne)};
  run.task.request.set_dry_run(true);
  run.Feed(Resumed{});

  const Transition allowed = run.Allow();

  EXPECT_FALSE(allowed.prepare);
  EXPECT_EQ(run.task.state, Execution::STATE_SUCCEEDED);
  EXPECT_TRUE(run.End().outcome().dry_run());
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_NONE);
}

TEST(TaskMachineTest, PolicyDecidesAgainEachTimeItIsTakenUpAndADenialPutsItsWorkAway) {
  TaskUnderTest run{std::string(kGated)};
  run.Begin();
  run.Complete("build");
  ASSERT_EQ(run.task.state, Execution::STATE_BLOCKED);
  const Transition approved = run.Vote("bob", true);
  EXPECT_TRUE(approved.decide);

  const Transition denied = run.Feed(DeniedBy("tasks/none"));
  EXPECT_TRUE(denied.put_away);
  EXPECT_EQ(run.task.state, Execution::STATE_VALIDATING);
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_POLICY_DENIED);
  EXPECT_EQ(run.task.data.decisions(), 2);
}

TEST(TaskMachineTest, ATransientErrorOfPolicyIsTriedAgainWithoutALease) {
  TaskUnderTest run{std::string(kOne)};
  run.Feed(Resumed{});

  const Transition failed = run.Feed(Decided{.decision = {}, .transient_error = "no facts"});

  EXPECT_EQ(run.task.state, Execution::STATE_PENDING);
  EXPECT_EQ(failed.park, absl::Seconds(2));
  EXPECT_TRUE(failed.guard_signals);
}

TEST(TaskMachineTest, BackoffDoublesFromTwoSecondsToTwoMinutes) {
  EXPECT_EQ(Backoff(1), absl::Seconds(2));
  EXPECT_EQ(Backoff(2), absl::Seconds(4));
  EXPECT_EQ(Backoff(6), absl::Seconds(64));
  EXPECT_EQ(Backoff(7), absl::Minutes(2));
  EXPECT_EQ(Backoff(1000), absl::Minutes(2));
}

// Feeds what fails until the task ends; how often it was tried.
int TriesUntilTheEnd(TaskUnderTest& run, const Input& failure, bool with_workspace) {
  for (int tries = 1; tries < 20; ++tries) {
    run.Feed(Resumed{});
    if (with_workspace) run.Allow();
    run.Feed(failure);
    if (machine::IsTerminal(run.task.state)) return tries;
    run.now += absl::Minutes(2);
  }
  return 20;
}

TEST(TaskMachineTest, ErrorsOfPolicyAreTriedAgainFiveTimes) {
  TaskUnderTest run{std::string(kOne)};

  EXPECT_EQ(TriesUntilTheEnd(run, Decided{.decision = {}, .transient_error = "no facts"}, false),
            kMaxTransientErrors + 1);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_RETRY_LIMIT);
  EXPECT_THAT(run.End().message(), HasSubstr("no facts"));
}

TEST(TaskMachineTest, ErrorsOfTheWorkspaceAreTriedAgainFiveTimesAlthoughPolicyAllowsEachTime) {
  TaskUnderTest run{std::string(kOne)};
  Prepared failed;
  failed.error = "disk is full";
  failed.transient = true;

  EXPECT_EQ(TriesUntilTheEnd(run, failed, true), kMaxTransientErrors + 1);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_RETRY_LIMIT);
  EXPECT_THAT(run.End().message(), HasSubstr("disk is full"));
}

TEST(TaskMachineTest, AWorkspaceThatCannotBeMadeEndsIt) {
  TaskUnderTest run{std::string(kOne)};
  run.Feed(Resumed{});
  run.Allow();

  Prepared refused;
  refused.error = "no such repository";
  run.Feed(refused);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_CONFIGURATION);
  EXPECT_EQ(run.End().message(), "no workspace: no such repository");
}

TEST(TaskMachineTest, ADefinitionThatIsGoneEndsIt) {
  TaskUnderTest run{std::string(kOne)};

  run.Feed(Unusable{"there is no workflow w@digest"});

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_CONFIGURATION);
}

// ---- steps taken over

TEST(TaskMachineTest, S1_27_StepsThatWereTakenOverAreNotRunAgainAndTheNamedOneIs) {
  TaskUnderTest run{std::string(kStages)};
  v1::CarriedStep& carried = *run.task.request.mutable_task()->add_carried();
  carried.set_step("render");
  carried.set_state(StepStatus::STATE_SUCCEEDED);
  carried.set_execution("executions/1");
  carried.set_answer_artifact("render/1.1/answer");

  const Transition begun = run.Begin();

  EXPECT_THAT(NamesOf(begun.run), ElementsAre("validate"));
  EXPECT_EQ(run.Count("render SUCCEEDED"), 1);
  EXPECT_EQ(run.Count("render started 1.1"), 0);
  EXPECT_EQ(run.Step("render").artifact_execution(), "executions/1");
  run.Complete("validate");
  EXPECT_EQ(run.StateOf("deploy"), StepStatus::STATE_RUNNING);
}

// ---- time

TEST(TaskMachineTest, ATaskThatTakesTooLongEnds) {
  TaskUnderTest run{std::string(kStages)};
  run.task.request.mutable_timeout()->set_seconds(3600);
  run.Begin();
  run.now += absl::Hours(1);

  run.Complete("render");
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_TIMED_OUT);
  EXPECT_EQ(run.End().message(), "the task took too long");
}

TEST(TaskMachineTest, AnIterationNeverRunsPastTheEndOfTheTask) {
  TaskUnderTest run{std::string(kStages)};
  run.task.request.mutable_timeout()->set_seconds(100);

  const Transition begun = run.Begin();

  EXPECT_EQ(begun.run[0].timeout, absl::Seconds(100));
}

// ---- putting away

TEST(TaskMachineTest, S1_4_WhatAnIterationCommittedIsOnRecordBeforeTheNextBegins) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();

  IterationEnded ended = run.Of("build", IterationFinished::STATUS_CONTINUE);
  ended.commit = "c1";
  const Transition transition = run.Feed(ended);

  EXPECT_THAT(StoryOf(transition.events),
              ElementsAre("build ended CONTINUE", "work_committed", "build started 1.2"));
  EXPECT_EQ(run.task.data.workspace().head_commit(), "c1");
}

TEST(TaskMachineTest, AnErrorWhileTheWorkIsPutAwayDoesNotChangeTheEnd) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.Complete("build");

  run.Feed(PutAway{.commit = "c1", .removed = false, .error = "permission denied"});

  EXPECT_EQ(run.task.state, Execution::STATE_SUCCEEDED);
  EXPECT_EQ(run.End().message(), "the work was left in /w/1: permission denied");
  EXPECT_EQ(run.snapshot.workspace().head_commit(), "c1") << "what was committed is on record";
}

TEST(TaskMachineTest, S4_2_WorkThatCannotGoWhereItHasToIsNoSuccess) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.Complete("build");

  run.Feed(PutAway{.error = "somebody else moved it",
                   .reason = Execution::FAILURE_REASON_PRECONDITION_FAILED});

  EXPECT_EQ(run.task.state, Execution::STATE_FAILED);
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED);
  EXPECT_EQ(run.End().message(), "the work was left in /w/1: somebody else moved it");
}

TEST(TaskMachineTest, AnErrorWhileTheWorkIsPutAwayIsAddedToTheReasonOfAFailure) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.Fail("build");

  run.Feed(PutAway{.commit = "", .removed = false, .error = "permission denied"});

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_STEP_FAILED);
  EXPECT_EQ(run.End().message(),
            "step build: not good; the work was left in /w/1: permission denied");
}

TEST(TaskMachineTest, NothingIsPutAwayWhileAStepStillRuns) {
  TaskUnderTest run{std::string(kOne)};
  run.Begin();
  run.Cancel();

  EXPECT_TRUE(run.PutAway().ignored);

  EXPECT_EQ(run.task.state, Execution::STATE_RUNNING);
}

TEST(TaskMachineTest, S4_38_EveryFailureEndsTheTaskAndItsStepsInOneTransition) {
  TaskUnderTest run("  - {name: a, " kModel "}\n  - {name: b, gate: {kind: human}, " kModel "}\n");
  run.Begin();
  ASSERT_EQ(run.StateOf("b"), StepStatus::STATE_WAITING);
  run.Fail("a");

  const Transition end = run.PutAway();

  EXPECT_THAT(StoryOf(end.events),
              ElementsAre("work_committed", "VOID", "b CANCELLED", "FAILED(STEP_FAILED)"));
}

TEST(TaskMachineTest, ATaskThatHasEndedIgnoresEverything) {
  TaskUnderTest run{std::string(kOne)};
  run.Cancel();

  EXPECT_TRUE(run.Begin().ignored);
  EXPECT_TRUE(run.Cancel().ignored);
  EXPECT_TRUE(run.Feed(Tick{}).ignored);
  EXPECT_TRUE(run.PutAway().ignored);
  EXPECT_TRUE(run.Feed(Unusable{"x"}).ignored);
}

}  // namespace
}  // namespace capstan::task
