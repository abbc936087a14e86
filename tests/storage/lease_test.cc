// Leases: claims, heartbeats, release, takeover, splitting, the sweep.
#include "absl/strings/str_cat.h"
#include "storage/heartbeat_watch.h"
#include "tests/storage/store_fixture.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Leases : public StoreTest {
 protected:
  // The second half of reaping: frees what workers that are marked dead hold.
  int Reap(const WorkerId& survivor) {
    const auto freed = leases().ReapLostWorkers(survivor, absl::Hours(1));
    EXPECT_OK(freed);
    return freed.value_or(-1);
  }
  void MarkDead(const WorkerId& worker) {
    Sql("UPDATE worker SET dead_at = now() WHERE id = '" + worker.ToString() + "' RETURNING 1");
  }
};

TEST_F(Leases, AFlushOfOnePriorityIsLeasedInBatchesOfSixteen) {
  options_.flush_items = 40;
  SubmitMany(40);
  EXPECT_GE(Count("lease"), 3);
  EXPECT_EQ(Sql("SELECT sum(cardinality(ids)) FROM lease"), "40");
  EXPECT_LE(std::stoi(Sql("SELECT max(cardinality(ids)) FROM lease")), 16);
}

TEST_F(Leases, AClaimTakesWholeLeasesThatFitAndAlwaysTheFirst) {
  SubmitMany(60);
  const WorkerId worker = NewWorker();

  const auto first = leases().Claim(worker, Queue::kAction, 1);
  ASSERT_OK(first);
  ASSERT_FALSE(first->empty());
  EXPECT_THAT(*first, Each(Field(&HeldExecution::lease, (*first)[0].lease))) << "one lease";

  const auto second = leases().Claim(worker, Queue::kAction, 33);
  ASSERT_OK(second);
  EXPECT_LE(second->size(), 33u);
}

TEST_F(Leases, ClaimsGoByPriorityThenAge) {
  NewExecution late = MakeExecution(), urgent = MakeExecution();
  late.priority = 5;
  urgent.priority = 1;
  const auto a = Submit(late), b = Submit(urgent), c = Submit(MakeExecution());
  const WorkerId worker = NewWorker();

  const auto held = Claim(worker);

  EXPECT_THAT(held, ElementsAre(Field(&HeldExecution::id, b->id), Field(&HeldExecution::id, c->id),
                                Field(&HeldExecution::id, a->id)));
}

TEST_F(Leases, AnotherQueueIsNotClaimed) {
  NewExecution task = MakeExecution();
  task.queue = Queue::kTask;
  ASSERT_OK(Submit(task));

  EXPECT_THAT(Claim(NewWorker()), IsEmpty());
}

TEST_F(Leases, AHeartbeatReturnsWhatIsHeld) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);

  EXPECT_THAT(leases().Heartbeat(worker), IsOkAndHolds(ElementsAre(held.lease)));
  EXPECT_THAT(leases().Heartbeat(NewWorker()), IsOkAndHolds(IsEmpty()));
}

TEST_F(Leases, AReleasedLeaseIsClaimedAgainUnderALaterEpochWithoutATakeover) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);

  ASSERT_OK(leases().Release(worker, {held.lease}));
  const auto again = Claim(worker);

  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].lease.id, held.lease.id);
  EXPECT_GT(again[0].lease.epoch, held.lease.epoch);
  EXPECT_EQ(again[0].takeovers, 0);
  EXPECT_THAT(Commit(MakeEnd(held)), IsOkAndHolds(CommitResult::kFenced));
}

TEST_F(Leases, ADeadWorkerIsToldAndGetsNothing) {
  const WorkerId worker = NewWorker();
  SubmitMany(1);
  MarkDead(worker);

  EXPECT_THAT(leases().Heartbeat(worker), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Claim(worker), IsEmpty());
}

TEST_F(Leases, GoodByeGivesEverythingBackAtOnce) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  ASSERT_OK(leases().SetDraining(worker));

  ASSERT_OK(leases().Deregister(worker));

  EXPECT_THAT(leases().Heartbeat(worker), StatusIs(absl::StatusCode::kFailedPrecondition));
  const auto again = Claim(NewWorker());
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].takeovers, 0);
  EXPECT_EQ(again[0].id, held.id);
}

