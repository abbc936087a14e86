// Signals and wake-ups against parks, steps and sweeps.
#include "absl/strings/str_cat.h"
#include "tests/storage/races/races.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::IsOkAndHolds;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::SizeIs;

class SignalRaces : public Races {
 protected:
  void AppendCancel(const ExecutionId& id) {
    EXPECT_THAT(reader().AppendSignal(id, {SignalKind::kCancel, "sre", ""}),
                IsOkAndHolds(SignalResult::kStored));
  }
  // The only execution there is, from a lease that is ready.
  HeldExecution ClaimOnly(const WorkerId& worker) {
    const auto held = Claim(worker, 10);
    EXPECT_THAT(held, SizeIs(1));
    return held.size() == 1 ? held[0] : HeldExecution();
  }
};

TEST_F(SignalRaces, Hole1_ASignalAndAParkNeverLeaveAnExecutionAsleep) {
  const auto held = HoldMany(NewWorker(), RaceCount());
  std::size_t next = 0;
  absl::StatusOr<CommitResult> parked;
  RunRaces({.prepare = {},
            .a = [&] { parked = Commit(MakePark(held[next], absl::Hours(1))); },
            .b = [&] { AppendCancel(held[next].id); },
            .a_was_first =
                [&] {
                  EXPECT_OK(parked);
                  ++next;
                  return parked.ok() && *parked == CommitResult::kCommitted;
                }});

  EXPECT_EQ(Count("parked"), 0) << "each has a signal, so none may sleep";
  EXPECT_EQ(Count("execution WHERE lease_id IS NULL"), 0);
  EXPECT_EQ(Sql("SELECT sum(signals) FROM execution"), absl::StrCat(held.size()));
}

TEST_F(SignalRaces, Hole1_ASignalAndATimerWakeAnExecutionOnce) {
  const WorkerId worker = NewWorker();
  HeldExecution held = SubmitAndClaim(worker);
  int signals = 0;
  absl::StatusOr<LeaseStore::Woken> woken;
  RunRaces({.prepare =
                [&] {
                  ASSERT_THAT(Commit(MakePark(held, absl::ZeroDuration())),
                              IsOkAndHolds(CommitResult::kCommitted));
                },
            .a = [&] { AppendCancel(held.id); },
            .b = [&] { woken = leases().WakeDue(10); },
            .a_was_first =
                [&] {
                  EXPECT_OK(woken);
                  held = ClaimOnly(worker);
                  Keep(held.signals == ++signals, "the new holder is told of every signal");
                  return woken.ok() && woken->count == 0;
                }});

  EXPECT_EQ(Count("parked"), 0);
  EXPECT_EQ(Count("lease"), 1);
}

TEST_F(SignalRaces, Hole4_ASignalNeverFencesTheHoldersStep) {
  const auto held = HoldMany(NewWorker(), RaceCount());
  std::size_t next = 0;
  absl::StatusOr<CommitResult> stored;
  RunRaces({.prepare = {},
            .a = [&] { stored = Commit(MakeStep(held[next], v1::Execution::STATE_VALIDATING, 2)); },
            .b = [&] { AppendCancel(held[next].id); },
            .a_was_first =
                [&] {
                  Keep(stored.ok() && *stored == CommitResult::kCommitted, "the step was shut out");
                  HeldExecution moved = held[next++];
                  moved.last_seq += 2;
                  const auto ended = Commit(MakeEnd(moved));
                  Keep(ended.ok() && *ended == CommitResult::kCommitted, "the end was shut out");
                  return SeqOfLastSignal() == 3;
                }});

  std::vector<ExecutionId> ids;
  for (const HeldExecution& h : held) ids.push_back(h.id);
  EXPECT_THAT(Seqs(ids), Each(ElementsAre(1, 2, 3, 4, 5))) << "only the holder numbers events";
  EXPECT_EQ(Count("signal WHERE number = 1"), RaceCount());
}

TEST_F(SignalRaces, Hole6_TheSweepNeverLeasesWhatIsParkedWokenOrClaimed) {
  const WorkerId worker = NewWorker();
  HeldExecution held = SubmitAndClaim(worker);
  int race = 0;
  absl::Time moved, swept;
  int found = 0;
  RunRaces({.prepare = {},
            .a =
                [&] {
                  switch (race % 3) {
                    case 0:
                      EXPECT_THAT(Commit(MakePark(held, absl::Hours(1))),
                                  IsOkAndHolds(CommitResult::kCommitted));
                      break;
                    case 1:
                      AppendCancel(held.id);
                      break;
                    case 2:
                      held = ClaimOnly(worker);
                      break;
                  }
                  moved = absl::Now();
                },
            .b =
                [&] {
                  found = leases().Sweep(100).value_or(-1);
                  swept = absl::Now();
                },
            .a_was_first =
                [&] {
                  // It stands at the end now and looks at nothing the next time; that time is here.
                  Keep(found == 0, "the sweep leased what was not stranded");
                  Keep(leases().Sweep(100).value_or(-1) == 0, "the sweep found something");
                  ++race;
                  return moved < swept;
                }});

  EXPECT_LE(Count("lease"), 1) << "never two leases for one execution";
}

