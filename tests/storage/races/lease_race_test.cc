// Claims, heartbeats, takeovers and steps against each other.
#include <future>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "tests/storage/races/races.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::testing::SizeIs;

class LeaseRaces : public Races {
 protected:
  // A step in a transaction of several statements, which leaves a longer window.
  static storage::Commit LongStep(const HeldExecution& held, int number) {
    auto step = MakeStep(held, v1::Execution::STATE_VALIDATING);
    step.decision = NewDecision{number, true, "digest", "{}", "{}"};
    step.artifacts.push_back({absl::StrCat("part ", number), "application/json", "{}"});
    return step;
  }
};

TEST_F(LeaseRaces, Hole2_AClaimNeverHandsOutAStaleExecution) {
  WorkerId first = NewWorker(), second = NewWorker();
  HeldExecution held = SubmitAndClaim(first);
  const auto other = OtherLeases(clock_);
  absl::StatusOr<std::vector<HeldExecution>> claimed;
  RunRaces({.prepare = {},
            .a =
                [&] {
                  EXPECT_THAT(Commit(MakeStep(held, v1::Execution::STATE_VALIDATING)),
                              IsOkAndHolds(CommitResult::kCommitted));
                  EXPECT_OK(leases().Release(first, {held.lease}));
                },
            .b = [&] { claimed = other->Claim(second, Queue::kAction, 10); },
            .a_was_first =
                [&] {
                  EXPECT_OK(claimed);
                  const bool at_once = claimed.ok() && !claimed->empty();
                  if (!at_once) claimed = other->Claim(second, Queue::kAction, 10);
                  Keep(claimed.ok() && claimed->size() == 1, "nobody can claim it");
                  if (!claimed.ok() || claimed->size() != 1) return at_once;
                  Keep((*claimed)[0].last_seq == held.last_seq + 1, "the new holder has old rows");
                  held = (*claimed)[0];
                  std::swap(first, second);
                  return at_once;
                }});
}

TEST_F(LeaseRaces, Hole2_S4_37_ALeaseIsClaimedOnce) {
  const WorkerId first = NewWorker(), second = NewWorker();
  const auto submitted = SubmitMany(1);
  const auto other = OtherLeases(clock_);
  absl::StatusOr<std::vector<HeldExecution>> here, there;
  int missed = 0;
  RunRaces({.prepare = {},
            .a = [&] { here = leases().Claim(first, Queue::kAction, 10); },
            .b = [&] { there = other->Claim(second, Queue::kAction, 10); },
            .a_was_first =
                [&] {
                  EXPECT_OK(here);
                  EXPECT_OK(there);
                  const bool a = here.ok() && !here->empty(), b = there.ok() && !there->empty();
                  Keep(!(a && b), "both have claimed it");
                  if (!a && !b) ++missed;  // it may be missed once
                  if (a) {
                    EXPECT_OK(leases().Release(first, {(*here)[0].lease}));
                  }
                  if (b) {
                    EXPECT_OK(leases().Release(second, {(*there)[0].lease}));
                  }
                  return a;
                }});

  EXPECT_LT(missed, RaceCount());
  EXPECT_THAT(Claim(first), SizeIs(1));
}

TEST_F(LeaseRaces, Hole3_AWorkerIsEitherAliveOrReapedNeverBoth) {
  constexpr absl::Duration kTtl = absl::Seconds(12);
  constexpr int kLooks = 5;  // the first notes the heartbeat, the last is a TTL later
  HandClock hand;
  const auto reaper = OtherLeases(hand);
  const WorkerId survivor = NewWorker();
  SubmitMany(1);
  WorkerId worker;
  HeldExecution held;
  absl::StatusOr<std::vector<LeaseRef>> beat;
  absl::StatusOr<int> freed;
  RunRaces(
      {.prepare =
           [&] {
             worker = NewWorker();
             const auto claimed = Claim(worker);
             ASSERT_THAT(claimed, SizeIs(1));
             held = claimed[0];
             for (int look = 1; look < kLooks; ++look) {
               ASSERT_THAT(reaper->ReapLostWorkers(survivor, kTtl), IsOkAndHolds(0));
               hand.Advance(kTtl / (kLooks - 1));
             }
           },
       .a = [&] { beat = leases().Heartbeat(worker); },
       .b = [&] { freed = reaper->ReapLostWorkers(survivor, kTtl); },
       .a_was_first =
           [&] {
             EXPECT_OK(freed);
             const bool alive = beat.ok();
             if (!alive) {
               EXPECT_THAT(beat, StatusIs(absl::StatusCode::kFailedPrecondition));
             }
             Keep(freed.value_or(-1) == (alive ? 0 : 1), "alive and reaped, or neither");
             Keep(!alive || (beat->size() == 1 && (*beat)[0] == held.lease), "alive, lease gone");
             const auto step = Commit(MakeStep(held, v1::Execution::STATE_VALIDATING));
             Keep(step.ok() && *step == (alive ? CommitResult::kCommitted : CommitResult::kFenced),
                  "the fence disagrees with the heartbeat");
             EXPECT_OK(leases().Deregister(worker));
             return alive;
           }});
}

