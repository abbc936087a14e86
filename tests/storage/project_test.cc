// Budgets of projects: what is reserved, what is charged, who waits and who is woken.
#include "absl/strings/str_cat.h"
#include "storage/admin_store.h"
#include "storage/project_money.h"
#include "storage/task_store.h"
#include "tests/storage/store_fixture.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Projects : public StoreTest {
 protected:
  Projects() { month_ = Sql("SELECT to_char(now(), 'YYYY-MM')"); }

  static BudgetStep Charge(const std::string& month, std::int64_t before, std::int64_t after,
                           std::int64_t billed = 0) {
    BudgetStep step;
    step.project = "shop";
    BudgetStep::Month& one = step.months.emplace_back();
    one.month = month;
    one.reserved_before = before;
    one.reserved = after;
    one.billed = billed;
    one.begins = after > before;
    return step;
  }
  // Begins an iteration for which so much is reserved.
  storage::Commit Reserve(const HeldExecution& held, std::int64_t amount) const {
    storage::Commit commit = MakeStep(held, v1::Execution::STATE_RUNNING);
    commit.budget = Charge(month_, 0, amount);
    return commit;
  }
  // Ends it.
  storage::Commit Settle(const HeldExecution& held, std::int64_t reserved,
                         std::int64_t billed) const {
    storage::Commit commit = MakeEnd(held);
    commit.budget = Charge(month_, reserved, 0, billed);
    return commit;
  }
  storage::Commit Wait(const HeldExecution& held, std::int64_t needs = 0) const {
    storage::Commit commit = MakeStep(held, v1::Execution::STATE_BLOCKED);
    commit.park = Park{ParkReason::kBudget, absl::Hours(24 * 20)};
    commit.budget.emplace().project = "shop";
    commit.budget->wait = {month_, needs};
    return commit;
  }
  void Committed(storage::Commit commit, HeldExecution& held) {
    ASSERT_THAT(Commit(std::move(commit)), IsOkAndHolds(CommitResult::kCommitted));
    ++held.last_seq;
  }
  void Refused(storage::Commit commit) {
    EXPECT_THAT(Commit(std::move(commit)), IsOkAndHolds(CommitResult::kBudgetRefused));
  }
  void SetBudget(std::int64_t limit) {
    ASSERT_OK(admin_->SetProjectBudget("shop", limit, R"({"kind":"set_project_budget"})"));
  }
  ProjectRow Shop() { return tasks_->ReadProject("shop").value_or(ProjectRow()); }

  std::unique_ptr<AdminStore> admin_ = *OpenAdminStore(options_, NotingObserver(), clock_);
  std::unique_ptr<TaskStore> tasks_ = *OpenTaskStore(options_, NotingObserver(), clock_);
  const WorkerId worker_ = NewWorker();
  std::string month_;
};

TEST_F(Projects, S4_24_WhatIsReservedIsSettledByWhatWasBilled) {
  SetBudget(100);
  HeldExecution held = SubmitAndClaim(worker_);
  Committed(Reserve(held, 40), held);
  EXPECT_EQ(Shop().reserved, 40);
  EXPECT_EQ(Shop().spent, 0);
  EXPECT_EQ(Shop().largest.at(0).execution, held.id);

  Committed(Settle(held, 40, 25), held);

  const ProjectRow shop = Shop();
  EXPECT_EQ(shop.month, month_);
  EXPECT_EQ(shop.limit, 100);
  EXPECT_EQ(shop.spent, 25);
  EXPECT_EQ(shop.reserved, 0);
  EXPECT_THAT(shop.largest, IsEmpty());
  EXPECT_EQ(Count("project_reservation"), 0);
}

TEST_F(Projects, S4_24_NothingBeginsBeyondTheLimitAndAtTheLimitItDoes) {
  SetBudget(100);
  HeldExecution a = SubmitAndClaim(worker_), b = SubmitAndClaim(worker_);
  Committed(Reserve(a, 60), a);

  Refused(Reserve(b, 41));

  EXPECT_EQ(Shop().reserved, 60);
  EXPECT_EQ(Reload(worker_, b).at(0).last_seq, 1) << "nothing of it is stored";
  Committed(Reserve(b, 40), b);
  EXPECT_EQ(Shop().reserved, 100);
}

TEST_F(Projects, S4_24_WhatHasNoLimitOfItsOwnDoesNotBeginWhereTheProjectHasOne) {
  SetBudget(100);
  HeldExecution held = SubmitAndClaim(worker_);
  storage::Commit commit = Reserve(held, 0);
  commit.budget->months[0].begins = commit.budget->months[0].unbounded = true;

  Refused(commit);

  SetBudget(0);
  Committed(commit, held);
}

