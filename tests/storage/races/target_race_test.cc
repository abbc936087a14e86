// Targets that are handed over while others come to wait, and launches that meet an emergency stop.
#include "absl/strings/str_cat.h"
#include "storage/admin_store.h"
#include "tests/storage/races/races.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOkAndHolds;

class TargetRaces : public Races {
 protected:
  // A second worker's connection for commits.
  absl::StatusOr<CommitResult> CommitElsewhere(storage::Commit commit) {
    std::promise<absl::StatusOr<CommitResult>> answer;
    elsewhere_->Commit(std::move(commit),
                       [&](absl::StatusOr<CommitResult> result) { answer.set_value(result); });
    return answer.get_future().get();
  }
  static storage::Commit With(storage::Commit commit, const std::string& key,
                              TargetStep::Kind kind) {
    commit.target = TargetStep{kind,
                               {key, "ScaleDeployment", false, absl::ZeroDuration()},
                               TargetStanding::kBusy,
                               TargetResult::kSucceeded,
                               ""};
    return commit;
  }
  static storage::Commit Wait(const HeldExecution& held, const std::string& key) {
    storage::Commit commit = MakeStep(held, v1::Execution::STATE_BLOCKED);
    commit.expected_signals = held.signals;
    commit.park = Park{ParkReason::kTargetLock, absl::Hours(1)};
    return With(std::move(commit), key, TargetStep::Kind::kWait);
  }

  std::unique_ptr<Committer> elsewhere_ = *OpenCommitter(options_, NotingObserver(), clock_);
};

TEST_F(TargetRaces, Hole10_WhoComesToWaitWhileTheTargetIsLeftIsHandedItOrTakesIt) {
  const auto held = HoldMany(NewWorker(), 2 * RaceCount());
  std::size_t next = 0;
  HeldExecution holder, waiter;
  std::string key;
  absl::StatusOr<CommitResult> left, waited;
  RunRaces(
      {.prepare =
           [&] {
             holder = held[next++];
             waiter = held[next++];
             key = absl::StrCat("Deployment/shop/", next);
             EXPECT_THAT(Commit(With(MakeStep(holder, v1::Execution::STATE_VALIDATING), key,
                                     TargetStep::Kind::kTake)),
                         IsOkAndHolds(CommitResult::kCommitted));
             ++holder.last_seq;
           },
       .a = [&] { left = Commit(With(MakeEnd(holder), key, TargetStep::Kind::kLeave)); },
       .b = [&] { waited = CommitElsewhere(Wait(waiter, key)); },
       .a_was_first =
           [&] {
             Keep(left.ok() && *left == CommitResult::kCommitted, "the end was shut out");
             const bool refused = waited.ok() && *waited == CommitResult::kTargetRefused;
             if (refused) {  // free already: it takes it
               const auto taken = Commit(With(MakeStep(waiter, v1::Execution::STATE_VALIDATING),
                                              key, TargetStep::Kind::kTake));
               Keep(taken.ok() && *taken == CommitResult::kCommitted, "free, and not to be had");
             }
             const auto target = leases().ReadTarget(key);
             Keep(target.ok() && target->holder == waiter.id && target->waiting.empty(),
                  "the one that came to wait holds it now");
             return refused;
           }});

  EXPECT_EQ(Count("parked"), 0) << "nobody sleeps beside a free target";
  EXPECT_EQ(Sql("SELECT count(*) FROM execution WHERE lease_id IS NULL AND state NOT IN (6, 7, 8)"),
            "0");
}