TEST_F(Leases, ALostWorkersLeasesAreFreedAndItsLateCommitIsFenced) {
  const WorkerId lost = NewWorker(), survivor = NewWorker();
  const HeldExecution held = SubmitAndClaim(lost);

  MarkDead(lost);
  EXPECT_EQ(Reap(survivor), 1);

  EXPECT_THAT(Commit(MakeEnd(held)), IsOkAndHolds(CommitResult::kFenced));
  const auto taken = Claim(survivor);
  ASSERT_THAT(taken, SizeIs(1));
  EXPECT_EQ(taken[0].takeovers, 1);
  EXPECT_THAT(Commit(MakeEnd(taken[0])), IsOkAndHolds(CommitResult::kCommitted));
  EXPECT_EQ(Count("outcome"), 1);
}

TEST_F(Leases, ALeaseTakenOverThreeTimesIsSplit) {
  const WorkerId survivor = NewWorker();
  WorkerId lost = NewWorker();
  ASSERT_THAT(HoldTogether(lost, 16), SizeIs(16));
  for (int takeover = 1; takeover <= 3; ++takeover) {
    MarkDead(lost);
    EXPECT_EQ(Reap(survivor), 1);
    if (takeover == 3) break;
    lost = NewWorker();
    ASSERT_THAT(Claim(lost), SizeIs(16));
  }

  const auto held = Claim(survivor);

  EXPECT_THAT(held, SizeIs(16));
  EXPECT_THAT(held, Each(Field(&HeldExecution::alone, true)));
}

TEST_F(Leases, S4_28_AWorkerIsLostOnlyWhenItsHeartbeatWasWatchedStandingStill) {
  const WorkerId lost = NewWorker(), survivor = NewWorker();
  SubmitAndClaim(lost);

  EXPECT_THAT(leases().ReapLostWorkers(survivor, absl::Hours(1)), IsOkAndHolds(0));
  EXPECT_THAT(leases().ReapLostWorkers(survivor, absl::Hours(1)), IsOkAndHolds(0));
  EXPECT_EQ(Count("worker WHERE dead_at IS NOT NULL"), 0);
}

TEST_F(Leases, AReaperMarksASilentWorkerDead) {
  const WorkerId lost = NewWorker(), survivor = NewWorker();
  SubmitAndClaim(lost);
  const absl::Duration ttl =
      absl::Milliseconds(300);  // looks come far more often than a third of it

  int freed = 0;
  while (freed == 0) {
    ASSERT_OK(leases().Heartbeat(survivor));
    const auto result = leases().ReapLostWorkers(survivor, ttl);
    ASSERT_OK(result);
    freed = *result;
  }

  EXPECT_EQ(Sql("SELECT id FROM worker WHERE dead_at IS NOT NULL"), lost.ToString());
  EXPECT_THAT(leases().Heartbeat(survivor), IsOk());
}

TEST_F(Leases, WorkersAreListedWithWhatTheyHold) {
  const WorkerId worker = NewWorker();
  SubmitAndClaim(worker);

  const auto workers = reader().ListWorkers();

  ASSERT_OK(workers);
  ASSERT_THAT(*workers, SizeIs(1));
  EXPECT_EQ((*workers)[0].id, worker);
  EXPECT_EQ((*workers)[0].executions_held, 1);
  EXPECT_EQ((*workers)[0].info.host, "host");
  EXPECT_FALSE((*workers)[0].dead);
}

TEST_F(Leases, ALeaseThatNobodyNamesGoesWhenItIsLoaded) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  Sql("UPDATE execution SET lease_id = NULL, state = 7 RETURNING 1");

  EXPECT_THAT(leases().Load(worker, {held.lease}, {}), IsOkAndHolds(IsEmpty()));

  EXPECT_EQ(Count("lease"), 0);
}

