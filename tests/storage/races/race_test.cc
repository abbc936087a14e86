// What intuition about READ COMMITTED gets wrong, each with a mutant that loses: forced by a row
// lock where that is possible. The races beside this file run many times without force.
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/storage/races/races.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::IsOkAndHolds;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string Mutant(const std::string& name) {
  std::ifstream file(
      absl::StrCat(CAPSTAN_SOURCE_DIR, "/tests/storage/races/mutants/", name, ".sql"));
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST_F(Races, Hole1_WakingInOneStatementLosesAWakeUp) {
  const std::string text = Mutant("wake_one_statement");
  const Statement mutant{"mutant", text.c_str()};
  const auto connection = Connect();
  const HeldExecution held = SubmitAndClaim(NewWorker());
  auto blocker = Block("execution", held.id.ToString());
  auto park =
      std::async(std::launch::async, [&] { return Commit(MakePark(held, absl::Hours(1))); });
  AwaitBlocked(1);
  auto wake = std::async(std::launch::async,
                         [&] { return connection->Run(mutant, Params().Add(held.id)).status(); });
  AwaitBlocked(2);
  blocker->Rollback();
  EXPECT_THAT(park.get(), IsOkAndHolds(CommitResult::kCommitted));
  EXPECT_OK(wake.get());

  EXPECT_EQ(Sql("SELECT signals FROM execution"), "1");
  EXPECT_EQ(Count("parked"), 1) << "counted, and asleep all the same";
}

TEST_F(Races, Hole3_ATakeoverWaitsForACommitThatHasPassedItsFence) {
  const WorkerId lost = NewWorker(), survivor = NewWorker();
  const HeldExecution held = SubmitAndClaim(lost);
  auto blocker = Block("execution", held.id.ToString());
  auto commit = std::async(std::launch::async,
                           [&] { return Commit(MakeStep(held, v1::Execution::STATE_VALIDATING)); });
  AwaitBlocked(1);
  MarkDead(lost);
  auto reap = std::async(std::launch::async, [&] { return Reap(survivor); });
  AwaitBlocked(2);
  blocker->Rollback();

  EXPECT_THAT(commit.get(), IsOkAndHolds(CommitResult::kCommitted));
  EXPECT_EQ(reap.get(), 1);
  const auto taken = Claim(survivor);
  ASSERT_THAT(taken, SizeIs(1));
  EXPECT_EQ(taken[0].last_seq, 2) << "the new holder sees the step";
  EXPECT_THAT(Commit(MakeEnd(taken[0])), IsOkAndHolds(CommitResult::kCommitted));
}

// The same with a fence that only reads the lease: the lost worker's step lands after the takeover,
// and the living holder is the one that is fenced.
TEST_F(Races, Hole13_AFenceThatDoesNotLockLetsAStaleWriterIn) {
  const std::string text = Mutant("fence_unlocked");
  const Statement mutant{"mutant", text.c_str()};
  const WorkerId lost = NewWorker(), survivor = NewWorker();
  const HeldExecution held = SubmitAndClaim(lost);
  Params params;
  params.Add(held.id).Add(held.lease.id).Add(held.lease.epoch).Add(held.last_seq);

  auto blocker = Block("execution", held.id.ToString());
  const auto connection = Connect();
  auto commit =
      std::async(std::launch::async, [&] { return connection->Run(mutant, params).status(); });
  AwaitBlocked(1);
  MarkDead(lost);
  EXPECT_EQ(Reap(survivor), 1) << "nothing holds it back";
  const auto taken = Claim(survivor);
  ASSERT_THAT(taken, SizeIs(1));
  blocker->Rollback();
  ASSERT_OK(commit.get());

  EXPECT_EQ(Sql("SELECT machine FROM execution"), "\\x7374616c65") << "the stale step was stored";
  EXPECT_THAT(Commit(MakeEnd(taken[0])), IsOkAndHolds(CommitResult::kFenced))
      << "the living holder is shut out";
}

TEST_F(Races, Hole2_AClaimThatHasWaitedHandsOutTheNewest) {
  const WorkerId first = NewWorker(), second = NewWorker();
  SubmitMany(1);
  // The second worker's claim has begun and waits for its worker row; the first claims, advances
  // and releases.
  auto other = OpenLeaseStore(options_, NotingObserver(), clock_);
  ASSERT_OK(other);
  auto blocker = Block("worker", second.ToString());
  auto claim =
      std::async(std::launch::async, [&] { return (*other)->Claim(second, Queue::kAction, 10); });
  AwaitBlocked(1);
  const auto held = Claim(first);
  ASSERT_THAT(held, SizeIs(1));
  ASSERT_THAT(Commit(MakeStep(held[0], v1::Execution::STATE_VALIDATING)),
              IsOkAndHolds(CommitResult::kCommitted));
  ASSERT_OK(leases().Release(first, {held[0].lease}));
  blocker->Rollback();

  auto claimed = claim.get();
  ASSERT_OK(claimed);
  if (claimed->empty())
    claimed = (*other)->Claim(second, Queue::kAction, 10);  // it may be missed once
  ASSERT_OK(claimed);
  ASSERT_THAT(*claimed, SizeIs(1));
  EXPECT_EQ((*claimed)[0].last_seq, 2);
}

TEST_F(Races, Hole13_LoadingInTheClaimingStatementReadsStaleRows) {
  const std::string text = Mutant("claim_with_load");
  const Statement mutant{"mutant", text.c_str()};
  const WorkerId first = NewWorker(), second = NewWorker();
  SubmitMany(1);
  const auto connection = Connect();
  auto blocker = Block("worker", second.ToString());
  auto claim =
      std::async(std::launch::async, [&] { return connection->Run(mutant, Params().Add(second)); });
  AwaitBlocked(1);
  const auto held = Claim(first);
  ASSERT_THAT(held, SizeIs(1));
  ASSERT_OK(Commit(MakeStep(held[0], v1::Execution::STATE_VALIDATING)));
  ASSERT_OK(leases().Release(first, {held[0].lease}));
  blocker->Rollback();

  const auto rows = claim.get();

  ASSERT_OK(rows);
  ASSERT_EQ(rows->size(), 1);
  EXPECT_EQ(rows->Int(0, 2), 1) << "last_seq is 2 by now";
}

TEST_F(Races, Hole13_DeletingALeaseByTheHoldersCountStrandsAnExecution) {
  const std::string text = Mutant("lease_delete_counted");
  const Statement mutant{"mutant", text.c_str()};
  const WorkerId worker = NewWorker();
  const auto held = HoldTogether(worker, 2);
  ASSERT_THAT(held, SizeIs(2));
  // The holder lost sight of the second execution and counts one.
  ASSERT_THAT(Commit(MakeEnd(held[0])), IsOkAndHolds(CommitResult::kCommitted));
  EXPECT_EQ(Count("lease"), 1) << "the store's own DELETE tests who names the lease";

  ASSERT_OK(Connect()->Run(mutant, Params().Add(held[0].lease.id)));

  EXPECT_THAT(leases().Sweep(100), IsOkAndHolds(1));
}

TEST_F(Races, Hole12_SixteenWritersWithRollbacksLoseNothingInTheFeed) {
  constexpr int kWriters = 16, kEach = 200;
  const auto tailer = NewTailer();
  const FeedPosition start = tailer->position();
  absl::Mutex mu;
  std::vector<FeedRow> seen;
  tailer->Start([&](const std::vector<FeedRow>& rows) {
    absl::MutexLock lock(&mu);
    seen.insert(seen.end(), rows.begin(), rows.end());
  });
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      const auto connection = Connect();
      for (int i = 0; i < kEach; ++i) {
        ASSERT_OK(connection->Begin());
        ASSERT_OK(connection->RunScript(
            "write",
            absl::StrCat(
                "INSERT INTO feed (kind, ids, seqs) VALUES (1, ARRAY[gen_random_uuid()], ARRAY[", w,
                "])")
                .c_str()));
        if (i % 3 == 0) {
          connection->Rollback();
        } else {
          ASSERT_OK(connection->Commit());
        }
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  const std::size_t stored = static_cast<std::size_t>(Count("feed"));

  {
    absl::MutexLock lock(&mu);
    const auto complete = [&] { return seen.size() >= stored; };
    mu.Await(absl::Condition(&complete));
    EXPECT_EQ(seen.size(), stored) << "each once";
    for (std::size_t i = 1; i < seen.size(); ++i) EXPECT_LT(seen[i - 1].position, seen[i].position);
  }
  tailer->Stop();

  // A watcher that resumes half-way reads the second half.
  const auto all = tailer->ReadFrom(start, 100'000);
  ASSERT_OK(all);
  EXPECT_EQ(all->size(), stored);
  const auto half = tailer->ReadFrom(seen[stored / 2].position, 100'000);
  ASSERT_OK(half);
  EXPECT_EQ(half->size(), stored - stored / 2 - 1);
  EXPECT_EQ(half->front().position, seen[stored / 2 + 1].position);
  EXPECT_FALSE(tailer->ReadFrom({~std::uint64_t{0}, 0}, 1).ok());
}

}  // namespace
}  // namespace capstan::storage
