// What the parts of a task mean for one another: judged gates and budgets of projects, actions and
// triggers and gates.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/task/task_budget.h"
#include "core/task/task_builder.h"
#include "tests/core/task/situations.h"

namespace capstan::task {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kMonth[] = "2027-01";
constexpr char kJudged[] =
    "  - {name: ship, gate: {kind: model, judge: {prompt: \"Is it good?\", "
    "max_cost_microusd: 30}}, " kProgram "}\n";
constexpr char kJudgedAction[] =
    "  - {name: ship, gate: {kind: model, judge: {prompt: \"Is it good?\"}}, " kAction "}\n";

void Charge(TaskUnderTest& run, std::int64_t limit, std::int64_t spent, std::int64_t reserved) {
  run.task.request.mutable_task()->set_project("shop");
  run.task.project = ProjectStanding{kMonth, limit, spent, reserved};
}

std::vector<ProjectMonth> MonthsOf(const TaskUnderTest& run, const Input& input) {
  const Transition transition = Next(run.task, input, run.now);
  return ProjectMonths(run.task, transition.data, transition.events,
                       machine::IsTerminal(transition.state));
}

IterationEnded Billed(const TaskUnderTest& run, IterationFinished::Status status,
                      std::int64_t cost) {
  IterationEnded ended = run.OfGate("ship", status);
  v1::UsageRecorded& usage = ended.usage.emplace_back();
  usage.set_step("ship");
  usage.set_attempt(ended.attempt);
  usage.set_cost_microusd(cost);
  return ended;
}

TEST(TogetherTest, S4_24_AJudgementIsReservedOfTheProjectAndSettled) {
  TaskUnderTest run{std::string(kJudged)};
  Charge(run, 100, 80, 0);
  ASSERT_EQ(run.Begin().run[0].max_cost_microusd, 20) << "what is left";
  Charge(run, 100, 80, 20);

  const auto months = MonthsOf(run, Billed(run, IterationFinished::STATUS_COMPLETE, 7));

  ASSERT_EQ(months.size(), 1u);
  EXPECT_EQ(months[0].month, kMonth);
  EXPECT_EQ(months[0].reserved_before, 20);
  EXPECT_EQ(months[0].reserved, 0);
  EXPECT_EQ(months[0].billed, 7);
}

TEST(TogetherTest, S4_24_AJudgementWaitsForTheProjectsBudget) {
  TaskUnderTest run{std::string(kJudged)};
  Charge(run, 100, 100, 0);

  const Transition waits = run.Begin();

  EXPECT_THAT(waits.run, IsEmpty());
  EXPECT_FALSE(waits.prepare) << "no workspace for what cannot be paid";
  EXPECT_EQ(waits.data.block_reason(), Execution::BLOCK_REASON_BUDGET);
  Charge(run, 200, 100, 0);
  EXPECT_EQ(run.Begin().run[0].max_cost_microusd, 30);
}

TEST(TogetherTest, S4_24_AJudgementThatTheProjectCutShortIsDoneAgainWhenThereIsMore) {
  TaskUnderTest run{std::string(kJudged)};
  Charge(run, 100, 80, 0);
  run.Begin();
  Charge(run, 100, 80, 20);
  IterationEnded short_of = Billed(run, IterationFinished::STATUS_ERROR, 5);
  short_of.reason = Execution::FAILURE_REASON_BUDGET_EXCEEDED;

  const Transition waits = run.Feed(short_of);

  EXPECT_EQ(waits.data.block_reason(), Execution::BLOCK_REASON_BUDGET);
  EXPECT_EQ(waits.data.project().needs_microusd(), 20);
  Charge(run, 200, 85, 0);
  EXPECT_EQ(run.Begin().run[0].max_cost_microusd, 30);
}

TEST(TogetherTest, I7_AJudgementWhoseWorkerIsLostIsChargedToItsMonth) {
  TaskUnderTest run{std::string(kJudged)};
  Charge(run, 100, 0, 0);
  run.Begin();
  Charge(run, 100, 0, 30);

  const auto months = MonthsOf(run, Resumed{.takeovers = 1});

  ASSERT_EQ(months.size(), 1u);
  EXPECT_EQ(months[0].billed, 30);
  EXPECT_TRUE(months[0].is_upper_bound);
  EXPECT_EQ(months[0].reserved, 30) << "of the next one";
  EXPECT_TRUE(months[0].begins);
}

TEST(TogetherTest, TheScriptOfARefusedGateCostsTheProjectNothing) {
  TaskUnderTest run(
      "  - {name: ship, gate: {kind: model, on_reject: run_script, script: {argv: [mend], "
      "repeatable: true}, judge: {prompt: ok, max_cost_microusd: 30}}, " kProgram "}\n");
  Charge(run, 100, 0, 0);
  run.Begin();
  Charge(run, 100, 0, 30);

  const auto months = MonthsOf(run, Billed(run, IterationFinished::STATUS_FAILED, 7));

  ASSERT_EQ(months.size(), 1u);
  EXPECT_EQ(months[0].reserved, 0);
  EXPECT_FALSE(months[0].begins);
}

TEST(TogetherTest, WhatDecidesTheGateOfAnActionHasAWorkspace) {
  TaskUnderTest run{std::string(kJudgedAction) + "  - {name: other, " kAction "}\n"};

  const Transition begun = run.Begin();

  EXPECT_FALSE(run.task.data.workspace().path().empty());
  EXPECT_THAT(NamesOf(begun.run), ElementsAre("ship", "other"));
}

TEST(TogetherTest, S4_36_NothingIsJudgedBeforeTheTriggersOfItsCreation) {
  TaskUnderTest run(WorkflowOf(
      kJudgedAction,
      "triggers: [{name: audit, when: created, command: {argv: [audit], repeatable: true}}]\n"));

  const Transition begun = run.Begin();

  EXPECT_TRUE(begun.triggers);
  EXPECT_THAT(begun.run, IsEmpty());
  EXPECT_THAT(NamesOf(run.Feed(Triggered{}).run), ElementsAre("ship"));
}

TEST(TogetherTest, S4_36_TriggersBeforeAnActionAreOnRecordWithWhatItSubmits) {
  TaskUnderTest run("  - {name: scale, " kAction "}\n");
  run.Begin();
  run.NewStory();
  IterationEnded ended = run.Of("scale", IterationFinished::STATUS_COMPLETE);
  ended.child = "executions/c1";
  ended.triggers.emplace_back().set_trigger("ready");

  run.Feed(ended);

  EXPECT_THAT(run.NewStory(), ElementsAre("trigger_ran", "child_submitted", "BLOCKED(CHILD)"));
}

TEST(TogetherTest, PeopleWhoAreAskedBesideAnActionAreNotAskedAnyMoreWhenTheTaskEnds) {
  TaskUnderTest run("  - {name: scale, gate: {kind: human, mode: reaction}, " kAction
                    "}\n"
                    "  - {name: other, " kProgram "}\n");
  run.Begin();
  run.Submit("scale", "executions/c1");

  run.Fail("other");

  EXPECT_EQ(run.StateOf("scale"), StepStatus::STATE_RUNNING) << "its execution is told to end";
  EXPECT_EQ(run.task.data.block_reason(), Execution::BLOCK_REASON_CHILD);
  EXPECT_TRUE(run.Step("scale").approval().ended());
  EXPECT_FALSE(Waiting(run.task.data).has_value());
}

}  // namespace
}  // namespace capstan::task
