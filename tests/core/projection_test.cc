#include "core/projection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

namespace capstan {
namespace {

using ::testing::SizeIs;
using v1::Execution;

// Events numbered from 1, a second apart.
class History {
 public:
  v1::ExecutionEvent& Add() {
    v1::ExecutionEvent& event = events_.emplace_back();
    event.set_execution("executions/e");
    event.set_correlation_id("c");
    event.set_seq(static_cast<std::int64_t>(events_.size()));
    event.mutable_time()->set_seconds(1000 + event.seq());
    return event;
  }
  History& Accepted() {
    v1::Accepted& accepted = *Add().mutable_accepted();
    accepted.set_action("ScaleDeployment");
    accepted.set_priority(3);
    accepted.mutable_target()->set_name("web");
    return *this;
  }
  History& State(Execution::State from, Execution::State to,
                 Execution::FailureReason reason = Execution::FAILURE_REASON_UNSPECIFIED) {
    v1::StateChanged& change = *Add().mutable_state_changed();
    change.set_from(from);
    change.set_to(to);
    change.set_failure_reason(reason);
    return *this;
  }
  Execution Snapshot() const { return Project(events_); }

 private:
  std::vector<v1::ExecutionEvent> events_;
};

const v1::Condition* Find(const Execution& execution, const std::string& type) {
  for (const v1::Condition& condition : execution.conditions()) {
    if (condition.type() == type) return &condition;
  }
  return nullptr;
}

constexpr auto kPending = Execution::STATE_PENDING;
constexpr auto kValidating = Execution::STATE_VALIDATING;
constexpr auto kRunning = Execution::STATE_RUNNING;
constexpr auto kVerifying = Execution::STATE_VERIFYING;
constexpr auto kSucceeded = Execution::STATE_SUCCEEDED;
constexpr auto kFailed = Execution::STATE_FAILED;

TEST(ProjectionTest, NoEventsGiveNothing) { EXPECT_EQ(Project({}).ByteSizeLong(), 0u); }

TEST(ProjectionTest, S2_5_TheRequestIsShownAsAccepted) {
  const Execution execution = History().Accepted().Snapshot();

  EXPECT_EQ(execution.name(), "executions/e");
  EXPECT_EQ(execution.state(), kPending);
  EXPECT_EQ(execution.action(), "ScaleDeployment");
  EXPECT_EQ(execution.target().name(), "web");
  EXPECT_EQ(execution.correlation_id(), "c");
  EXPECT_EQ(execution.create_time().seconds(), 1001);
  EXPECT_EQ(execution.seq(), 1);
}

TEST(ProjectionTest, S2_4_TimesOfAWholeRunFollowTheirEvents) {
  History history;
  history.Accepted().State(kPending, kValidating);
  history.Add().mutable_job_created()->mutable_job()->set_uid("u-1");
  history.State(kValidating, kRunning);
  history.Add().mutable_job_finished()->set_succeeded(true);
  history.State(kRunning, kVerifying).State(kVerifying, kSucceeded);

  const Execution execution = history.Snapshot();

  EXPECT_EQ(execution.validation_start_time().seconds(), 1002);
  EXPECT_EQ(execution.execution_start_time().seconds(), 1003);
  EXPECT_EQ(execution.validation_end_time().seconds(), 1004);
  EXPECT_EQ(execution.execution_end_time().seconds(), 1005);
  EXPECT_EQ(execution.finish_time().seconds(), 1007);
  EXPECT_EQ(execution.update_time().seconds(), 1007);
  EXPECT_EQ(execution.job().uid(), "u-1");
}

TEST(ProjectionTest, S2_4_ARetryKeepsTheFirstValidationStart) {
  const Execution execution = History()
                                  .Accepted()
                                  .State(kPending, kValidating)
                                  .State(kValidating, kPending)
                                  .State(kPending, kValidating)
                                  .Snapshot();

  EXPECT_EQ(execution.validation_start_time().seconds(), 1002);
  EXPECT_FALSE(execution.has_validation_end_time());
}

TEST(ProjectionTest, S2_6_ConditionsAreUpsertedByTypeNeverAppended) {
  History history;
  history.Accepted();
  history.Add().mutable_policy_evaluated()->mutable_decision()->set_error("timed out");
  history.Add().mutable_policy_evaluated()->mutable_decision()->set_allow(true);
  history.Add().mutable_policy_evaluated()->mutable_decision()->set_allow(true);

  const Execution execution = history.Snapshot();

  EXPECT_THAT(execution.conditions(), SizeIs(1));
  const v1::Condition* condition = Find(execution, "PolicyEvaluated");
  ASSERT_NE(condition, nullptr);
  EXPECT_TRUE(condition->status());
  EXPECT_EQ(condition->last_transition_time().seconds(), 1003) << "nothing changed after it";
}

TEST(ProjectionTest, S2_6_APolicyDenialNamesItsRules) {
  History history;
  history.Accepted().State(kPending, kValidating);
  v1::PolicyViolation& violation =
      *history.Add().mutable_policy_evaluated()->mutable_decision()->add_violations();
  violation.set_id("namespace-restrictions/kube-system");
  violation.set_message("kube-system is not to be touched");
  history.State(kValidating, kFailed, Execution::FAILURE_REASON_POLICY_DENIED);

  const Execution execution = history.Snapshot();

  const v1::Condition* policy = Find(execution, "PolicyEvaluated");
  const v1::Condition* validated = Find(execution, "ActionValidated");
  ASSERT_NE(policy, nullptr);
  ASSERT_NE(validated, nullptr);
  EXPECT_FALSE(policy->status());
  EXPECT_EQ(policy->reason(), "SafetyPolicyDenied");
  EXPECT_EQ(policy->message(),
            "namespace-restrictions/kube-system: kube-system is not to be touched");
  EXPECT_FALSE(validated->status());
  EXPECT_EQ(validated->reason(), "SafetyPolicyDenied");
  EXPECT_EQ(execution.policy_decision().violations_size(), 1);
}

TEST(ProjectionTest, S2_6_UnknownActionAndInvalidParametersHaveTheirReasons) {
  const auto reason_of = [](Execution::FailureReason reason) {
    const Execution execution = History()
                                    .Accepted()
                                    .State(kPending, kValidating)
                                    .State(kValidating, kFailed, reason)
                                    .Snapshot();
    const v1::Condition* condition = Find(execution, "ActionValidated");
    return condition == nullptr ? "none" : condition->reason();
  };

  EXPECT_EQ(reason_of(Execution::FAILURE_REASON_UNKNOWN_ACTION), "UnknownAction");
  EXPECT_EQ(reason_of(Execution::FAILURE_REASON_INVALID_PARAMETERS), "InvalidParameters");
}

TEST(ProjectionTest, S2_36_ADryRunHasItsConditionAndItsPlan) {
  History history;
  history.Accepted().State(kPending, kValidating);
  v1::StateChanged& end = *history.Add().mutable_state_changed();
  end.set_from(kValidating);
  end.set_to(kSucceeded);
  end.mutable_outcome()->set_dry_run(true);
  end.mutable_outcome()->mutable_plan()->set_digest("d");

  const Execution execution = history.Snapshot();

  const v1::Condition* condition = Find(execution, "DryRunCompleted");
  ASSERT_NE(condition, nullptr);
  EXPECT_TRUE(condition->status());
  EXPECT_EQ(condition->reason(), "ValidationSucceeded");
  EXPECT_EQ(execution.outcome().plan().digest(), "d");
}

TEST(ProjectionTest, AFailedJobHasItsReason) {
  History history;
  history.Accepted();
  v1::JobFinished& finished = *history.Add().mutable_job_finished();
  finished.set_failure_reason(Execution::FAILURE_REASON_OOM_KILLED);
  finished.set_message("container kubectl was killed");

  const Execution execution = history.Snapshot();
  const v1::Condition* condition = Find(execution, "JobCompleted");

  ASSERT_NE(condition, nullptr);
  EXPECT_FALSE(condition->status());
  EXPECT_EQ(condition->reason(), "OomKilled");
}

TEST(ProjectionTest, S2_3_AnUnknownStateOrEventOfANewerProgramOnlyMovesSeq) {
  History history;
  history.Accepted();
  history.State(kPending, static_cast<Execution::State>(99));
  history.Add();  // no payload this program knows

  const Execution execution = history.Snapshot();

  EXPECT_EQ(execution.state(), kPending);
  EXPECT_EQ(execution.seq(), 3);
}

TEST(ProjectionTest, ACancelRequestAndTheTargetsUidAreShown) {
  History history;
  history.Accepted();
  history.Add().mutable_policy_evaluated()->set_target_uid("u-9");
  history.Add().mutable_cancel_requested()->set_caller("me");

  EXPECT_TRUE(history.Snapshot().cancel_requested());
  EXPECT_EQ(history.Snapshot().target().uid(), "u-9");
}

}  // namespace
}  // namespace capstan