TEST_F(Leases, AnExecutionThatTwoClaimedLeasesListIsHeldUnderTheOneItNames) {
  const WorkerId first = NewWorker(), second = NewWorker();
  const auto held = HoldTogether(first, 6);
  ASSERT_THAT(held, SizeIs(6));
  for (const std::size_t i : {0u, 2u, 4u}) {  // they leave, and come back in a lease of their own
    ASSERT_OK(Commit(MakePark(held[i], absl::ZeroDuration())));
  }
  ASSERT_EQ(leases().WakeDue(10)->count, 3);
  ASSERT_OK(Commit(MakeStep(held[5], v1::Execution::STATE_VALIDATING, 3)));
  ASSERT_OK(leases().Release(first, {held[0].lease}));

  const auto claimed = Claim(second);

  ASSERT_THAT(claimed, SizeIs(6));
  std::map<ExecutionId, HeldExecution> by_id;
  for (const HeldExecution& one : claimed) by_id[one.id] = one;
  for (std::size_t i = 0; i < held.size(); ++i) {
    const HeldExecution& one = by_id.at(held[i].id);
    const bool left = i % 2 == 0;
    EXPECT_EQ(one.lease.id == held[i].lease.id, !left);
    EXPECT_EQ(one.last_seq, held[i].last_seq + (left ? 1 : i == 5 ? 3 : 0));
    EXPECT_THAT(Commit(MakeEnd(one)), IsOkAndHolds(CommitResult::kCommitted));
  }
}

TEST_F(Leases, ALeaseStaysUntilItsLastExecutionHasLeft) {
  const WorkerId worker = NewWorker();
  const auto held = HoldTogether(worker, 16);
  ASSERT_THAT(held, SizeIs(16));
  ASSERT_EQ(Count("lease"), 1);

  for (std::size_t i = 0; i + 1 < held.size(); ++i) {
    ASSERT_THAT(Commit(MakeEnd(held[i])), IsOkAndHolds(CommitResult::kCommitted));
  }
  EXPECT_EQ(Count("lease"), 1);
  EXPECT_THAT(leases().Load(worker, {held.back().lease}, {}), IsOkAndHolds(SizeIs(1)));
  ASSERT_THAT(Commit(MakeEnd(held.back())), IsOkAndHolds(CommitResult::kCommitted));
  EXPECT_EQ(Count("lease"), 0);
}

TEST_F(Leases, TheSweepFindsNothingInACorrectSystemAndWhatIsStrandedOtherwise) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  ASSERT_OK(Commit(MakePark(held, absl::Hours(1))));
  SubmitMany(3);
  EXPECT_THAT(leases().Sweep(100), IsOkAndHolds(0));
  EXPECT_THAT(leases().Sweep(100), IsOkAndHolds(0)) << "the end: it starts again";

  Sql("DELETE FROM parked RETURNING 1");

  EXPECT_THAT(leases().Sweep(100), IsOkAndHolds(1));
  EXPECT_THAT(Claim(worker), SizeIs(4));
}

TEST_F(Leases, TheDatabasesClockIsKnown) {
  const absl::Duration apart = leases().DatabaseNow() - absl::Now();
  EXPECT_LT(absl::AbsDuration(apart), absl::Seconds(5)) << "same machine";
}

WorkerId Worker(std::uint8_t n) {
  WorkerId::Bytes bytes{};
  bytes[15] = n;
  return WorkerId(bytes);
}

constexpr absl::Duration kTtl = absl::Seconds(15);

TEST(HeartbeatWatch, ReportsAHeartbeatThatStoodStillForATtl) {
  HeartbeatWatch watch;
  std::vector<HeartbeatWatch::Seen> lost;
  for (int second = 0; second <= 15; second += 3) {
    EXPECT_THAT(lost, IsEmpty());
    lost = watch.Look({{Worker(1), 7}, {Worker(2), second}}, absl::Seconds(100 + second), kTtl);
  }

  ASSERT_THAT(lost, SizeIs(1));
  EXPECT_EQ(lost[0].worker, Worker(1));
}

TEST(HeartbeatWatch, StartsAnewAfterAPauseOfItsOwnOrAnOutage) {
  HeartbeatWatch watch;
  watch.Look({{Worker(1), 7}}, absl::Seconds(100), kTtl);
  EXPECT_THAT(watch.Look({{Worker(1), 7}}, absl::Seconds(200), kTtl), IsEmpty())
      << "stopped meanwhile";
  for (int second = 203; second < 215; second += 3)
    watch.Look({{Worker(1), 7}}, absl::Seconds(second), kTtl);
  watch.Forget();
  EXPECT_THAT(watch.Look({{Worker(1), 7}}, absl::Seconds(216), kTtl), IsEmpty())
      << "the database was away";
}

}  // namespace
}  // namespace capstan::storage
