// How many executions of one parent are in flight, and who comes next.
#include "absl/strings/str_cat.h"
#include "storage/parent_line.h"
#include "tests/storage/store_fixture.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kLimit = 2;

class Parents : public StoreTest {
 protected:
  static storage::Commit With(storage::Commit commit, ParentUse use, int limit = kLimit) {
    commit.parent = ParentStep{use, "wf", limit};
    return commit;
  }
  static storage::Commit MakeTake(const HeldExecution& held, int limit = kLimit) {
    return With(MakeStep(held, v1::Execution::STATE_VALIDATING), ParentUse::kTake, limit);
  }
  static storage::Commit MakeWait(const HeldExecution& held) {
    storage::Commit commit = MakeStep(held, v1::Execution::STATE_BLOCKED);
    commit.park = Park{ParkReason::kParentLimit, absl::Hours(1)};
    return With(std::move(commit), ParentUse::kWait);
  }
  static storage::Commit MakeLeave(const HeldExecution& held, int limit = kLimit) {
    return With(MakeEnd(held), ParentUse::kLeave, limit);
  }
  void Take(HeldExecution& held) {
    ASSERT_THAT(Commit(MakeTake(held)), IsOkAndHolds(CommitResult::kCommitted));
    ++held.last_seq;
  }
  void Wait(const HeldExecution& held) {
    ASSERT_THAT(Commit(MakeWait(held)), IsOkAndHolds(CommitResult::kCommitted));
  }
  void Leave(const HeldExecution& held, int limit = kLimit) {
    ASSERT_THAT(Commit(MakeLeave(held, limit)), IsOkAndHolds(CommitResult::kCommitted));
  }

  const WorkerId worker_ = NewWorker();
};

TEST_F(Parents, S2_22_WhoIsOverTheLimitWaitsAndIsWokenByAnEnd) {
  HeldExecution a = SubmitAndClaim(worker_), b = SubmitAndClaim(worker_);
  const HeldExecution c = SubmitAndClaim(worker_), d = SubmitAndClaim(worker_);
  Take(a);
  Take(b);
  EXPECT_THAT(Commit(MakeTake(c)), IsOkAndHolds(CommitResult::kParentRefused));
  Wait(d);
  Wait(c);
  EXPECT_THAT(Claim(worker_), IsEmpty());

  Leave(a);

  const auto woken = Claim(worker_);
  ASSERT_THAT(woken, SizeIs(1));
  EXPECT_EQ(woken[0].id, c.id) << "it was submitted before the other one";
  EXPECT_THAT(Commit(MakeTake(woken[0])), IsOkAndHolds(CommitResult::kCommitted));
  EXPECT_EQ(Count("parked WHERE reason = 8"), 1);
  const auto line = leases().ReadParent("wf", kLimit);
  ASSERT_OK(line);
  EXPECT_THAT(line->in_flight, ElementsAre(b.id, c.id));
  EXPECT_THAT(line->waiting, ElementsAre(d.id));
}

TEST_F(Parents, S2_22_ANewcomerDoesNotOvertakeTheOneThatWasWoken) {
  HeldExecution a = SubmitAndClaim(worker_), b = SubmitAndClaim(worker_);
  const HeldExecution c = SubmitAndClaim(worker_), d = SubmitAndClaim(worker_);
  Take(a);
  Take(b);
  Wait(c);
  Leave(a);

  EXPECT_THAT(Commit(MakeTake(d)), IsOkAndHolds(CommitResult::kParentRefused));

  EXPECT_THAT(Commit(MakeTake(Claim(worker_).at(0))), IsOkAndHolds(CommitResult::kCommitted));
}

TEST_F(Parents, S2_22_WhoLeavesTheLineLetsTheNextOneCome) {
  HeldExecution a = SubmitAndClaim(worker_), b = SubmitAndClaim(worker_);
  const HeldExecution c = SubmitAndClaim(worker_), d = SubmitAndClaim(worker_);
  Take(a);
  Take(b);
  Wait(c);
  Wait(d);
  Leave(a);

  Leave(Claim(worker_).at(0));  // as by a cancel that comes before it is launched

  EXPECT_EQ(Claim(worker_).at(0).id, d.id);
}

TEST_F(Parents, AWaitIsRefusedWhileThereIsAPlace) {
  const HeldExecution held = SubmitAndClaim(worker_);
  EXPECT_THAT(Commit(MakeWait(held)), IsOkAndHolds(CommitResult::kParentRefused));
  EXPECT_EQ(Count("parked"), 0);
  storage::Commit unparked = MakeWait(held);
  unparked.park.reset();
  EXPECT_THAT(Commit(unparked), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(Parents, S2_22_StepsOfOneFlushCountEachOther) {
  const auto held = HoldTogether(worker_, 8);
  std::vector<std::promise<CommitResult>> answers(held.size());
  for (std::size_t i = 0; i < held.size(); ++i) {
    committer().Commit(MakeTake(held[i], 5), [&answers, i](absl::StatusOr<CommitResult> result) {
      answers[i].set_value(result.value_or(CommitResult::kFenced));
    });
  }
  int taken = 0;
  for (auto& answer : answers) taken += answer.get_future().get() == CommitResult::kCommitted;
  EXPECT_EQ(taken, 5);
  EXPECT_EQ(Count("sibling"), 5);
}

TEST_F(Parents, AFencedStepTakesNoPlace) {
  HeldExecution held = SubmitAndClaim(worker_);
  ++held.lease.epoch;
  EXPECT_THAT(Commit(MakeTake(held)), IsOkAndHolds(CommitResult::kFenced));
  EXPECT_EQ(Count("sibling"), 0);
}

TEST_F(Parents, WhereTheLimitIsTakenAwayTheLineIsWoken) {
  HeldExecution a = SubmitAndClaim(worker_), b = SubmitAndClaim(worker_);
  const HeldExecution c = SubmitAndClaim(worker_), d = SubmitAndClaim(worker_);
  Take(a);
  Take(b);
  Wait(c);
  Wait(d);

  Leave(a, 0);

  EXPECT_THAT(Claim(worker_), SizeIs(2));
  EXPECT_EQ(Count("parked"), 0);
}

}  // namespace
}  // namespace capstan::storage
