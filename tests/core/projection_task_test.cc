// What a task looks like after its first events. The walk in tests/core/task/random_walk_test.cc
// shows that it never says other than the machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "core/projection.h"

namespace capstan {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using v1::Execution;
using v1::StepStatus;

// Events numbered from 1, a second apart; event 1 is of a task with steps spec and build.
class TaskHistory {
 public:
  TaskHistory() {
    v1::Accepted& accepted = *Add().mutable_accepted();
    v1::TaskRequest& task = *accepted.mutable_task();
    task.set_workflow("small");
    task.set_workflow_digest("digest");
    task.set_max_cost_microusd(100);
    task.mutable_description()->set_title("Add a button");
    task.add_steps("spec");
    task.add_steps("build");
  }
  v1::ExecutionEvent& Add() {
    v1::ExecutionEvent& event = events_.emplace_back();
    event.set_execution("executions/e");
    event.set_seq(static_cast<std::int64_t>(events_.size()));
    event.mutable_time()->set_seconds(1000 + event.seq());
    return event;
  }
  TaskHistory& Started(const std::string& step, int attempt, int iteration,
                       const std::string& model = "") {
    v1::StepStarted& started = *Add().mutable_step_started();
    started.set_step(step);
    started.set_attempt(attempt);
    started.set_iteration(iteration);
    started.set_model(model);
    return *this;
  }
  TaskHistory& Iterated(const std::string& step, int iteration, const std::string& message = "",
                        int checks = 0) {
    v1::IterationFinished& finished = *Add().mutable_iteration_finished();
    finished.set_step(step);
    finished.set_iteration(iteration);
    finished.set_message(message);
    for (int i = 0; i < checks; ++i) finished.add_checks()->set_name("c");
    return *this;
  }
  TaskHistory& Finished(const std::string& step, StepStatus::State state,
                        const std::string& message = "") {
    v1::StepFinished& finished = *Add().mutable_step_finished();
    finished.set_step(step);
    finished.set_state(state);
    finished.set_message(message);
    return *this;
  }
  TaskHistory& Asked(const std::string& step, bool question) {
    v1::ApprovalRequested& requested = *Add().mutable_approval_requested();
    requested.set_number(1);
    requested.set_step(step);
    requested.set_question(question);
    requested.mutable_rule()->set_reason("which database?");
    return *this;
  }
  TaskHistory& AskedBeside(const std::string& step) {
    Asked(step, false);
    events_.back().mutable_approval_requested()->set_beside(true);
    return *this;
  }
  TaskHistory& Decided(const std::string& step, bool passed, const std::string& action) {
    v1::GateDecided& decided = *Add().mutable_gate_decided();
    decided.set_step(step);
    decided.set_passed(passed);
    decided.set_action(action);
    return *this;
  }
  TaskHistory& Ended(v1::ApprovalSummary::State state) {
    v1::ApprovalEnded& ended = *Add().mutable_approval_ended();
    ended.set_number(1);
    ended.set_state(state);
    return *this;
  }
  TaskHistory& Billed(const std::string& step, std::int64_t cost, bool upper_bound = false) {
    v1::UsageRecorded& usage = *Add().mutable_usage_recorded();
    usage.set_step(step);
    usage.set_input_tokens(1);
    usage.set_effective_input_tokens(7);
    usage.set_output_tokens(3);
    usage.set_cost_microusd(cost);
    usage.set_is_upper_bound(upper_bound);
    return *this;
  }
  TaskHistory& Committed(const std::string& commit) {
    Add().mutable_work_committed()->set_commit(commit);
    return *this;
  }
  Execution Snapshot() const { return Project(events_); }
  const std::vector<v1::ExecutionEvent>& events() const { return events_; }

