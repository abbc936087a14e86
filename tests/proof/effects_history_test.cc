// The audit log, rollbacks and armed Jobs in the history checker: each promise is broken once by
// the smallest change that breaks it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/proof/story.h"

namespace capstan::proof {
namespace {

using ::testing::IsEmpty;
using v1::Execution;

// Scales default/web and is undone later; both are asked for approval, and are in the audit log.
class EffectsHistoryTest : public ::testing::Test {
 protected:
  EffectsHistoryTest() {
    Run(done_, 1, 3);
    undo_.start = 100;
    Run(undo_, 3, 1);
  }

  void Run(Story& story, int from, int to) {
    story.Accept("ScaleDeployment");
    v1::Accepted& accepted = *EventOf(story, 1).mutable_accepted();
    (*accepted.mutable_parameters()->mutable_fields())["replicas"].set_number_value(to);
    if (&story == &undo_) {
      accepted.set_rollback_of(done_.name);
      accepted.mutable_expected();
    }
    story.Decide(true);
    story.Ask(1, 1);
    story.Vote("bob");
    story.EndApproval(1, v1::ApprovalSummary::STATE_APPROVED);
    const int armed = story.now() + 3;
    story.Launch();
    story.history.scales.push_back({"default", "web", from, to, JobOf(story), kUid});
    story.Succeed();
    history_.armed.push_back({JobOf(story), At(armed), At(story.now() - 2)});
    history_.records.push_back({"submit", story.name, "alice", "", ""});
    history_.records.push_back({"approve", story.name, "bob", "", ""});
    history_.records.push_back({"end", story.name, "alice", "SUCCEEDED", kUid});
  }

  static std::string JobOf(const Story& story) {
    return Cat(kJobNamePrefix, ParseExecutionName(story.name)->ToHex());
  }
  v1::ExecutionEvent& EventOf(const Story& story, int seq) {
    return *std::find_if(history_.events.begin(), history_.events.end(), [&](const auto& event) {
      return event.execution() == story.name && event.seq() == seq;
    });
  }
  AuditRow& RowOf(const std::string& kind) {
    return *std::find_if(history_.records.begin(), history_.records.end(),
                         [&](const AuditRow& row) { return row.kind == kind; });
  }
  void Remove(const std::string& kind) {
    std::erase_if(history_.records, [&](const AuditRow& row) { return row.kind == kind; });
  }

