// Triggers, and calls whose outcome is not known, in the task machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/situations.h"

namespace capstan::task {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kCreated[] =
    "triggers: [{name: audit, when: created, command: {argv: [audit], repeatable: true}}]\n";
constexpr char kSteps[] = "  - {name: a, " kProgram "}\n";

v1::TriggerRan Ran(const std::string& name, v1::TriggerRan::Result result,
                   const std::string& message = "") {
  v1::TriggerRan ran;
  ran.set_trigger(name);
  ran.set_result(result);
  ran.set_message(message);
  return ran;
}

TEST(TaskTriggerTest, S4_36_NoStepBeginsBeforeTheTriggersOfItsCreation) {
  TaskUnderTest run(WorkflowOf(kSteps, kCreated));

  const Transition begun = run.Begin();

  EXPECT_TRUE(begun.triggers);
  EXPECT_THAT(begun.run, IsEmpty());
  const Transition after =
      run.Feed(Triggered{{Ran("audit", v1::TriggerRan::RESULT_PASSED, "noted")}});
  EXPECT_THAT(NamesOf(after.run), ElementsAre("a"));
  EXPECT_FALSE(after.triggers);
  EXPECT_EQ(run.Count("trigger_ran"), 1);
}

TEST(TaskTriggerTest, S4_36_ANoEndsTheTask) {
  TaskUnderTest run(WorkflowOf(kSteps, kCreated));
  run.Begin();

  const Transition ended =
      run.Feed(Triggered{{Ran("audit", v1::TriggerRan::RESULT_REJECTED, "exit code 1: frozen")}});

  EXPECT_TRUE(ended.put_away) << "it has a workspace";
  run.PutAway();
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED);
  EXPECT_EQ(run.End().message(), "trigger audit said no: exit code 1: frozen");
  EXPECT_THAT(run.Story(), Not(Contains("a started 1.1")));
}

TEST(TaskTriggerTest, S4_36_AnErrorIsOnRecordAndNothingMore) {
  TaskUnderTest run(WorkflowOf(kSteps, kCreated));
  run.Begin();

  const Transition after =
      run.Feed(Triggered{{Ran("audit", v1::TriggerRan::RESULT_ERROR, "stopped after 30s")}});

  EXPECT_THAT(NamesOf(after.run), ElementsAre("a"));
  EXPECT_EQ(run.Count("trigger_ran"), 1);
}

TEST(TaskTriggerTest, WhoTakesItOverRunsTheTriggersThatNobodyToldOf) {
  TaskUnderTest run(WorkflowOf(kSteps, kCreated));
  run.Begin();

  EXPECT_TRUE(run.Feed(Resumed{.takeovers = 1}).triggers);
  EXPECT_TRUE(run.Feed(Resumed{.takeovers = 1, .anew = false}).triggers);
  run.Feed(Triggered{{Ran("audit", v1::TriggerRan::RESULT_PASSED)}});
  EXPECT_FALSE(run.Feed(Resumed{.takeovers = 2}).triggers);
}

TEST(TaskTriggerTest, ATaskWhoseTimeIsOverMeanwhileEnds) {
  TaskUnderTest run(WorkflowOf(kSteps, kCreated));
  const Transition begun = run.Begin();
  ASSERT_TRUE(begun.look_again.has_value());
  run.now = *begun.look_again;

  EXPECT_TRUE(run.Feed(Tick{}).put_away);
  run.Feed(Triggered{{Ran("audit", v1::TriggerRan::RESULT_ERROR, "stopped")}});
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_TIMED_OUT);
}

TEST(TaskTriggerTest, ACancelledTaskWaitsForItsTriggersToStop) {
  TaskUnderTest run(WorkflowOf(kSteps, kCreated));
  run.Begin();

  EXPECT_TRUE(run.Cancel().put_away);
  const Transition stopped =
      run.Feed(Triggered{{Ran("audit", v1::TriggerRan::RESULT_ERROR, "stopped")}});

  EXPECT_TRUE(stopped.put_away);
  EXPECT_FALSE(stopped.triggers);
  run.PutAway();
  EXPECT_EQ(run.task.state, Execution::STATE_CANCELLED);
}