TEST_F(Projects, S4_24_AProjectWithoutABudgetIsCountedAndNotLimited) {
  HeldExecution held = SubmitAndClaim(worker_);
  Committed(Reserve(held, 1'000'000'000), held);
  Committed(Settle(held, 1'000'000'000, 7), held);

  EXPECT_EQ(Shop().spent, 7);
  EXPECT_EQ(Shop().limit, 0);
  const auto listed = admin_->ListProjects(10);
  ASSERT_OK(listed);
  ASSERT_THAT(*listed, SizeIs(1));
  EXPECT_EQ(listed->at(0).project, "shop");
  EXPECT_EQ(listed->at(0).spent, 7);
}

TEST_F(Projects, S4_24_AnOverrideIsNotTestedAndStillCounted) {
  SetBudget(10);
  HeldExecution held = SubmitAndClaim(worker_);
  storage::Commit commit = Reserve(held, 50);
  commit.budget->goes_beyond = true;

  Committed(commit, held);

  EXPECT_EQ(Shop().reserved, 50);
}

TEST_F(Projects, I7_WhatWasBilledIsStoredHoweverMuchItIs) {
  SetBudget(10);
  HeldExecution held = SubmitAndClaim(worker_);
  Committed(Reserve(held, 10), held);
  storage::Commit lost = Settle(held, 10, 15);
  lost.budget->months[0].is_upper_bound = true;

  Committed(lost, held);

  EXPECT_EQ(Shop().spent, 15);
  EXPECT_TRUE(Shop().is_upper_bound);
}

TEST_F(Projects, I7_AFencedStepReservesAndChargesNothing) {
  SetBudget(100);
  HeldExecution held = SubmitAndClaim(worker_);
  ++held.lease.epoch;

  EXPECT_THAT(Commit(Reserve(held, 40)), IsOkAndHolds(CommitResult::kFenced));
  EXPECT_THAT(Commit(Settle(held, 40, 40)), IsOkAndHolds(CommitResult::kFenced));

  EXPECT_EQ(Shop().reserved, 0);
  EXPECT_EQ(Shop().spent, 0);
}

TEST_F(Projects, I7_MonthsAreKeptApart) {
  SetBudget(100);
  HeldExecution held = SubmitAndClaim(worker_);
  storage::Commit commit = MakeStep(held, v1::Execution::STATE_RUNNING);
  commit.budget = Charge("2020-01", 0, 90);
  Committed(commit, held);

  // It goes on in this month, and is billed in the other.
  commit = MakeStep(held, v1::Execution::STATE_RUNNING);
  commit.budget = Charge("2020-01", 90, 0, 80);
  commit.budget->months.push_back(Charge(month_, 0, 70).months[0]);
  Committed(commit, held);

  EXPECT_EQ(Shop().spent, 0);
  EXPECT_EQ(Shop().reserved, 70);
  EXPECT_EQ(Sql("SELECT spent_microusd FROM project_spend WHERE month = '2020-01'"), "80");
}

TEST_F(Projects, S4_24_StepsOfOneFlushCountEachOther) {
  SetBudget(50);
  const auto held = HoldTogether(worker_, 8);
  std::vector<std::promise<CommitResult>> answers(held.size());
  for (std::size_t i = 0; i < held.size(); ++i) {
    committer().Commit(Reserve(held[i], 10), [&answers, i](absl::StatusOr<CommitResult> result) {
      answers[i].set_value(result.value_or(CommitResult::kFenced));
    });
  }

  int taken = 0;
  for (auto& answer : answers) taken += answer.get_future().get() == CommitResult::kCommitted;

  EXPECT_EQ(taken, 5);
  EXPECT_EQ(Shop().reserved, 50);
}

// The one that leaves something may be fenced in the same flush, and then leaves nothing.
TEST(TakeStepTest, I7_WhatAStepLeavesIsNotThereForOthersOfItsFlush) {
  const auto step = [](std::int64_t before, std::int64_t after, std::int64_t billed) {
    BudgetStep step;
    step.project = "shop";
    step.months.push_back({.month = "2026-11",
                           .reserved_before = before,
                           .reserved = after,
                           .billed = billed,
                           .begins = after > 0});
    return step;
  };
  LockedProjects money = {{{"shop", "2026-11"}, {.limit = 100, .spent = 0, .reserved = 100}}};

  EXPECT_TRUE(TakeStep(step(60, 0, 10), money));
  EXPECT_FALSE(TakeStep(step(0, 1, 0), money));
  EXPECT_TRUE(TakeStep(step(40, 30, 10), money)) << "with what it leaves itself";
  EXPECT_FALSE(TakeStep(step(40, 31, 10), money));
}

// ---- waiting

TEST_F(Projects, S4_24_WhoWaitsIsWokenWhenLessWasBilledThanReserved) {
  SetBudget(100);
  HeldExecution a = SubmitAndClaim(worker_), b = SubmitAndClaim(worker_);
  Committed(Reserve(a, 100), a);
  Committed(Wait(b), b);
  EXPECT_THAT(Claim(worker_), IsEmpty());

  Committed(Settle(a, 100, 99), a);

  EXPECT_EQ(Claim(worker_).at(0).id, b.id);
}

TEST_F(Projects, S4_24_WhoNeedsMoreThanIsLeftSleepsOn) {
  SetBudget(100);
  HeldExecution a = SubmitAndClaim(worker_), b = SubmitAndClaim(worker_);
  HeldExecution c = SubmitAndClaim(worker_);
  Committed(Reserve(a, 100), a);
  Committed(Wait(b, 30), b);
  Committed(Wait(c, 29), c);

  Committed(Settle(a, 100, 70), a);

  EXPECT_THAT(Claim(worker_), ElementsAre(::testing::Field(&HeldExecution::id, c.id)));
  EXPECT_EQ(Count("parked WHERE reason = 12 AND project = 'shop' AND project_needs = 30"), 1);
}

TEST_F(Projects, S4_24_AWaitIsRefusedWhileThereIsEnough) {
  HeldExecution held = SubmitAndClaim(worker_);
  Refused(Wait(held));
  SetBudget(100);
  Refused(Wait(held, 99));

  EXPECT_EQ(Count("parked"), 0);
  Committed(Wait(held, 100), held);
}

TEST_F(Projects, S4_24_WhoWaitedBecauseOfOneThatWasFencedInTheSameFlushIsWoken) {
  SetBudget(100);
  const auto held = HoldTogether(worker_, 21);
  std::vector<std::promise<absl::StatusOr<CommitResult>>> answers(held.size());
  const auto send = [&](std::size_t i, storage::Commit commit) {
    committer().Commit(std::move(commit), [&answers, i](absl::StatusOr<CommitResult> result) {
      answers[i].set_value(std::move(result));
    });
  };
  // The first is a flush by itself while the others gather.
  send(0, MakeStep(held[0], v1::Execution::STATE_RUNNING));
  for (std::size_t i = 1; i < held.size(); i += 2) {
    HeldExecution fenced = held[i];
    ++fenced.lease.epoch;
    send(i, Reserve(fenced, 100));
    send(i + 1, Wait(held[i + 1]));
  }
  for (auto& answer : answers) ASSERT_OK(answer.get_future().get());

  EXPECT_EQ(Shop().reserved, 0);
  EXPECT_EQ(Count("parked"), 0) << "nobody sleeps beside a budget that has enough";
}

TEST_F(Projects, AWaitIsParkedAndSaysForWhat) {
  HeldExecution held = SubmitAndClaim(worker_);
  storage::Commit unparked = Wait(held), silent = Wait(held);
  unparked.park.reset();
  silent.budget.reset();

  EXPECT_THAT(Commit(unparked), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Commit(silent), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(Projects, S4_24_ANewLimitIsAuditedAndWakesThoseThatCanGoOn) {
  SetBudget(100);
  HeldExecution a = SubmitAndClaim(worker_), b = SubmitAndClaim(worker_);
  HeldExecution c = SubmitAndClaim(worker_);
  Committed(Reserve(a, 100), a);
  Committed(Wait(b), b);
  Committed(Wait(c, 60), c);
  const std::int64_t audited = Count("audit");

  SetBudget(150);

  EXPECT_EQ(Count("audit"), audited + 1);
  EXPECT_THAT(Claim(worker_), ElementsAre(::testing::Field(&HeldExecution::id, b.id)));
  SetBudget(0);
  EXPECT_THAT(Claim(worker_), ElementsAre(::testing::Field(&HeldExecution::id, c.id)));
}

TEST_F(Projects, S4_24_ALowerLimitStopsNothingThatRuns) {
  SetBudget(100);
  HeldExecution held = SubmitAndClaim(worker_);
  Committed(Reserve(held, 80), held);

  SetBudget(10);

  Committed(Settle(held, 80, 70), held);
  EXPECT_EQ(Shop().spent, 70);
}

TEST_F(Projects, ProjectsThatSpentNothingAndHaveNoLimitAreNotListed) {
  SetBudget(5);
  ASSERT_OK(admin_->SetProjectBudget("attic", 7, ""));
  ASSERT_OK(admin_->SetProjectBudget("cellar", 0, ""));

  const auto listed = admin_->ListProjects(10);

  ASSERT_OK(listed);
  ASSERT_THAT(*listed, SizeIs(2));
  EXPECT_EQ(listed->at(0).project, "attic");
  EXPECT_EQ(listed->at(1).project, "shop");
}

TEST_F(Projects, MonthsOfLongAgoAreForgotten) {
  Sql("INSERT INTO project_spend VALUES ('shop', '2020-01', 1, false), ('shop', to_char(now(), "
      "'YYYY-MM'), 2, false); SELECT 1");

  ASSERT_OK(MaintainPartitions(options_, Retention(), NotingObserver()));

  EXPECT_EQ(Sql("SELECT string_agg(spent_microusd::text, ',') FROM project_spend"), "2");
}

}  // namespace
}  // namespace capstan::storage
