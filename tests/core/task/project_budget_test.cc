// What a task takes from the budget of its project.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/task/task_budget.h"
#include "tests/core/task/situations.h"

namespace capstan::task {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kDear[] =
    "  - {name: a, llm: {prompt_file: p.md, schema_file: s.json, max_cost_microusd: 40}}\n";
constexpr char kUncapped[] = "  - {name: a, " kModel "}\n";
// kNow is in it.
constexpr char kMonth[] = "2027-01";

class ProjectBudgetTest : public ::testing::Test {
 protected:
  // A task of project shop, whose budget stands so.
  static void Charge(TaskUnderTest& run, std::int64_t limit, std::int64_t spent = 0,
                     std::int64_t reserved = 0) {
    run.task.request.mutable_task()->set_project("shop");
    run.task.project = ProjectStanding{kMonth, limit, spent, reserved};
  }

  static IterationEnded Billed(const TaskUnderTest& run, IterationFinished::Status status,
                               std::int64_t cost) {
    IterationEnded ended = run.Of("a", status);
    v1::UsageRecorded& usage = ended.usage.emplace_back();
    usage.set_step("a");
    usage.set_attempt(ended.attempt);
    usage.set_iteration(ended.iteration);
    usage.set_cost_microusd(cost);
    return ended;
  }

  static IterationEnded OutOfBudget(const TaskUnderTest& run, std::int64_t cost) {
    IterationEnded ended = Billed(run, IterationFinished::STATUS_ERROR, cost);
    ended.reason = Execution::FAILURE_REASON_BUDGET_EXCEEDED;
    return ended;
  }

  // What `input` changes in the months of the project, and its transition; it is not stored.
  static std::vector<ProjectMonth> MonthsOf(const TaskUnderTest& run, const Input& input) {
    const Transition transition = Next(run.task, input, run.now);
    return ProjectMonths(run.task, transition.data, transition.events,
                         machine::IsTerminal(transition.state));
  }