 private:
  std::vector<v1::ExecutionEvent> events_;
};

TEST(TaskProjectionTest, AnAcceptedTaskShowsItsWorkflowAndAllItsSteps) {
  const Execution task = TaskHistory().Snapshot();

  EXPECT_EQ(task.workflow(), "small");
  EXPECT_EQ(task.workflow_digest(), "digest");
  EXPECT_EQ(task.task().title(), "Add a button");
  EXPECT_EQ(task.max_cost_microusd(), 100);
  ASSERT_THAT(task.steps(), SizeIs(2));
  EXPECT_EQ(task.steps(0).name(), "spec");
  EXPECT_EQ(task.steps(1).state(), StepStatus::STATE_PENDING);
}

TEST(TaskProjectionTest, ARunningStepShowsItsAttemptItsIterationAndItsModel) {
  const Execution task = TaskHistory().Started("spec", 1, 1, "strong").Snapshot();

  EXPECT_EQ(task.steps(0).state(), StepStatus::STATE_RUNNING);
  EXPECT_EQ(task.steps(0).attempt(), 1);
  EXPECT_EQ(task.steps(0).iteration(), 1);
  EXPECT_EQ(task.steps(0).model(), "strong");
  EXPECT_EQ(task.steps(0).start_time().seconds(), 1002);
  EXPECT_EQ(task.steps(1).state(), StepStatus::STATE_PENDING);
}

TEST(TaskProjectionTest, TheNextIterationDoesNotMoveTheBeginningAndANewAttemptDoes) {
  TaskHistory history;
  history.Started("spec", 1, 1).Iterated("spec", 1).Started("spec", 1, 2);
  EXPECT_EQ(history.Snapshot().steps(0).start_time().seconds(), 1002);
  EXPECT_EQ(history.Snapshot().steps(0).iteration(), 2);

  history.Started("spec", 2, 2);

  EXPECT_EQ(history.Snapshot().steps(0).start_time().seconds(), 1005);
  EXPECT_EQ(history.Snapshot().steps(0).attempt(), 2);
}

TEST(TaskProjectionTest, AStepThatEndedShowsHowAndWhen) {
  const Execution task = TaskHistory()
                             .Started("spec", 1, 1)
                             .Finished("spec", StepStatus::STATE_SUCCEEDED, "written")
                             .Finished("build", StepStatus::STATE_SKIPPED)
                             .Snapshot();

  EXPECT_EQ(task.steps(0).state(), StepStatus::STATE_SUCCEEDED);
  EXPECT_EQ(task.steps(0).message(), "written");
  EXPECT_EQ(task.steps(0).end_time().seconds(), 1003);
  EXPECT_EQ(task.steps(1).state(), StepStatus::STATE_SKIPPED);
}

TEST(TaskProjectionTest, TheLastResultOfItsChecksStays) {
  const Execution task = TaskHistory()
                             .Started("spec", 1, 1)
                             .Iterated("spec", 1, "no", 2)
                             .Iterated("spec", 2)
                             .Snapshot();

  EXPECT_THAT(task.steps(0).checks(), SizeIs(2));
}

TEST(TaskProjectionTest, StepsThatRunAgainBeginAgainAndKeepWhatTheyCost) {
  TaskHistory history;
  history.Started("spec", 1, 1).Billed("spec", 5).Finished("spec", StepStatus::STATE_SUCCEEDED);
  history.Started("build", 1, 3).Finished("build", StepStatus::STATE_FAILED, "wrong");
  v1::StepsReset& reset = *history.Add().mutable_steps_reset();
  reset.set_to_step("spec");
  reset.set_retry(1);
  reset.add_steps("spec");
  reset.add_steps("build");
  reset.add_steps("of another definition");

  const Execution task = history.Snapshot();

  EXPECT_EQ(task.steps(0).retries(), 1);
  EXPECT_EQ(task.steps(0).usage().cost_microusd(), 5);
  EXPECT_EQ(task.steps(1).retries(), 0);
  EXPECT_EQ(task.steps(1).state(), StepStatus::STATE_PENDING);
  EXPECT_EQ(task.steps(1).iteration(), 0);
  EXPECT_EQ(task.steps(1).message(), "");
  EXPECT_FALSE(task.steps(1).has_start_time());
  EXPECT_FALSE(task.steps(1).has_end_time());
}

TEST(TaskProjectionTest, S1_28_WhatWasBilledIsTheSumOverAllSteps) {
  const Execution task =
      TaskHistory().Billed("spec", 5).Billed("build", 7).Billed("spec", 1, true).Snapshot();

  EXPECT_EQ(task.usage().cost_microusd(), 13);
  EXPECT_EQ(task.usage().input_tokens(), 21) << "all that was read, cached or not";
  EXPECT_EQ(task.usage().output_tokens(), 9);
  EXPECT_TRUE(task.usage().is_upper_bound());
  EXPECT_EQ(task.steps(0).usage().cost_microusd(), 6);
  EXPECT_FALSE(task.steps(1).usage().is_upper_bound());
}

TEST(TaskProjectionTest, AStepWaitsWhileItsGateIsOpenAndItsTurnComesAfterwards) {
  TaskHistory history;
  history.Asked("build", false);
  EXPECT_EQ(history.Snapshot().steps(1).state(), StepStatus::STATE_WAITING);
  EXPECT_EQ(history.Snapshot().steps(1).message(), "which database?");
  EXPECT_EQ(history.Snapshot().approval().step(), "build");

  history.Ended(v1::ApprovalSummary::STATE_APPROVED);

  EXPECT_EQ(history.Snapshot().steps(1).state(), StepStatus::STATE_PENDING);
}

TEST(TaskProjectionTest, AStepThatAskedGoesOnWhenItIsAnswered) {
  TaskHistory history;
  history.Started("spec", 1, 1).Asked("spec", true);
  EXPECT_EQ(history.Snapshot().steps(0).state(), StepStatus::STATE_WAITING);
  EXPECT_TRUE(history.Snapshot().approval().question());

  history.Ended(v1::ApprovalSummary::STATE_APPROVED);

  EXPECT_EQ(history.Snapshot().steps(0).state(), StepStatus::STATE_RUNNING);
}

TEST(TaskProjectionTest, S4_29_WhatDecidesAGateShowsAndTheStepStandsWhereItStood) {
  TaskHistory history;
  history.Started("build", 1, 0, "fast");
  EXPECT_EQ(history.Snapshot().steps(1).state(), StepStatus::STATE_PENDING);
  EXPECT_EQ(history.Snapshot().steps(1).attempt(), 0);
  EXPECT_EQ(history.Snapshot().steps(1).gate(), "a model (fast)");

  history.Decided("build", false, "run_script").Started("build", 2, 0);
  EXPECT_EQ(history.Snapshot().steps(1).gate(), "its script");
  history.Decided("build", true, "continue");

  EXPECT_EQ(history.Snapshot().steps(1).gate(), "");
}

TEST(TaskProjectionTest, S4_29_AStepGoesOnWhilePeopleAreAskedBesideIt) {
  TaskHistory history;
  history.Started("build", 1, 1).AskedBeside("build");
  EXPECT_EQ(history.Snapshot().steps(1).state(), StepStatus::STATE_RUNNING);
  EXPECT_EQ(history.Snapshot().steps(1).gate(), "people");

  history.Ended(v1::ApprovalSummary::STATE_APPROVED).Decided("build", true, "continue");

  EXPECT_EQ(history.Snapshot().steps(1).state(), StepStatus::STATE_RUNNING);
  EXPECT_EQ(history.Snapshot().steps(1).gate(), "");
}

TEST(TaskProjectionTest, TheWorkspaceShowsTheLastCommit) {
  TaskHistory history;
  v1::Workspace& workspace = *history.Add().mutable_workspace_ready()->mutable_workspace();
  workspace.set_path("/w/1");
  workspace.set_branch("capstan/1");

  const Execution task = history.Committed("c1").Committed("c2").Committed("").Snapshot();

  EXPECT_EQ(task.workspace().path(), "/w/1");
  EXPECT_EQ(task.workspace().head_commit(), "c2") << "an end without work changes nothing";
}

TEST(TaskProjectionTest, EventsOfStepsAndStatesThatNobodyKnowsOnlyMoveTheNumber) {
  const Execution task = TaskHistory()
                             .Started("unknown", 1, 1)
                             .Finished("spec", static_cast<StepStatus::State>(99))
                             .Billed("unknown", 5)
                             .Snapshot();

  EXPECT_EQ(task.seq(), 4);
  EXPECT_EQ(task.steps(0).state(), StepStatus::STATE_PENDING);
  EXPECT_EQ(task.usage().cost_microusd(), 5) << "it was billed all the same";
}

TEST(TaskProjectionTest, S0_8_WhoeverReadsTheEventsKnowsEveryStageAndChangesNothing) {
  TaskHistory history;
  history.Started("spec", 1, 1)
      .Finished("spec", StepStatus::STATE_SUCCEEDED)
      .Started("build", 1, 1);
  const std::vector<v1::ExecutionEvent> before = history.events();

  Execution observed;
  for (const v1::ExecutionEvent& event : history.events()) Apply(event, observed);

  EXPECT_EQ(observed.SerializeAsString(), history.Snapshot().SerializeAsString());
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_EQ(history.events()[i].SerializeAsString(), before[i].SerializeAsString());
}

TEST(TaskProjectionTest, S0_10_ASnapshotHoldsCopiesOfWhatEventsSay) {
  std::vector<v1::ExecutionEvent> events =
      TaskHistory().Started("spec", 1, 1).Iterated("spec", 1, "ok", 1).events();
  const Execution task = Project(events);

  events[2].mutable_iteration_finished()->clear_checks();
  events[0].mutable_accepted()->mutable_task()->mutable_description()->set_title("other");

  EXPECT_THAT(task.steps(0).checks(), SizeIs(1));
  EXPECT_EQ(task.task().title(), "Add a button");
}

TEST(TaskProjectionTest, AnActionHasNoSteps) {
  v1::ExecutionEvent event;
  event.mutable_accepted()->set_action("ScaleDeployment");

  EXPECT_THAT(Project({&event, 1}).steps(), IsEmpty());
}

}  // namespace
}  // namespace capstan