TEST_F(SignalRaces, Hole6_TwoSweepsLeaseAStrandedExecutionOnce) {
  const WorkerId worker = NewWorker();
  HeldExecution held = SubmitAndClaim(worker);
  const auto other = OtherLeases(clock_);
  const auto connection = Connect();
  const Statement strand{"strand", "DELETE FROM parked RETURNING execution_id"};
  int here = 0, there = 0;
  RunRaces({.prepare =
                [&] {
                  ASSERT_OK(Commit(MakePark(held, absl::Hours(1))));
                  ASSERT_OK(connection->Run(strand));
                },
            .a = [&] { here = leases().Sweep(100).value_or(-1); },
            .b = [&] { there = other->Sweep(100).value_or(-1); },
            .a_was_first =
                [&] {
                  Keep(here + there == 1, absl::StrCat("leased ", here, " and ", there, " times"));
                  held = ClaimOnly(worker);
                  // Both stand at the end now, unless they look again.
                  EXPECT_THAT(leases().Sweep(100), IsOkAndHolds(0));
                  EXPECT_THAT(other->Sweep(100), IsOkAndHolds(0));
                  return here == 1;
                }});

  EXPECT_EQ(Count("lease"), 1);
}

// The commit of an intent tests execution.signals: it is never stored after a cancel it did not
// see.
TEST_F(SignalRaces, Hole9_AnIntentIsNeverStoredAfterACancelItHasNotSeen) {
  const auto held = HoldMany(NewWorker(), RaceCount());
  std::size_t next = 0;
  absl::StatusOr<CommitResult> stored;
  RunRaces({.prepare = {},
            .a =
                [&] {
                  auto intent = MakeStep(held[next], v1::Execution::STATE_VALIDATING);
                  intent.expected_signals = 0;
                  intent.decision = NewDecision{1, true, "digest", "{}", "{}"};
                  intent.artifacts.push_back({"job", "application/json", "{}"});
                  stored = Commit(std::move(intent));
                },
            .b = [&] { AppendCancel(held[next].id); },
            .a_was_first =
                [&] {
                  EXPECT_OK(stored);
                  const HeldExecution& h = held[next++];
                  const bool first = stored.ok() && *stored == CommitResult::kCommitted;
                  Keep(SeqOfLastSignal() == (first ? 2 : 1),
                       "the cancel came first and was not seen");
                  Keep(leases().ReadArtifact(h.id, "job").ok() == first, "stored in part");
                  const auto signals = leases().ReadSignals(h.id, 0);
                  Keep(signals.ok() && signals->size() == 1, "the holder cannot read the cancel");
                  return first;
                }});
}

// The end of what a step has submitted, and the step that begins to wait for it.
TEST_F(SignalRaces, Hole1_TheEndOfAChildAndTheParkOfItsTaskNeverLeaveTheTaskAsleep) {
  const auto elsewhere = *OpenCommitter(options_, NotingObserver(), clock_);
  const auto held = HoldMany(NewWorker(), 2 * RaceCount());
  std::size_t next = 0;
  absl::StatusOr<CommitResult> parked, ended;
  RunRaces({.prepare = {},
            .a =
                [&] {
                  auto park = MakePark(held[next], absl::Hours(1));
                  park.park->reason = ParkReason::kChild;
                  parked = Commit(std::move(park));
                },
            .b =
                [&] {
                  auto end = MakeEnd(held[next + 1]);
                  end.tells.push_back({held[next].id, {.kind = SignalKind::kChildEnded}});
                  std::promise<absl::StatusOr<CommitResult>> answer;
                  elsewhere->Commit(std::move(end), [&](absl::StatusOr<CommitResult> result) {
                    answer.set_value(result);
                  });
                  ended = answer.get_future().get();
                },
            .a_was_first =
                [&] {
                  Keep(ended.ok() && *ended == CommitResult::kCommitted, "the end was shut out");
                  const bool first = parked.ok() && *parked == CommitResult::kCommitted;
                  Keep(first || (parked.ok() && *parked == CommitResult::kSignalsMoved),
                       "neither asleep nor told");
                  next += 2;
                  return first;
                }});

  EXPECT_EQ(Count("parked"), 0) << "each has been told, so none may sleep";
  EXPECT_EQ(Count("execution WHERE lease_id IS NULL AND state NOT IN (6, 7, 8)"), 0);
  EXPECT_EQ(Sql("SELECT sum(signals) FROM execution"), absl::StrCat(RaceCount()));
}

// Two tasks that ask the other's children to end while these end and tell them: all in one order.
TEST_F(SignalRaces, EndsThatTellAndCancelsOfWhatEndsDoNotWaitForEachOther) {
  const auto elsewhere = *OpenCommitter(options_, NotingObserver(), clock_);
  const auto held = HoldMany(NewWorker(), 2 * RaceCount());
  std::size_t next = 0;
  absl::StatusOr<CommitResult> cancelled, ended;
  RunRaces({.prepare = {},
            .a =
                [&] {
                  auto cancel = MakeStep(held[next], v1::Execution::STATE_RUNNING);
                  cancel.tells.push_back({held[next + 1].id, {.kind = SignalKind::kCancel}});
                  cancelled = Commit(std::move(cancel));
                },
            .b =
                [&] {
                  auto end = MakeEnd(held[next + 1]);
                  end.tells.push_back({held[next].id, {.kind = SignalKind::kChildEnded}});
                  std::promise<absl::StatusOr<CommitResult>> answer;
                  elsewhere->Commit(std::move(end), [&](absl::StatusOr<CommitResult> result) {
                    answer.set_value(result);
                  });
                  ended = answer.get_future().get();
                },
            .a_was_first =
                [&] {
                  Keep(cancelled.ok() && *cancelled == CommitResult::kCommitted,
                       "the cancel was shut out");
                  Keep(ended.ok() && *ended == CommitResult::kCommitted, "the end was shut out");
                  const auto told = leases().ReadSignals(held[next + 1].id, 0);
                  next += 2;
                  return told.ok() && !told->empty();
                }});

  EXPECT_EQ(Count("signal WHERE kind = 6"), RaceCount());
}

}  // namespace
}  // namespace capstan::storage