  static std::vector<v1::BudgetWarning> Warnings(const TaskUnderTest& run) {
    std::vector<v1::BudgetWarning> out;
    for (const v1::ExecutionEvent& event : run.events) {
      if (event.has_budget_warning()) out.push_back(event.budget_warning());
    }
    return out;
  }
};

TEST_F(ProjectBudgetTest, S4_24_AnIterationReservesWhatItMayCostAndGivesBackWhatItDidNot) {
  TaskUnderTest run{std::string(kDear)};
  Charge(run, 100);

  EXPECT_EQ(run.Begin().run[0].max_cost_microusd, 40);
  EXPECT_EQ(run.Step("a").reserved_month(), kMonth);
  Charge(run, 100, 0, 40);
  const auto months = MonthsOf(run, Billed(run, IterationFinished::STATUS_COMPLETE, 30));

  ASSERT_EQ(months.size(), 1u);
  EXPECT_EQ(months[0].month, kMonth);
  EXPECT_EQ(months[0].reserved_before, 40);
  EXPECT_EQ(months[0].reserved, 0);
  EXPECT_EQ(months[0].billed, 30);
  EXPECT_FALSE(months[0].begins);
}

TEST_F(ProjectBudgetTest, WithoutAProjectNothingIsCharged) {
  TaskUnderTest run{std::string(kDear)};
  run.Begin();

  EXPECT_THAT(MonthsOf(run, Billed(run, IterationFinished::STATUS_COMPLETE, 30)), IsEmpty());
}

TEST_F(ProjectBudgetTest, S4_24_WhereLessIsLeftThanWantedThatIsReserved) {
  TaskUnderTest run{std::string(kDear)};
  Charge(run, 100, 60, 15);

  EXPECT_EQ(run.Begin().run[0].max_cost_microusd, 25);
}

TEST_F(ProjectBudgetTest, S4_24_AnIterationWithoutALimitReservesAllThatIsLeft) {
  TaskUnderTest run{std::string(kUncapped)};
  Charge(run, 100, 30);

  EXPECT_EQ(run.Begin().run[0].max_cost_microusd, 70);
}

TEST_F(ProjectBudgetTest, S4_24_AProjectWithoutALimitLimitsNothing) {
  TaskUnderTest run{std::string(kUncapped)};
  Charge(run, 0, 1'000'000);

  EXPECT_EQ(run.Begin().run[0].max_cost_microusd, 0);
  EXPECT_EQ(run.Step("a").reserved_month(), kMonth);
  const auto months = MonthsOf(run, Billed(run, IterationFinished::STATUS_COMPLETE, 30));
  ASSERT_EQ(months.size(), 1u);
  EXPECT_EQ(months[0].billed, 30);
}

TEST_F(ProjectBudgetTest, WhereItsBudgetIsNotKnownTheStoreIsAskedForWhatTheStepMayCost) {
  TaskUnderTest run{std::string(kUncapped)};
  Charge(run, 0);
  run.task.project.reset();
  run.Feed(Resumed{});
  run.Allow();

  Prepared prepared;
  prepared.workspace.set_path("/w/1");
  const auto months = MonthsOf(run, prepared);

  ASSERT_EQ(months.size(), 1u);
  EXPECT_EQ(months[0].month, kMonth);
  EXPECT_TRUE(months[0].begins);
  EXPECT_TRUE(months[0].unbounded);
}

TEST_F(ProjectBudgetTest, S4_24_AtExactlyTheLimitTheTaskWaitsUntilTheMonthEndsAndHoldsNoLease) {
  TaskUnderTest run{std::string(kDear)};
  Charge(run, 100, 100);

  const Transition waits = run.Begin();

  EXPECT_EQ(waits.state, Execution::STATE_BLOCKED);
  EXPECT_EQ(waits.data.block_reason(), Execution::BLOCK_REASON_BUDGET);
  EXPECT_EQ(waits.waits_for_project, kMonth);
  EXPECT_EQ(waits.park, EndOfMonth(kMonth) - kNow);
  EXPECT_FALSE(waits.prepare) << "nothing is made for it before it can begin";
  EXPECT_THAT(run.snapshot.message(), HasSubstr("project shop for 2027-01, $0.0001, nothing"));
}

TEST_F(ProjectBudgetTest, S4_24_AHigherBudgetLetsItGoOnFromItsCheckpoint) {
  TaskUnderTest run{std::string(kDear)};
  Charge(run, 40);
  run.Begin();
  Charge(run, 40, 0, 40);
  ASSERT_EQ(run.Feed(Billed(run, IterationFinished::STATUS_CONTINUE, 40)).state,
            Execution::STATE_BLOCKED);

  Charge(run, 100, 40);
  const Transition begun = run.Begin();

  EXPECT_THAT(NamesOf(begun.run), ElementsAre("a"));
  EXPECT_EQ(begun.run[0].iteration, 2);
  EXPECT_EQ(begun.run[0].max_cost_microusd, 40);
}

TEST_F(ProjectBudgetTest, S4_24_WaitingForTheBudgetDoesNotCountAgainstItsTimeout) {
  TaskUnderTest run{std::string(kDear)};
  run.task.request.mutable_timeout()->set_seconds(3600);
  Charge(run, 100, 100);
  run.Begin();
  run.now = EndOfMonth(kMonth);

  Charge(run, 100, 0);

  EXPECT_THAT(NamesOf(run.Begin().run), ElementsAre("a"));
}

TEST_F(ProjectBudgetTest, S4_24_IterationsThatRunGoOnWhileAStepWaitsForTheBudget) {
  TaskUnderTest run(std::string(kDear) +
                    "  - {name: b, llm: {prompt_file: p.md, schema_file: s.json}}\n");
  Charge(run, 40);

  const Transition begun = run.Begin();

  EXPECT_THAT(NamesOf(begun.run), ElementsAre("a"));
  EXPECT_EQ(begun.look_again, kNow + kProjectLook) << "somebody else may leave something";
}

TEST_F(ProjectBudgetTest, S4_24_AnIterationThatTheProjectCutShortIsDoneAgainWhenThereIsMore) {
  TaskUnderTest run{std::string(kDear)};
  Charge(run, 100, 75);
  ASSERT_EQ(run.Begin().run[0].max_cost_microusd, 25);
  Charge(run, 100, 75, 25);

  const Transition waits = run.Feed(OutOfBudget(run, 5));
  EXPECT_EQ(waits.data.block_reason(), Execution::BLOCK_REASON_BUDGET);
  EXPECT_EQ(waits.data.project().needs_microusd(), 25) << "20 are left, and were not enough before";

  Charge(run, 200, 80);
  const Transition again = run.Begin();
  EXPECT_EQ(again.run[0].attempt, 2);
  EXPECT_EQ(again.run[0].max_cost_microusd, 40);
  Charge(run, 200, 80, 40);
  EXPECT_EQ(
      run.Feed(Billed(run, IterationFinished::STATUS_COMPLETE, 1)).data.project().needs_microusd(),
      0);
}

TEST_F(ProjectBudgetTest, AnIterationThatWasNotCutShortFailsWhenItsOwnLimitIsTooLittle) {
  TaskUnderTest run{std::string(kDear)};
  Charge(run, 100);
  run.Begin();

  run.Feed(OutOfBudget(run, 40));
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_BUDGET_EXCEEDED);
}

TEST_F(ProjectBudgetTest, I7_WhatWasReservedWhenAWorkerWasLostIsChargedToItsMonth) {
  TaskUnderTest run{std::string(kDear)};
  Charge(run, 100);
  run.Begin();
  Charge(run, 100, 0, 40);

  const auto months = MonthsOf(run, Resumed{.takeovers = 1});

  ASSERT_EQ(months.size(), 1u);
  EXPECT_EQ(months[0].billed, 40);
  EXPECT_TRUE(months[0].is_upper_bound);
  EXPECT_EQ(months[0].reserved, 40) << "of the next attempt";
  EXPECT_TRUE(months[0].begins);
}