TEST_F(LeaseRaces, Hole3_ATakeoverAndAStepNeverShutOutTheNewHolder) {
  const WorkerId survivor = NewWorker();
  const auto other = OtherLeases(clock_);
  int race = 0;
  HeldExecution held;
  absl::StatusOr<CommitResult> stored;
  absl::StatusOr<std::vector<HeldExecution>> taken;
  RunRaces({.prepare =
                [&] {
                  const WorkerId lost = NewWorker();
                  held = SubmitAndClaim(lost);
                  MarkDead(lost);
                },
            .a = [&] { stored = Commit(race % 2 == 0 ? LongStep(held, 1) : MakeEnd(held)); },
            .b =
                [&] {
                  EXPECT_OK(other->ReapLostWorkers(survivor, absl::Hours(1)));
                  taken = other->Claim(survivor, Queue::kAction, 10);
                },
            .a_was_first =
                [&] {
                  EXPECT_OK(stored);
                  EXPECT_OK(taken);
                  const bool first = stored.ok() && *stored == CommitResult::kCommitted;
                  const bool left = first && race++ % 2 == 1;
                  if (taken.ok() && taken->empty() && !left) {  // it may be missed once
                    taken = other->Claim(survivor, Queue::kAction, 10);
                  }
                  Keep(taken.ok() && taken->size() == (left ? 0 : 1), "taken over after its end");
                  if (!taken.ok() || taken->size() != 1) return first;
                  Keep((*taken)[0].last_seq == (first ? 2 : 1), "the new holder has old rows");
                  const auto end = Commit(MakeEnd((*taken)[0]));
                  Keep(end.ok() && *end == CommitResult::kCommitted,
                       "the living holder is shut out");
                  return first;
                }});

  EXPECT_EQ(Count("outcome"), RaceCount()) << "one end each";
  EXPECT_EQ(Count("lease"), 0);
}

TEST_F(LeaseRaces, Hole3_GivingBackAndAStepNeverShutOutTheNewHolder) {
  WorkerId first = NewWorker(), second = NewWorker();
  HeldExecution held = SubmitAndClaim(first);
  const auto other = OtherLeases(clock_);
  int race = 0;
  absl::StatusOr<CommitResult> stored;
  absl::StatusOr<std::vector<HeldExecution>> taken;
  RunRaces({.prepare = {},
            .a = [&] { stored = Commit(LongStep(held, ++race)); },
            .b =
                [&] {
                  EXPECT_OK(leases().Release(first, {held.lease}));
                  taken = other->Claim(second, Queue::kAction, 10);
                },
            .a_was_first =
                [&] {
                  EXPECT_OK(stored);
                  const bool done = stored.ok() && *stored == CommitResult::kCommitted;
                  if (taken.ok() && taken->empty())
                    taken = other->Claim(second, Queue::kAction, 10);
                  Keep(taken.ok() && taken->size() == 1, "nobody can claim it");
                  if (!taken.ok() || taken->size() != 1) return done;
                  Keep((*taken)[0].last_seq == held.last_seq + (done ? 1 : 0), "old rows");
                  held = (*taken)[0];
                  const auto step = Commit(MakeStep(held, v1::Execution::STATE_VALIDATING));
                  Keep(step.ok() && *step == CommitResult::kCommitted,
                       "the living holder is shut out");
                  ++held.last_seq;
                  std::swap(first, second);
                  return done;
                }});
}

// Steps of a whole lease in one flush, its takeover, signals in the opposite order and a timer.
TEST_F(LeaseRaces, Hole7_NobodyIsToldOfADeadlock) {
  constexpr int kShared = 8;
  const WorkerId survivor = NewWorker();
  SubmitMany(kShared);
  const auto other = OtherLeases(clock_);
  std::vector<HeldExecution> held;
  std::atomic<int> stored = 0;
  const auto told = [&](const absl::Status& status) { Keep(status.ok(), status.ToString()); };
  RunRaces({.prepare =
                [&] {
                  ASSERT_OK(leases().WakeDue(kShared));
                  const WorkerId lost = NewWorker();
                  held = Claim(lost);
                  ASSERT_THAT(held, SizeIs(kShared));
                  MarkDead(lost);
                  stored = 0;
                },
            .a =
                [&] {
                  absl::BlockingCounter answered(kShared);
                  for (int i = 0; i < kShared; ++i) {
                    const HeldExecution& h = held[static_cast<std::size_t>(i)];
                    auto step = i % 2 == 0 ? MakePark(h, absl::ZeroDuration())
                                           : MakeStep(h, v1::Execution::STATE_VALIDATING);
                    step.expected_signals.reset();
                    committer().Commit(std::move(step), [&](absl::StatusOr<CommitResult> result) {
                      told(result.status());
                      if (result.ok() && *result == CommitResult::kCommitted) ++stored;
                      answered.DecrementCount();
                    });
                  }
                  answered.Wait();
                },
            .b =
                [&] {
                  auto signals = std::async(std::launch::async, [&] {
                    for (auto h = held.rbegin(); h != held.rend(); ++h)
                      told(reader().AppendSignal(h->id, {SignalKind::kCancel, "sre", ""}).status());
                  });
                  told(leases().ReapLostWorkers(survivor, absl::Hours(1)).status());
                  told(other->WakeDue(kShared).status());
                  signals.get();
                },
            .a_was_first =
                [&] {
                  told(leases().ReapLostWorkers(survivor, absl::Hours(1)).status());
                  Keep(other->Sweep(100).value_or(-1) == 0, "something was stranded");
                  Keep(other->Sweep(100).value_or(-1) == 0, "something was stranded");
                  return stored > 0;
                }});

  std::printf(
      "deadlocks that the store has retried: %s\n",
      Sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").c_str());
}

}  // namespace
}  // namespace capstan::storage
