// One execution through the store: submitted, claimed, advanced, parked, woken, signalled, ended.
#include "tests/storage/store_fixture.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LifeCycle : public StoreTest {};

TEST_F(LifeCycle, ASubmittedExecutionIsStoredWithItsRequestAsEventOne) {
  const auto result = Submit(MakeExecution("r1"));

  ASSERT_OK(result);
  EXPECT_FALSE(result->deduplicated);
  const auto events = reader().ReadEvents(result->id, 0, 10);
  ASSERT_OK(events);
  ASSERT_THAT(*events, SizeIs(1));
  EXPECT_EQ((*events)[0].seq, 1);
  EXPECT_EQ((*events)[0].body, "accepted");
}

TEST_F(LifeCycle, AClaimHandsOutTheExecutionWithItsRequest) {
  const auto submitted = Submit(MakeExecution());
  const WorkerId worker = NewWorker();

  const auto held = Claim(worker);

  ASSERT_THAT(held, SizeIs(1));
  EXPECT_EQ(held[0].id, submitted->id);
  EXPECT_EQ(held[0].last_seq, 1);
  EXPECT_EQ(held[0].state, v1::Execution::STATE_PENDING);
  EXPECT_EQ(held[0].accepted, "accepted");
  EXPECT_TRUE(held[0].alone);
  EXPECT_THAT(Claim(worker), IsEmpty());
}

TEST_F(LifeCycle, StepsAreStoredAndTheLastOneLeavesNothingBehind) {
  const WorkerId worker = NewWorker();
  HeldExecution held = SubmitAndClaim(worker);

  EXPECT_THAT(Commit(MakeStep(held, v1::Execution::STATE_VALIDATING, 2)),
              IsOkAndHolds(CommitResult::kCommitted));
  held = Reload(worker, held).at(0);
  EXPECT_EQ(held.last_seq, 3);
  EXPECT_EQ(held.machine, "machine at 3");
  EXPECT_THAT(Commit(MakeEnd(held)), IsOkAndHolds(CommitResult::kCommitted));

  EXPECT_THAT(*reader().ReadEvents(held.id, 0, 10), SizeIs(5));
  EXPECT_EQ(Count("lease"), 0);
  EXPECT_EQ(Count("outcome WHERE state = 6"), 1);
  EXPECT_EQ(Count("execution WHERE lease_id IS NULL"), 1);
}

TEST_F(LifeCycle, EventsOfOneCommitAreReadFromAnyNumberOn) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  ASSERT_OK(Commit(MakeStep(held, v1::Execution::STATE_VALIDATING, 4)));
  const auto seqs = [&](std::int32_t after, int limit) {
    const auto events = reader().ReadEvents(held.id, after, limit);
    std::vector<std::int32_t> numbers;
    for (const StoredEvent& event : *events) numbers.push_back(event.seq);
    return numbers;
  };

  EXPECT_THAT(seqs(0, 10), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(seqs(2, 10), ElementsAre(3, 4, 5)) << "in the middle of the commit";
  EXPECT_THAT(seqs(0, 3), ElementsAre(1, 2, 3)) << "the limit ends within it";
  EXPECT_THAT(seqs(3, 1), ElementsAre(4));
  EXPECT_THAT(seqs(5, 10), IsEmpty());
  EXPECT_EQ(Count("event"), 2) << "one row a commit";
  EXPECT_EQ(Sql("SELECT sum(events) FROM event"), "5");
}

