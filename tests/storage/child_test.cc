// Executions that a step submits, and what their end tells the one that submitted them.
#include "absl/strings/str_cat.h"
#include "tests/storage/store_fixture.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ChildTest : public StoreTest {
 protected:
  // A step of `parent` that submits an execution and waits for it.
  static storage::Commit MakeSubmit(const HeldExecution& parent, const ExecutionId& child) {
    storage::Commit commit = MakeStep(parent, v1::Execution::STATE_BLOCKED);
    commit.expected_signals = parent.signals;
    commit.park = Park{ParkReason::kChild, absl::Hours(1)};
    NewExecution execution = MakeExecution();
    execution.parent_name = ExecutionName(parent.id);
    execution.parent_step = 2;
    execution.audit = R"({"kind":"submit"})";
    commit.children.push_back({child, execution});
    return commit;
  }
  static Tell TellOf(const ExecutionId& to, const std::string& detail = "how it ended") {
    return {to, {.kind = SignalKind::kChildEnded, .caller = "executions/c", .detail = detail}};
  }
  static storage::Commit MakeEndThatTells(const HeldExecution& child, const ExecutionId& parent) {
    storage::Commit commit = MakeEnd(child);
    commit.tells.push_back(TellOf(parent));
    return commit;
  }
  std::vector<CommitResult> CommitTogether(std::vector<storage::Commit> commits) {
    std::vector<std::promise<CommitResult>> answers(commits.size());
    for (std::size_t i = 0; i < commits.size(); ++i) {
      committer().Commit(std::move(commits[i]), [&answers, i](absl::StatusOr<CommitResult> result) {
        answers[i].set_value(result.value_or(CommitResult::kFenced));
      });
    }
    std::vector<CommitResult> results;
    for (auto& answer : answers) results.push_back(answer.get_future().get());
    return results;
  }
  std::int64_t SignalsOf(const ExecutionId& id) {
    return Count(absl::StrCat("signal WHERE execution_id = '", id.ToString(), "'"));
  }

  const WorkerId worker_ = NewWorker();
  const ExecutionId child_ = ExecutionId::Make(absl::Now());
};

TEST_F(ChildTest, AStepAndTheExecutionThatItSubmitsAreStoredTogether) {
  const HeldExecution parent = SubmitAndClaim(worker_);

  ASSERT_THAT(Commit(MakeSubmit(parent, child_)), IsOkAndHolds(CommitResult::kCommitted));

  EXPECT_EQ(Count("parked WHERE reason = 11"), 1);
  const auto held = Claim(worker_);
  ASSERT_THAT(held, SizeIs(1));
  EXPECT_EQ(held[0].id, child_);
  EXPECT_EQ(held[0].accepted, "accepted");
  EXPECT_EQ(Sql("SELECT parent_name || ' ' || parent_step FROM execution WHERE parent_step = 2"),
            absl::StrCat(ExecutionName(parent.id), " 2"));
  EXPECT_EQ(Count("request_key"), 2) << "the parent's and the child's";
  EXPECT_EQ(Count(absl::StrCat("audit WHERE body LIKE '%", child_.ToString(), "%submit%'")), 1);
}

TEST_F(ChildTest, AStepThatIsNotStoredSubmitsAndTellsNothing) {
  HeldExecution parent = SubmitAndClaim(worker_);
  const HeldExecution other = SubmitAndClaim(worker_);
  storage::Commit late = MakeSubmit(parent, child_);
  late.lease.epoch += 1;
  late.tells.push_back(TellOf(other.id));

  EXPECT_THAT(Commit(late), IsOkAndHolds(CommitResult::kFenced));

  EXPECT_EQ(Count("execution"), 2);
  EXPECT_EQ(Count("signal"), 0);
}