TEST(TaskTriggerTest, AnEmergencyStopHoldsThemBack) {
  TaskUnderTest run(WorkflowOf(kSteps, kCreated));
  run.Feed(Resumed{});
  run.Allow();
  run.task.stopped = machine::StoppedBy{"stops/1", "fire"};

  const Transition prepared = run.Prepare();

  EXPECT_FALSE(prepared.triggers);
  EXPECT_TRUE(prepared.stopped);
}

TEST(TaskTriggerTest, AnEmergencyStopHoldsBackThoseOfItsCompletion) {
  TaskUnderTest run(WorkflowOf(kSteps,
                               "triggers: [{name: tell, when: completed, command: {argv: "
                               "[tell], repeatable: true}}]\n"));
  run.Begin();
  run.task.stopped = machine::StoppedBy{"stops/1", "fire"};

  const Transition held = run.Complete("a");

  EXPECT_FALSE(held.put_away);
  EXPECT_TRUE(held.stopped);
  EXPECT_EQ(run.task.data.block_reason(), Execution::BLOCK_REASON_STOPPED);
  run.task.stopped.reset();
  run.Feed(Resumed{});
  const Transition lifted = run.Allow();
  EXPECT_TRUE(lifted.triggers);
  EXPECT_TRUE(lifted.put_away);
  run.PutAway();
  EXPECT_EQ(run.task.state, Execution::STATE_SUCCEEDED);
}

TEST(TaskTriggerTest, S4_36_TriggersOfAStepAndOfTheEndAreOnRecord) {
  TaskUnderTest run(kSteps);
  run.Begin();
  IterationEnded ended = run.Of("a", IterationFinished::STATUS_COMPLETE);
  ended.triggers = {Ran("before", v1::TriggerRan::RESULT_PASSED)};
  run.Feed(ended);
  task::PutAway put{.commit = "c1"};
  put.triggers = {Ran("after", v1::TriggerRan::RESULT_REJECTED, "no")};
  run.Feed(put);

  EXPECT_EQ(run.task.state, Execution::STATE_SUCCEEDED) << "nobody can say no any more";
  EXPECT_EQ(run.Count("trigger_ran"), 2);
}

IterationEnded Unknown(const TaskUnderTest& run) {
  IterationEnded ended = run.Of("a", IterationFinished::STATUS_ERROR);
  ended.error = "OUTCOME_UNKNOWN";
  ended.reason = Execution::FAILURE_REASON_OUTCOME_UNKNOWN;
  ended.message = "POST https://api.internal:443: connection lost";
  return ended;
}

TEST(TaskTriggerTest, S4_35_ACallWithoutAKnownOutcomeIsNotGoneBackTo) {
  TaskUnderTest run(
      "  - {name: a, retry_from: a, http: {method: POST, url: \"https://api.internal/\"}}\n");
  run.Begin();

  run.Feed(Unknown(run));
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN);
  EXPECT_THAT(run.End().message(), HasSubstr("step a: POST https://api.internal:443"));
  EXPECT_EQ(run.Count("a started 1.1"), 1);
  EXPECT_THAT(run.Story(), Not(Contains("back to a")));
}

TEST(TaskTriggerTest, S4_35_WhatIsLostWithAWorkerIsSentAgainOnlyWhereItMayBe) {
  TaskUnderTest write("  - {name: a, http: {method: POST, url: \"https://api.internal/\"}}\n");
  TaskUnderTest read("  - {name: a, http: {method: GET, url: \"https://api.internal/\"}}\n");
  write.Begin();
  read.Begin();

  const Transition lost = write.Feed(Resumed{.takeovers = 1});
  const Transition again = read.Feed(Resumed{.takeovers = 1});

  EXPECT_THAT(lost.run, IsEmpty());
  EXPECT_EQ(write.task.data.ending().reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN);
  ASSERT_EQ(again.run.size(), 1u);
  EXPECT_EQ(again.run[0].attempt, 2);
}

}  // namespace
}  // namespace capstan::task