TEST_F(LifeCycle, AnExecutionThatCannotBeReadDoesNotHoldUpItsNeighbours) {
  const auto damaged = Submit(MakeExecution()), sound = Submit(MakeExecution());
  ASSERT_OK(damaged);
  ASSERT_OK(sound);
  Sql("UPDATE event SET body = '\\xff' WHERE execution_id = '" + damaged->id.ToString() +
      "' RETURNING seq");

  const auto held = Claim(NewWorker());

  ASSERT_THAT(held, SizeIs(1));
  EXPECT_EQ(held[0].id, sound->id);
  EXPECT_EQ(Count("lease"), 2) << "it is left as it is, for a person to look at";
  EXPECT_THAT(reader().ReadEvents(damaged->id, 0, 10), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(LifeCycle, AStepOnAnOldNumberIsFenced) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  ASSERT_OK(Commit(MakeStep(held, v1::Execution::STATE_VALIDATING)));

  EXPECT_THAT(Commit(MakeStep(held, v1::Execution::STATE_RUNNING)),
              IsOkAndHolds(CommitResult::kFenced));
}

// The old lease lives on with the other execution it lists, and its holder knows the number.
TEST_F(LifeCycle, AStepUnderALeaseThatTheExecutionHasLeftIsFenced) {
  const WorkerId worker = NewWorker();
  std::vector<HeldExecution> two = HoldTogether(worker, 2);
  ASSERT_THAT(two, SizeIs(2));
  ASSERT_EQ(two[0].lease, two[1].lease);
  ASSERT_THAT(Commit(MakePark(two[0], absl::ZeroDuration())),
              IsOkAndHolds(CommitResult::kCommitted));
  ASSERT_OK(leases().WakeDue(100));
  ASSERT_NE(Sql("SELECT lease_id FROM execution WHERE id = '" + two[0].id.ToString() + "'"),
            std::to_string(two[0].lease.id));

  two[0].last_seq += 1;
  EXPECT_THAT(Commit(MakeStep(two[0], v1::Execution::STATE_VALIDATING)),
              IsOkAndHolds(CommitResult::kFenced));
  EXPECT_THAT(Commit(MakeStep(two[1], v1::Execution::STATE_VALIDATING)),
              IsOkAndHolds(CommitResult::kCommitted));
}

TEST_F(LifeCycle, AParkedExecutionIsWokenWhenItIsDue) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  ASSERT_THAT(Commit(MakePark(held, absl::Hours(1))), IsOkAndHolds(CommitResult::kCommitted));
  EXPECT_THAT(Claim(worker), IsEmpty());
  const auto early = leases().WakeDue(100);
  ASSERT_OK(early);
  EXPECT_EQ(early->count, 0);
  EXPECT_GT(early->next_due, absl::Minutes(59));

  Sql("UPDATE parked SET due_at = now() RETURNING 1");
  const auto woken = leases().WakeDue(100);

  ASSERT_OK(woken);
  EXPECT_EQ(woken->count, 1);
  EXPECT_EQ(woken->next_due, absl::InfiniteDuration());
  const auto again = Claim(worker);
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].id, held.id);
  EXPECT_EQ(again[0].last_seq, 2);
}

TEST_F(LifeCycle, ASignalIsSeenByTheNextCommitThatAsksForNone) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  ASSERT_THAT(reader().AppendSignal(held.id, {SignalKind::kCancel, "sre", "wrong cluster"}),
              IsOkAndHolds(SignalResult::kStored));

  EXPECT_THAT(Commit(MakePark(held, absl::Hours(1))), IsOkAndHolds(CommitResult::kSignalsMoved));

  const auto signals = leases().ReadSignals(held.id, 0);
  ASSERT_OK(signals);
  ASSERT_THAT(*signals, SizeIs(1));
  EXPECT_EQ((*signals)[0].number, 1);
  EXPECT_EQ((*signals)[0].reason, "wrong cluster");
  EXPECT_THAT(Commit(MakeEnd(Reload(worker, held).at(0))), IsOkAndHolds(CommitResult::kCommitted));
  EXPECT_THAT(reader().AppendSignal(held.id, {SignalKind::kCancel, "sre", "late"}),
              IsOkAndHolds(SignalResult::kAlreadyEnded));
}

TEST_F(LifeCycle, ASignalWakesAParkedExecution) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  ASSERT_THAT(Commit(MakePark(held, absl::Hours(1))), IsOkAndHolds(CommitResult::kCommitted));

  ASSERT_OK(reader().AppendSignal(held.id, {SignalKind::kCancel, "sre", ""}));

  const auto again = Claim(worker);
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].signals, 1);
  EXPECT_EQ(Count("parked"), 0);
}

TEST_F(LifeCycle, AStepStoresItsDecisionAndArtifacts) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  auto step = MakeStep(held, v1::Execution::STATE_VALIDATING);
  step.decision = NewDecision{1, true, "digest", "{}", "{\"allow\":true}"};
  step.artifacts.push_back({"job", "application/json", "{\"kind\":\"Job\"}"});

  ASSERT_THAT(Commit(step), IsOkAndHolds(CommitResult::kCommitted));

  EXPECT_EQ(Sql("SELECT result_json FROM policy_decision"), "{\"allow\":true}");
  const auto artifact = leases().ReadArtifact(held.id, "job");
  ASSERT_OK(artifact);
  EXPECT_EQ(artifact->body, "{\"kind\":\"Job\"}");
  EXPECT_THAT(leases().ReadArtifact(held.id, "rollback"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(LifeCycle, TheFeedTellsWhatEveryFlushReached) {
  auto tailer = NewTailer();
  absl::Mutex mu;
  std::vector<std::pair<ExecutionId, std::int32_t>> reached;
  tailer->Start([&](const std::vector<FeedRow>& rows) {
    absl::MutexLock lock(&mu);
    for (const FeedRow& row : rows)
      reached.insert(reached.end(), row.reached.begin(), row.reached.end());
  });
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  ASSERT_OK(Commit(MakeEnd(held)));

  {
    absl::MutexLock lock(&mu);
    mu.Await(absl::Condition(+[](decltype(reached)* r) { return r->size() >= 2; }, &reached));
    EXPECT_THAT(reached, ElementsAre(std::pair(held.id, 1), std::pair(held.id, 3)));
  }
  tailer->Stop();
}

}  // namespace
}  // namespace capstan::storage
