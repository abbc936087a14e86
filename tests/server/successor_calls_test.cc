// Who calls, cancelling by parent, retry, rollback, explanation.
#include "tests/server/operator_fixture.h"

namespace capstan::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using v1::Execution;

constexpr char kRequestId[] = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";

// ---- who calls

class CallerTest : public OperatorTest {
 protected:
  // Who an execution says has called, whose caller says to be `name`.
  std::string CallerOfASubmitBy(const std::string& name) {
    grpc::ClientContext context;
    context.AddMetadata("capstan-caller", name);
    v1::ExecuteActionRequest request = ScaleRequest();
    request.set_wait_until(v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED);
    const auto reader = server().executions().ExecuteAction(&context, request);
    v1::ExecuteActionResponse first;
    EXPECT_TRUE(reader->Read(&first));
    return first.update().snapshot().caller();
  }
};

TEST_F(CallerTest, TheDevelopmentIdentityIsShownAsUnauthenticatedEverywhere) {
  EXPECT_EQ(CallerOfASubmitBy("ann"), "unauthenticated:ann");
  EXPECT_THAT(Sql("SELECT body FROM audit"), HasSubstr("unauthenticated:ann"));
}

TEST_F(CallerTest, WithoutTheDevelopmentIdentityNobodyIsBelieved) {
  service_.development_identity = false;
  EXPECT_EQ(CallerOfASubmitBy("ann"), "anonymous");
}

// ---- the request

TEST_F(OperatorTest, WhatARequestSaysOfConflictsRetriesAndConditionsIsChecked) {
  v1::ExecuteActionRequest request = ScaleRequest();
  request.set_on_conflict(static_cast<Execution::OnConflict>(9));
  request.set_max_retries(6);
  (*request.mutable_condition_overrides())["no_such_condition"] = false;
  const grpc::Status status = ExecuteStatus(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("on_conflict: got 9"));
  EXPECT_THAT(status.error_message(), HasSubstr("max_retries: got 6, want 0 to 5"));
  EXPECT_THAT(status.error_message(), HasSubstr("condition_overrides: got \"no_such_condition\""));
  EXPECT_EQ(Count("execution"), 0);
}

TEST_F(OperatorTest, S2_13_TheDefaultIsTwoRetriesAndWaiting) {
  const Execution execution = Get(Accept(ScaleRequest()));
  EXPECT_EQ(execution.max_retries(), 2);
  EXPECT_EQ(execution.on_conflict(), Execution::ON_CONFLICT_WAIT);
}

TEST_F(OperatorTest, S2_21a_CancellingByParentReachesAllThatLiveAndNothingElse) {
  v1::ExecuteActionRequest mine = ScaleRequest(), other = ScaleRequest();
  mine.mutable_parent()->set_name("wf-1");
  mine.mutable_parent()->set_step(1);
  other.mutable_parent()->set_name("wf-2");
  other.mutable_parent()->set_step(1);
  const std::string ended = Accept(mine);
  RunToEnd(ended);
  const std::string first = Accept(mine), second = Accept(mine);
  Accept(other);
  v1::CancelExecutionsRequest request;
  v1::CancelExecutionsResponse response;
  const auto method = &v1::ExecutionService::Stub::CancelExecutions;
  EXPECT_THAT(Call(server().executions(), method, request, response).error_message(),
              HasSubstr("parent: got nothing"));
  request.set_parent("wf-1");
  ASSERT_TRUE(Call(server().executions(), method, request, response).ok());
  EXPECT_THAT(response.cancelled(), ElementsAre(first, second));
  EXPECT_EQ(Count("signal"), 2);
}

// ---- retry

TEST_F(OperatorTest, ARetryIsANewLinkedExecutionOnceForEachRequestId) {
  const std::string name = Accept(ScaleRequest());
  Fail(name, Execution::EFFECT_NONE);
  v1::RetryExecutionRequest request;
  request.set_name(name);
  request.set_request_id(kRequestId);
  v1::RetryExecutionResponse first, second;
  const auto method = &v1::ExecutionService::Stub::RetryExecution;
  ASSERT_TRUE(Call(server().executions(), method, request, first).ok());
  ASSERT_TRUE(Call(server().executions(), method, request, second).ok());
  EXPECT_EQ(first.execution().retry_of(), name);
  EXPECT_NE(first.execution().name(), name);
  EXPECT_EQ(first.execution().parameters().fields().at("replicas").number_value(), 3);
  EXPECT_TRUE(second.deduplicated());
  EXPECT_EQ(second.execution().name(), first.execution().name());
}

TEST_F(OperatorTest, ARetryOfWhatMayHaveHappenedNeedsSomebodyWhoHasLooked) {
  const std::string name = Accept(ScaleRequest());
  v1::RetryExecutionRequest request;
  request.set_name(name);
  v1::RetryExecutionResponse response;
  const auto method = &v1::ExecutionService::Stub::RetryExecution;
  grpc::Status status = Call(server().executions(), method, request, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ReasonOf(status), "NOT_ENDED");
  Fail(name, Execution::EFFECT_POSSIBLE);
  status = Call(server().executions(), method, request, response);
  EXPECT_EQ(ReasonOf(status), "EFFECT_POSSIBLE");
  request.set_accept_repeated_effect(true);
  EXPECT_TRUE(Call(server().executions(), method, request, response).ok());
}