TEST_F(ChildTest, WhatAStepSubmitsHasNoRequestId) {
  const HeldExecution parent = SubmitAndClaim(worker_);
  storage::Commit commit = MakeSubmit(parent, child_);
  commit.children[0].execution.request_id = "mine";

  EXPECT_THAT(Commit(commit), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ChildTest, TheEndIsToldInItsOwnTransactionAndWakesTheOneThatWaits) {
  const HeldExecution parent = SubmitAndClaim(worker_);
  ASSERT_OK(Commit(MakeSubmit(parent, child_)));
  const HeldExecution child = Claim(worker_).at(0);

  ASSERT_THAT(Commit(MakeEndThatTells(child, parent.id)), IsOkAndHolds(CommitResult::kCommitted));

  const auto woken = Claim(worker_);
  ASSERT_THAT(woken, SizeIs(1));
  EXPECT_EQ(woken[0].id, parent.id);
  EXPECT_EQ(woken[0].signals, 1);
  const auto signals = leases().ReadSignals(parent.id, 0);
  ASSERT_OK(signals);
  ASSERT_THAT(*signals, SizeIs(1));
  EXPECT_EQ((*signals)[0].kind, SignalKind::kChildEnded);
  EXPECT_EQ((*signals)[0].caller, "executions/c");
  EXPECT_EQ((*signals)[0].detail, "how it ended");
  EXPECT_EQ(Count("parked"), 0);
}

TEST_F(ChildTest, OneThatIsHeldIsToldThroughTheFeed) {
  const HeldExecution parent = SubmitAndClaim(worker_), child = SubmitAndClaim(worker_);

  ASSERT_OK(Commit(MakeEndThatTells(child, parent.id)));

  EXPECT_EQ(Count(absl::StrCat("feed WHERE kind = 2 AND '", parent.id.ToString(), "' = ANY (ids)")),
            1);
  storage::Commit blind = MakeStep(parent, v1::Execution::STATE_VALIDATING);
  blind.expected_signals = 0;
  EXPECT_THAT(Commit(blind), IsOkAndHolds(CommitResult::kSignalsMoved));
}

TEST_F(ChildTest, OneThatHasEndedOrDoesNotExistIsToldNothing) {
  const HeldExecution parent = SubmitAndClaim(worker_), child = SubmitAndClaim(worker_);
  ASSERT_OK(Commit(MakeEnd(parent)));
  storage::Commit end = MakeEndThatTells(child, parent.id);
  end.tells.push_back(TellOf(ExecutionId::Make(absl::Now())));

  EXPECT_THAT(Commit(end), IsOkAndHolds(CommitResult::kCommitted));

  EXPECT_EQ(Count("signal"), 0);
  EXPECT_THAT(Claim(worker_), IsEmpty());
}

TEST_F(ChildTest, EndsOfOneFlushAreNumberedOneAfterTheOther) {
  const auto held = HoldTogether(worker_, 6);
  const HeldExecution& first = held[0];
  const HeldExecution& second = held[1];
  ASSERT_OK(Commit(MakePark(first, absl::Hours(1))));
  const std::int64_t before = SignalsOf(first.id);

  const auto results =
      CommitTogether({MakeEndThatTells(held[2], first.id), MakeEndThatTells(held[3], second.id),
                      MakeEndThatTells(held[4], first.id), MakeEndThatTells(held[5], first.id)});

  EXPECT_THAT(results, ::testing::Each(CommitResult::kCommitted));
  EXPECT_EQ(before, 0);
  EXPECT_EQ(SignalsOf(first.id), 3);
  EXPECT_EQ(SignalsOf(second.id), 1);
  EXPECT_EQ(Sql("SELECT max(number) FROM signal"), "3");
  const auto woken = Claim(worker_);
  ASSERT_THAT(woken, SizeIs(1));
  EXPECT_EQ(woken[0].signals, 3);
}

TEST_F(ChildTest, AnEndAndTheParkOfTheOneThatWaitsForItInOneFlushLeaveItAwake) {
  const auto held = HoldTogether(worker_, 2);

  const auto results =
      CommitTogether({MakePark(held[0], absl::Hours(1)), MakeEndThatTells(held[1], held[0].id)});

  EXPECT_EQ(results[1], CommitResult::kCommitted);
  EXPECT_EQ(Count("parked"), 0);
  EXPECT_EQ(SignalsOf(held[0].id), 1);
  EXPECT_EQ(Count("execution WHERE lease_id IS NULL AND state NOT IN (6, 7, 8)"), 0);
}

TEST_F(ChildTest, AStepMayTellTheOneThatItSubmittedToEnd) {
  const HeldExecution parent = SubmitAndClaim(worker_), child = SubmitAndClaim(worker_);
  ASSERT_OK(Commit(MakePark(child, absl::Hours(1))));
  storage::Commit commit = MakeStep(parent, v1::Execution::STATE_RUNNING);
  commit.tells.push_back({child.id, {.kind = SignalKind::kCancel, .reason = "its task ends"}});

  ASSERT_OK(Commit(commit));

  const auto signals = leases().ReadSignals(child.id, 0);
  ASSERT_OK(signals);
  ASSERT_THAT(*signals, SizeIs(1));
  EXPECT_EQ((*signals)[0].kind, SignalKind::kCancel);
  EXPECT_EQ(Claim(worker_).at(0).id, child.id);
}

}  // namespace
}  // namespace capstan::storage
