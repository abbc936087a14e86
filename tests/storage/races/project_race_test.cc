// Budgets of projects while many workers reserve, settle and wait at the same time.
#include <thread>

#include "absl/strings/str_cat.h"
#include "storage/admin_store.h"
#include "storage/task_store.h"
#include "tests/storage/races/races.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::IsOkAndHolds;

class ProjectRaces : public Races {
 protected:
  static absl::StatusOr<CommitResult> CommitOn(Committer& committer, storage::Commit commit) {
    std::promise<absl::StatusOr<CommitResult>> answer;
    committer.Commit(std::move(commit),
                     [&](absl::StatusOr<CommitResult> result) { answer.set_value(result); });
    return answer.get_future().get();
  }
  storage::Commit Charge(storage::Commit commit, const std::string& project, std::int64_t before,
                         std::int64_t after, std::int64_t billed = 0) const {
    BudgetStep step;
    step.project = project;
    step.months.push_back({.month = month_,
                           .reserved_before = before,
                           .reserved = after,
                           .billed = billed,
                           .begins = after > before});
    commit.budget = std::move(step);
    return commit;
  }
  storage::Commit Wait(const HeldExecution& held, const std::string& project) const {
    storage::Commit commit = MakeStep(held, v1::Execution::STATE_BLOCKED);
    commit.park = Park{ParkReason::kBudget, absl::Hours(1)};
    commit.budget.emplace().project = project;
    commit.budget->wait = {month_, 0};
    return commit;
  }

  const std::string month_ = Sql("SELECT to_char(now(), 'YYYY-MM')");
  std::unique_ptr<Committer> elsewhere_ = *OpenCommitter(options_, NotingObserver(), clock_);
  std::unique_ptr<AdminStore> admin_ = *OpenAdminStore(options_, NotingObserver(), clock_);
  std::unique_ptr<TaskStore> tasks_ = *OpenTaskStore(options_, NotingObserver(), clock_);
};

TEST_F(ProjectRaces, I7_SixtyFourThatReserveAtOnceNeverGoBeyondTheLimit) {
  constexpr int kTasks = 64, kRounds = 5;
  constexpr std::int64_t kLimit = 1'000, kEach = 70;
  ASSERT_OK(admin_->SetProjectBudget("shop", kLimit, ""));
  const auto held = HoldMany(NewWorker(), kTasks);
  std::atomic<std::int64_t> billed = 0;
  std::atomic<int> refused = 0;
  std::atomic<bool> beyond = false, done = false;
  std::thread looks([&] {
    while (!done) {
      const auto shop = tasks_->ReadProject("shop");
      if (shop.ok() && shop->spent + shop->reserved > kLimit) beyond = true;
    }
  });
  Committer& here = committer();
  std::vector<std::thread> tasks;
  tasks.reserve(kTasks);
  for (int i = 0; i < kTasks; ++i) {
    tasks.emplace_back([&, i, run = held[static_cast<std::size_t>(i)]]() mutable {
      Committer& mine = i % 2 == 0 ? here : *elsewhere_;
      for (int round = 0; round < kRounds; ++round) {
        const auto reserved =
            CommitOn(mine, Charge(MakeStep(run, v1::Execution::STATE_RUNNING), "shop", 0, kEach));
        if (!reserved.ok() || *reserved != CommitResult::kCommitted) {
          refused += reserved.ok() && *reserved == CommitResult::kBudgetRefused ? 1 : 0;
          continue;
        }
        ++run.last_seq;
        const std::int64_t cost = (i * 7 + round * 13) % (kEach + 1);
        EXPECT_THAT(CommitOn(mine, Charge(MakeStep(run, v1::Execution::STATE_RUNNING), "shop",
                                          kEach, 0, cost)),
                    IsOkAndHolds(CommitResult::kCommitted));
        ++run.last_seq;
        billed += cost;
      }
    });
  }
  for (std::thread& task : tasks) task.join();
  done = true;
  looks.join();

  EXPECT_FALSE(beyond);
  EXPECT_GT(refused, 0);
  const auto shop = tasks_->ReadProject("shop");
  ASSERT_OK(shop);
  EXPECT_EQ(shop->spent, billed);
  EXPECT_LE(shop->spent, kLimit);
  EXPECT_EQ(shop->reserved, 0);
}

TEST_F(ProjectRaces, S4_24_WhoComesToWaitWhileTheBudgetIsGivenBackDoesNotSleepBesideIt) {
  const auto held = HoldMany(NewWorker(), 2 * RaceCount());
  std::size_t next = 0;
  HeldExecution spends, waits;
  std::string project;
  absl::StatusOr<CommitResult> settled, waited;
  RunRaces({.prepare =
                [&] {
                  spends = held[next++];
                  waits = held[next++];
                  project = absl::StrCat("p", next);
                  EXPECT_OK(admin_->SetProjectBudget(project, 10, ""));
                  EXPECT_THAT(Commit(Charge(MakeStep(spends, v1::Execution::STATE_RUNNING), project,
                                            0, 10)),
                              IsOkAndHolds(CommitResult::kCommitted));
                  ++spends.last_seq;
                },
            .a = [&] { settled = Commit(Charge(MakeEnd(spends), project, 10, 0, 4)); },
            .b = [&] { waited = CommitOn(*elsewhere_, Wait(waits, project)); },
            .a_was_first =
                [&] {
                  Keep(settled.ok() && *settled == CommitResult::kCommitted, "it is settled");
                  const bool refused = waited.ok() && *waited == CommitResult::kBudgetRefused;
                  Keep(refused || (waited.ok() && *waited == CommitResult::kCommitted),
                       "it waits, or has not to");
                  return refused;
                }});

  EXPECT_EQ(Count("parked"), 0) << "nobody sleeps beside a budget that has enough";
}

TEST_F(ProjectRaces, S4_24_WhoComesToWaitWhileTheBudgetIsRaisedDoesNotSleepBesideIt) {
  const auto held = HoldMany(NewWorker(), 2 * RaceCount());
  std::size_t next = 0;
  HeldExecution waits;
  std::string project;
  absl::StatusOr<CommitResult> waited;
  RunRaces({.prepare =
                [&] {
                  const HeldExecution spends = held[next++];
                  waits = held[next++];
                  project = absl::StrCat("p", next);
                  EXPECT_OK(admin_->SetProjectBudget(project, 10, ""));
                  EXPECT_THAT(Commit(Charge(MakeStep(spends, v1::Execution::STATE_RUNNING), project,
                                            0, 10)),
                              IsOkAndHolds(CommitResult::kCommitted));
                },
            .a = [&] { EXPECT_OK(admin_->SetProjectBudget(project, 20, "")); },
            .b = [&] { waited = CommitOn(*elsewhere_, Wait(waits, project)); },
            .a_was_first =
                [&] {
                  const bool refused = waited.ok() && *waited == CommitResult::kBudgetRefused;
                  Keep(refused || (waited.ok() && *waited == CommitResult::kCommitted),
                       "it waits, or has not to");
                  return refused;
                }});

  EXPECT_EQ(Count("parked"), 0);
}

}  // namespace
}  // namespace capstan::storage