TEST_F(TargetRaces, S2_22_WhoComesToWaitWhileAPlaceIsLeftIsWokenOrTakesIt) {
  const auto held = HoldMany(NewWorker(), 2 * RaceCount());
  const auto with = [](storage::Commit commit, ParentUse use, const std::string& parent) {
    commit.parent = ParentStep{use, parent, 1};
    return commit;
  };
  std::size_t next = 0;
  HeldExecution holder, waiter;
  std::string parent;
  absl::StatusOr<CommitResult> left, waited;
  RunRaces(
      {.prepare =
           [&] {
             holder = held[next++];
             waiter = held[next++];
             parent = absl::StrCat("wf-", next);
             EXPECT_THAT(Commit(with(MakeStep(holder, v1::Execution::STATE_VALIDATING),
                                     ParentUse::kTake, parent)),
                         IsOkAndHolds(CommitResult::kCommitted));
             ++holder.last_seq;
           },
       .a = [&] { left = Commit(with(MakeEnd(holder), ParentUse::kLeave, parent)); },
       .b =
           [&] {
             storage::Commit wait = MakeStep(waiter, v1::Execution::STATE_BLOCKED);
             wait.park = Park{ParkReason::kParentLimit, absl::Hours(1)};
             waited = CommitElsewhere(with(std::move(wait), ParentUse::kWait, parent));
           },
       .a_was_first =
           [&] {
             Keep(left.ok() && *left == CommitResult::kCommitted, "the end was shut out");
             Keep(waited.ok() && *waited != CommitResult::kFenced, "the wait was shut out");
             const bool refused = waited.ok() && *waited == CommitResult::kParentRefused;
             if (refused) {  // there is a place already: it takes it
               const auto taken = Commit(with(MakeStep(waiter, v1::Execution::STATE_VALIDATING),
                                              ParentUse::kTake, parent));
               Keep(taken.ok() && *taken == CommitResult::kCommitted, "free, and not to be had");
             }
             return refused;
           }});

  EXPECT_EQ(Count("parked"), 0) << "nobody sleeps beside a free place";
}

TEST_F(TargetRaces, S2_22_OfTwoWorkersThatLaunchAtOnceOneFindsNoPlace) {
  const auto held = HoldMany(NewWorker(), 2 * RaceCount());
  std::size_t next = 0;
  const auto take = [&](std::size_t i) {
    storage::Commit commit = MakeStep(held[i], v1::Execution::STATE_VALIDATING);
    commit.parent = ParentStep{ParentUse::kTake, absl::StrCat("wf-", next), 1};
    return commit;
  };
  absl::StatusOr<CommitResult> here, there;
  RunRaces({.prepare = {},
            .a = [&] { here = Commit(take(next)); },
            .b = [&] { there = CommitElsewhere(take(next + 1)); },
            .a_was_first =
                [&] {
                  const bool first = here.ok() && *here == CommitResult::kCommitted;
                  const bool second = there.ok() && *there == CommitResult::kCommitted;
                  Keep(first != second, "both were launched, or neither");
                  next += 2;
                  return first;
                }});

  EXPECT_EQ(Count("sibling"), RaceCount());
}

TEST_F(TargetRaces, Hole9_ALaunchIsSeenByTheStopOrSeesIt) {
  const auto held = HoldMany(NewWorker(), RaceCount());
  const auto admin = *OpenAdminStore(options_, NotingObserver(), clock_);
  std::size_t next = 0;
  std::int64_t stop = 0;
  bool seen = false;
  absl::StatusOr<CommitResult> launched;
  RunRaces({.prepare = {},
            .a =
                [&] {
                  const auto made = admin->Stop({.caller = "sre", .reason = "fire"});
                  ASSERT_OK(made);
                  stop = made->id;
                  // A statement after the stop's commit sees every launch that was not refused.
                  seen = Count(absl::StrCat("event WHERE seq = 2 AND execution_id = '",
                                            held[next].id.ToString(), "'")) == 1;
                },
            .b =
                [&] {
                  storage::Commit launch = MakeStep(held[next], v1::Execution::STATE_VALIDATING);
                  launch.stop_test = storage::Commit::StopTest::kNotStopped;
                  launch.launch = {"shop", "ScaleDeployment", "w"};
                  launched = CommitElsewhere(std::move(launch));
                },
            .a_was_first =
                [&] {
                  const bool refused = launched.ok() && *launched == CommitResult::kStopMoved;
                  const bool stored = launched.ok() && *launched == CommitResult::kCommitted;
                  Keep(refused || (stored && seen), "a launch that the stop neither saw nor kept");
                  EXPECT_OK(admin->LiftStop(stop, "sre", "out", ""));
                  ++next;
                  return refused;
                }});
}

}  // namespace
}  // namespace capstan::storage