TEST_F(ProjectBudgetTest, I7_ATaskThatIsGivenUpReservesNothingAnyMore) {
  TaskUnderTest run{std::string(kDear)};
  Charge(run, 1000);
  run.Begin();

  const auto months = MonthsOf(run, Unusable{"its definition is gone"});

  ASSERT_EQ(months.size(), 1u);
  EXPECT_EQ(months[0].reserved, 0);
  EXPECT_EQ(months[0].billed, 40);
}

TEST_F(ProjectBudgetTest, I7_WhatBeganBeforeTheMonthEndedIsBilledToThatMonth) {
  TaskUnderTest run{std::string(kDear)};
  Charge(run, 100);
  run.now = EndOfMonth(kMonth) - absl::Minutes(1);
  run.Begin();
  run.now += absl::Minutes(2);
  run.task.project = ProjectStanding{"2027-02", 100, 0, 0};

  const auto months = MonthsOf(run, Billed(run, IterationFinished::STATUS_CONTINUE, 30));

  ASSERT_EQ(months.size(), 2u);
  EXPECT_EQ(months[0].month, "2027-01");
  EXPECT_EQ(months[0].billed, 30);
  EXPECT_EQ(months[0].reserved, 0);
  EXPECT_FALSE(months[0].begins);
  EXPECT_EQ(months[1].month, "2027-02");
  EXPECT_EQ(months[1].billed, 0);
  EXPECT_EQ(months[1].reserved, 40);
  EXPECT_TRUE(months[1].begins);
}

TEST_F(ProjectBudgetTest, S4_24_PeopleAreWarnedOnceAMonthAtFourFifthsOfTheProject) {
  TaskUnderTest run{std::string(kDear)};
  Charge(run, 100, 50);
  run.Begin();
  Charge(run, 100, 50, 40);

  run.Feed(Billed(run, IterationFinished::STATUS_CONTINUE, 29));
  EXPECT_THAT(Warnings(run), IsEmpty());
  Charge(run, 100, 79, 21);
  run.Feed(Billed(run, IterationFinished::STATUS_CONTINUE, 1));
  Charge(run, 100, 80, 20);
  run.Feed(Billed(run, IterationFinished::STATUS_COMPLETE, 1));

  ASSERT_EQ(Warnings(run).size(), 1u);
  EXPECT_EQ(Warnings(run)[0].project(), "shop");
  EXPECT_EQ(Warnings(run)[0].spent_microusd(), 80);
  EXPECT_EQ(Warnings(run)[0].max_cost_microusd(), 100);
  EXPECT_FALSE(Warnings(run)[0].overridden());
}

TEST_F(ProjectBudgetTest, S4_24_AnOverrideGoesBeyondTheBudgetAndSaysSoOnce) {
  TaskUnderTest run{std::string(kDear)};
  run.task.request.mutable_task()->set_budget_override("the shop is down");
  Charge(run, 100, 100);

  EXPECT_EQ(run.Begin().run[0].max_cost_microusd, 40);
  run.Feed(Billed(run, IterationFinished::STATUS_CONTINUE, 40));

  std::vector<v1::BudgetWarning> beyond = Warnings(run);
  std::erase_if(beyond, [](const v1::BudgetWarning& warning) { return !warning.overridden(); });
  ASSERT_EQ(beyond.size(), 1u);
  EXPECT_EQ(beyond[0].project(), "shop");
  EXPECT_EQ(beyond[0].spent_microusd(), 100);
}

TEST_F(ProjectBudgetTest, AnOverrideThatIsNotNeededIsNotMentioned) {
  TaskUnderTest run{std::string(kDear)};
  run.task.request.mutable_task()->set_budget_override("the shop is down");
  Charge(run, 100, 10);

  run.Begin();

  EXPECT_THAT(Warnings(run), IsEmpty());
}

TEST_F(ProjectBudgetTest, AGateIsStillDecidedWhileAnotherStepWaitsForTheBudget) {
  TaskUnderTest run(std::string(kDear) + "  - {name: b, gate_only: {}, gate: {kind: human}}\n");
  Charge(run, 100, 100);
  const Transition waits = run.Begin();
  ASSERT_EQ(waits.data.block_reason(), Execution::BLOCK_REASON_BUDGET);
  EXPECT_EQ(waits.park, kGateTimeout) << "then the gate is closed";

  run.Vote("bob", true);
  run.Begin();

  EXPECT_EQ(run.StateOf("b"), StepStatus::STATE_SUCCEEDED);
  EXPECT_EQ(run.task.data.block_reason(), Execution::BLOCK_REASON_BUDGET);
}

TEST(MonthTest, MonthsAreThoseOfUtc) {
  const absl::Time last = absl::FromUnixSeconds(1798761599);  // 2026-12-31T23:59:59Z

  EXPECT_EQ(MonthOf(last), "2026-12");
  EXPECT_EQ(EndOfMonth("2026-12"), last + absl::Seconds(1));
  EXPECT_EQ(MonthOf(last + absl::Seconds(1)), "2027-01");
}

}  // namespace
}  // namespace capstan::task