TEST_F(OperatorTest, RetryAndRollbackRefuseUnknownExecutionsAndBadNames) {
  v1::RetryExecutionRequest request;
  request.set_name("executions/01940000-0000-7000-8000-000000000000");
  v1::RetryExecutionResponse response;
  const auto method = &v1::ExecutionService::Stub::RetryExecution;
  EXPECT_EQ(Call(server().executions(), method, request, response).error_code(),
            grpc::StatusCode::NOT_FOUND);
  request.set_name("nonsense");
  EXPECT_EQ(Call(server().executions(), method, request, response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  request.set_name("executions/01940000-0000-7000-8000-000000000000");
  request.set_request_id("not a uuid");
  EXPECT_THAT(Call(server().executions(), method, request, response).error_message(),
              HasSubstr("request_id"));
}

// ---- rollback

TEST_F(OperatorTest, S2_45_ARollbackRunsTheRecordedInverseIfTheTargetIsAsItWasLeft) {
  const std::string name = Accept(ScaleRequest());
  Succeed(name);
  v1::RollbackExecutionRequest request;
  request.set_name(name);
  v1::RollbackExecutionResponse response;
  ASSERT_TRUE(
      Call(server().executions(), &v1::ExecutionService::Stub::RollbackExecution, request, response)
          .ok());
  EXPECT_EQ(response.execution().rollback_of(), name);
  EXPECT_EQ(response.execution().parameters().fields().at("replicas").number_value(), 1);
  const auto events = Events(response.execution().name());
  EXPECT_EQ(events[0].accepted().expected().fields().at("replicas").number_value(), 3);
}

TEST_F(OperatorTest, S2_45_ThereIsNothingToRollBackBeforeItHasRun) {
  const std::string name = Accept(ScaleRequest());
  v1::RollbackExecutionRequest request;
  request.set_name(name);
  v1::RollbackExecutionResponse response;
  const auto method = &v1::ExecutionService::Stub::RollbackExecution;
  EXPECT_EQ(ReasonOf(Call(server().executions(), method, request, response)), "NOT_ENDED");
  Fail(name, Execution::EFFECT_POSSIBLE);
  EXPECT_EQ(ReasonOf(Call(server().executions(), method, request, response)), "NOTHING_TO_UNDO");
}

TEST_F(OperatorTest, ARequestIdOfARetryIsRefusedForARollback) {
  const std::string name = Accept(ScaleRequest());
  End(name, Execution::STATE_FAILED, [](v1::StateChanged& changed) {
    changed.mutable_outcome()->set_effect(Execution::EFFECT_APPLIED);
    changed.mutable_outcome()->add_resources()->mutable_after();
  });
  v1::RetryExecutionRequest retry;
  v1::RetryExecutionResponse retried;
  retry.set_name(name);
  retry.set_request_id(kRequestId);
  retry.set_accept_repeated_effect(true);
  ASSERT_TRUE(
      Call(server().executions(), &v1::ExecutionService::Stub::RetryExecution, retry, retried)
          .ok());
  v1::RollbackExecutionRequest rollback;
  v1::RollbackExecutionResponse rolled_back;
  rollback.set_name(name);
  rollback.set_request_id(kRequestId);
  rollback.set_dry_run(true);  // the same bytes as accept_repeated_effect

  const grpc::Status status = Call(
      server().executions(), &v1::ExecutionService::Stub::RollbackExecution, rollback, rolled_back);

  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_THAT(status.error_message(), HasSubstr("request_id"));
}

// ---- explain

TEST_F(OperatorTest, AnExplanationSaysWhatHoldsItAndWhatClearsIt) {
  const std::string name = Accept(ScaleRequest());
  v1::ExplainExecutionRequest request;
  request.set_name(name);
  v1::ExplainExecutionResponse response;
  const auto method = &v1::ExecutionService::Stub::ExplainExecution;
  ASSERT_TRUE(Call(server().executions(), method, request, response).ok());
  EXPECT_EQ(response.reasons(0).code(), "NO_LIVE_WORKER");
  EXPECT_EQ(response.next_time().seconds(), response.execution().queue_deadline().seconds());

  AskForApproval(name);
  ASSERT_TRUE(Call(server().executions(), method, request, response).ok());
  EXPECT_EQ(response.reasons(0).code(), "APPROVAL");
  EXPECT_THAT(response.reasons(0).clears(), HasSubstr("capstan approval approve"));
}

TEST_F(OperatorTest, AnExplanationOfAFailureSaysWhetherSomethingMayHaveChanged) {
  const std::string name = Accept(ScaleRequest());
  Fail(name, Execution::EFFECT_POSSIBLE);
  v1::ExplainExecutionRequest request;
  request.set_name(name);
  v1::ExplainExecutionResponse response;
  ASSERT_TRUE(
      Call(server().executions(), &v1::ExecutionService::Stub::ExplainExecution, request, response)
          .ok());
  ASSERT_THAT(response.reasons(), SizeIs(1));
  EXPECT_EQ(response.reasons(0).code(), "ENDED");
  EXPECT_THAT(response.reasons(0).message(), HasSubstr("JOB_FAILED"));
  EXPECT_THAT(response.reasons(0).clears(), HasSubstr("look at the target first"));
}

}  // namespace
}  // namespace capstan::server