  History history_;
  Story done_{history_};
  Story undo_{history_};
};

TEST_F(EffectsHistoryTest, DoneAndUndoneBreaksNothing) { EXPECT_THAT(Check(history_), IsEmpty()); }

// ---- 12

TEST_F(EffectsHistoryTest, ASubmitWithoutItsRowIsFound) {
  Remove("submit");
  EXPECT_THAT(Check(history_), Breaks(Property::kWrittenDown, "submit of alice is not in"));
}

TEST_F(EffectsHistoryTest, AVoteWithoutItsRowIsFound) {
  RowOf("approve").caller = "carol";
  EXPECT_THAT(Check(history_), Breaks(Property::kWrittenDown, "approve of bob is not in"));
}

TEST_F(EffectsHistoryTest, ACancelWithoutItsRowIsFound) {
  Story late{history_, 200};
  late.Accept();
  late.Event().mutable_cancel_requested()->set_caller("dave");
  late.End(Execution::STATE_CANCELLED, Execution::EFFECT_NONE);
  history_.records.push_back({"submit", late.name, "alice", "", ""});
  history_.records.push_back({"end", late.name, "alice", "CANCELLED", ""});
  EXPECT_THAT(Check(history_), Breaks(Property::kWrittenDown, "cancel of dave is not in"));
  history_.records.push_back({"cancel", late.name, "dave", "", ""});
  EXPECT_THAT(Check(history_), IsEmpty());
}

TEST_F(EffectsHistoryTest, AnEndWithoutItsRowIsFound) {
  Remove("end");
  EXPECT_THAT(Check(history_), Breaks(Property::kWrittenDown, "its end is not in the audit log"));
}

TEST_F(EffectsHistoryTest, AnEndThatIsAuditedTwiceIsFound) {
  history_.records.push_back(RowOf("end"));
  EXPECT_THAT(Check(history_), Breaks(Property::kWrittenDown, "its end is audited twice"));
}

TEST_F(EffectsHistoryTest, AnAuditedEndThatIsAnotherOneIsFound) {
  RowOf("end").state = "FAILED";
  EXPECT_THAT(Check(history_), Breaks(Property::kWrittenDown, "is audited as FAILED"));
}

TEST_F(EffectsHistoryTest, AnAuditedEndThatDoesNotNameTheLaunchedJobIsFound) {
  RowOf("end").job_uid = "";
  EXPECT_THAT(Check(history_), Breaks(Property::kWrittenDown, "not the launched one"));
}

TEST_F(EffectsHistoryTest, ARowOfNoExecutionIsFound) {
  RowOf("submit").execution = ExecutionName(ExecutionId::Make(At(0)));
  EXPECT_THAT(Check(history_), Breaks(Property::kWrittenDown, "and not stored"));
}

// ---- 13

TEST_F(EffectsHistoryTest, ARollbackOfWhatHadMovedIsFound) {
  history_.scales.back().from = 4;
  EXPECT_THAT(Check(history_), Breaks(Property::kUndoneAsLeft, "left at 3 and had become 4"));
}

TEST_F(EffectsHistoryTest, ARollbackThatIsNotHeldToWhatWasLeftIsFound) {
  EventOf(undo_, 1).mutable_accepted()->clear_expected();
  EXPECT_THAT(Check(history_), Breaks(Property::kUndoneAsLeft, "is not held to what"));
}

TEST_F(EffectsHistoryTest, ARetryThatAcceptsARepeatedEffectMayUndoWhatHasMoved) {
  EventOf(undo_, 1).mutable_accepted()->clear_expected();
  EventOf(undo_, 1).mutable_accepted()->set_retry_of(undo_.name);
  history_.scales.back().from = 4;
  EXPECT_THAT(Check(history_), IsEmpty());
}

TEST_F(EffectsHistoryTest, ARollbackToSomethingElseIsFound) {
  history_.scales.back().to = 2;
  EXPECT_THAT(Check(history_), Breaks(Property::kUndoneAsLeft, "goes back to 2 where 1"));
}

TEST_F(EffectsHistoryTest, ARollbackOfWhatChangedNothingIsFound) {
  history_.scales.erase(history_.scales.begin());
  EXPECT_THAT(Check(history_), Breaks(Property::kUndoneAsLeft, "which changed nothing"));
}

TEST_F(EffectsHistoryTest, ARollbackOfWhatDidNotSucceedIsFound) {
  EventOf(done_, done_.seq).mutable_state_changed()->set_to(Execution::STATE_FAILED);
  EXPECT_THAT(Check(history_), Breaks(Property::kUndoneAsLeft, "which did not succeed"));
}

TEST_F(EffectsHistoryTest, ARollbackOfNothingIsFound) {
  EventOf(undo_, 1).mutable_accepted()->set_rollback_of("executions/none");
  EXPECT_THAT(Check(history_), Breaks(Property::kUndoneAsLeft, "undoes what is not stored"));
}

// ---- 14

TEST_F(EffectsHistoryTest, TwoArmedJobsOnOneTargetAreFound) {
  history_.armed.front().until = history_.armed.back().from + absl::Milliseconds(1);
  EXPECT_THAT(Check(history_), Breaks(Property::kOneArmedJob, "its Job was armed on"));
}

TEST_F(EffectsHistoryTest, TwoArmedJobsOnTwoTargetsBreakNothing) {
  history_.armed.front().until = history_.armed.back().from + absl::Milliseconds(1);
  EventOf(undo_, 1).mutable_accepted()->mutable_target()->set_name("api");
  EXPECT_THAT(Check(history_), ::testing::Not(Breaks(Property::kOneArmedJob, "")));
}

TEST_F(EffectsHistoryTest, AJobThatNeverFinishesIsFound) {
  history_.armed.back().until.reset();
  EXPECT_THAT(Check(history_), Breaks(Property::kOneArmedJob, "its Job has not finished"));
}

TEST_F(EffectsHistoryTest, AWriteByThePodOfNoExecutionIsFound) {
  kubesim::AuditEntry write = history_.audit.front();
  write.resource = "deployments";
  write.actor_job = "capstan-nobody";
  history_.audit.push_back(write);
  EXPECT_THAT(Check(history_), Breaks(Property::kOneAllowedEffect, "of no execution, wrote to"));
}

}  // namespace
}  // namespace capstan::proof
