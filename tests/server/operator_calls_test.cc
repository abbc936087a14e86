// Approvals, emergency stops, targets, stored policy decisions, the audit log.
#include "absl/strings/str_cat.h"
#include "capstan/engine/v1/action_state.pb.h"
#include "server/cancel.h"
#include "tests/server/operator_fixture.h"

namespace capstan::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;
using v1::Execution;

constexpr char kRequestId[] = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";
constexpr char kTarget[] = "Deployment/shop/web";

// ---- approvals

TEST_F(OperatorTest, S2_37_AnOpenApprovalIsListedAndDecidedByAnother) {
  grpc::ClientContext context;
  context.AddMetadata("capstan-caller", "ann");
  v1::ExecuteActionRequest submit = ScaleRequest();
  submit.set_wait_until(v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED);
  v1::ExecuteActionResponse accepted;
  ASSERT_TRUE(server().executions().ExecuteAction(&context, submit)->Read(&accepted));
  const std::string name = accepted.update().snapshot().name();
  EXPECT_EQ(ReasonOf(Decide(name, "bob")), "NO_PENDING_APPROVAL");
  AskForApproval(name);

  v1::ListApprovalsResponse open;
  ASSERT_TRUE(Call(server().approvals(), &v1::ApprovalService::Stub::ListApprovals,
                   v1::ListApprovalsRequest(), open)
                  .ok());
  ASSERT_THAT(open.approvals(), SizeIs(1));
  EXPECT_EQ(open.approvals(0).execution(), name);
  EXPECT_EQ(open.approvals(0).requester(), "unauthenticated:ann");
  EXPECT_EQ(open.approvals(0).approval().plan_digest(), "digest");

  grpc::Status status = Decide(name, "ann");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(ReasonOf(status), "SELF_APPROVAL");
  status = Decide(name, "bob", [](auto& request) { request.set_plan_digest("other"); });
  EXPECT_EQ(ReasonOf(status), "PLAN_CHANGED");
  status = Decide(name, "bob", [](auto& request) { request.clear_reason(); });
  EXPECT_THAT(status.error_message(), HasSubstr("reason: got nothing"));
  status = Decide(name, "bob", [](auto& request) { request.clear_decision(); });
  EXPECT_THAT(status.error_message(), HasSubstr("decision: got 0"));
  ASSERT_TRUE(Decide(name, "bob").ok());

  const storage::HeldExecution woken = Hold(name);
  const auto signals = leases().ReadSignals(woken.id, 0);
  ASSERT_OK(signals);
  ASSERT_THAT(*signals, SizeIs(1));
  EXPECT_EQ((*signals)[0].kind, storage::SignalKind::kApprove);
  EXPECT_EQ((*signals)[0].caller, "unauthenticated:bob");
  engine::v1::ApprovalVote vote;
  ASSERT_TRUE(vote.ParseFromString((*signals)[0].detail));
  EXPECT_EQ(vote.plan_digest(), "digest");
}

TEST_F(OperatorTest, OnlyMembersOfTheGroupDecide) {
  service_.groups["sre"] = {"unauthenticated:bob"};
  const std::string name = Accept(ScaleRequest());
  AskForApproval(name, "sre");
  const grpc::Status status = Decide(name, "cid");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(ReasonOf(status), "NOT_AN_APPROVER");
  EXPECT_THAT(status.error_message(), HasSubstr("sre"));
  EXPECT_TRUE(Decide(name, "bob").ok());
}

// ---- emergency stops

TEST_F(OperatorTest, S2_21_AStopIsMadeListedAndLifted) {
  v1::EmergencyStopRequest request;
  v1::EmergencyStopResponse stopped;
  const auto stop = &v1::AdminService::Stub::EmergencyStop;
  EXPECT_THAT(Call(server().admin(), stop, request, stopped).error_message(),
              HasSubstr("scope: got nothing"));
  request.mutable_scope()->set_namespace_("Not A Namespace");
  EXPECT_THAT(Call(server().admin(), stop, request, stopped).error_message(),
              HasSubstr("scope.namespace"));
  request.mutable_scope()->set_action("NoSuchAction");
  EXPECT_THAT(Call(server().admin(), stop, request, stopped).error_message(),
              HasSubstr("want one of: CordonNode"));
  request.mutable_scope()->set_worker("workers/x");
  EXPECT_THAT(Call(server().admin(), stop, request, stopped).error_message(),
              HasSubstr("want workers/{uuid}"));
  request.mutable_scope()->set_namespace_("shop");
  EXPECT_THAT(Call(server().admin(), stop, request, stopped).error_message(),
              HasSubstr("reason: got nothing"));
  request.set_reason("fire");
  request.set_request_id(kRequestId);
  ASSERT_TRUE(Call(server().admin(), stop, request, stopped, "ann").ok());
  const std::string name = stopped.stop().name();
  EXPECT_THAT(name, StartsWith("stops/"));
  EXPECT_EQ(stopped.stop().caller(), "unauthenticated:ann");
  ASSERT_TRUE(Call(server().admin(), stop, request, stopped, "ann").ok());
  EXPECT_EQ(stopped.stop().name(), name) << "the same request id";

  v1::ListEmergencyStopsResponse listed;
  ASSERT_TRUE(Call(server().admin(), &v1::AdminService::Stub::ListEmergencyStops,
                   v1::ListEmergencyStopsRequest(), listed)
                  .ok());
  EXPECT_THAT(listed.stops(), SizeIs(1));

  v1::LiftEmergencyStopRequest lift;
  v1::LiftEmergencyStopResponse lifted;
  const auto lifting = &v1::AdminService::Stub::LiftEmergencyStop;
  lift.set_name("stops/999");
  lift.set_reason("out");
  EXPECT_EQ(Call(server().admin(), lifting, lift, lifted).error_code(),
            grpc::StatusCode::NOT_FOUND);
  lift.set_name(name);
  ASSERT_TRUE(Call(server().admin(), lifting, lift, lifted).ok());
  EXPECT_TRUE(lifted.stop().has_lift_time());
  ASSERT_TRUE(Call(server().admin(), lifting, lift, lifted).ok()) << "again is fine";
}

TEST_F(OperatorTest, S2_21_ARequestIdOfAStopIsRefusedForAnotherScope) {
  const auto stop = &v1::AdminService::Stub::EmergencyStop;
  v1::EmergencyStopRequest request;
  v1::EmergencyStopResponse response;
  request.set_request_id(kRequestId);
  request.set_reason("fire");
  request.mutable_scope()->set_namespace_("shop");
  ASSERT_TRUE(Call(server().admin(), stop, request, response).ok());
  request.mutable_scope()->set_namespace_("bank");
  grpc::Status status = Call(server().admin(), stop, request, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(ReasonOf(status), "REQUEST_ID_REUSED");
  EXPECT_THAT(status.error_message(), HasSubstr("request_id: "));
  request.mutable_scope()->set_all(true);
  status = Call(server().admin(), stop, request, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(Count("stop"), 1);
  EXPECT_EQ(Count("audit"), 1);
}

TEST_F(OperatorTest, S2_21_LiftingSaysBeforehandWhatWillStartAndThenWakesIt) {
  v1::EmergencyStopRequest request;
  request.mutable_scope()->set_all(true);
  request.set_reason("fire");
  v1::EmergencyStopResponse stopped;
  ASSERT_TRUE(
      Call(server().admin(), &v1::AdminService::Stub::EmergencyStop, request, stopped).ok());
  const std::string name = Accept(ScaleRequest());
  storage::HeldExecution held = Hold(name);
  v1::ExecutionEvent blocked;
  blocked.mutable_state_changed()->set_to(Execution::STATE_BLOCKED);
  blocked.mutable_state_changed()->set_block_reason(Execution::BLOCK_REASON_STOPPED);
  storage::Commit commit;
  commit.id = held.id;
  commit.lease = held.lease;
  commit.expected_seq = held.last_seq;
  commit.expected_signals = 0;
  commit.state = Execution::STATE_BLOCKED;
  commit.events = {blocked.SerializeAsString()};
  commit.park = storage::Park{storage::ParkReason::kStopped, absl::Hours(1)};
  commit.stop_test = storage::Commit::StopTest::kStopped;
  commit.launch = {"shop", "ScaleDeployment", "w"};
  const auto result = Commit(std::move(commit));
  ASSERT_OK(result);
  ASSERT_EQ(*result, storage::CommitResult::kCommitted);

  v1::LiftEmergencyStopRequest lift;
  lift.set_name(stopped.stop().name());
  lift.set_reason("out");
  lift.set_validate_only(true);
  v1::LiftEmergencyStopResponse lifted;
  const auto lifting = &v1::AdminService::Stub::LiftEmergencyStop;
  ASSERT_TRUE(Call(server().admin(), lifting, lift, lifted).ok());
  EXPECT_THAT(lifted.waiting(), ElementsAre(name));
  EXPECT_FALSE(lifted.stop().has_lift_time());
  EXPECT_EQ(Count("parked"), 1);
  lift.set_validate_only(false);
  ASSERT_TRUE(Call(server().admin(), lifting, lift, lifted).ok());
  EXPECT_EQ(lifted.waiting_count(), 1);
  EXPECT_EQ(Count("parked"), 0);
  EXPECT_EQ(Hold(name).last_seq, 2);
}

TEST_F(OperatorTest, S2_21_RunningOnesAreCancelledWhenAsked) {
  const std::string name = Accept(ScaleRequest());
  storage::HeldExecution held = Hold(name);
  StoreState(held, Execution::STATE_VALIDATING);
  StoreState(held, Execution::STATE_RUNNING);
  const std::string waiting = Accept(ScaleRequest());
  v1::EmergencyStopRequest request;
  request.mutable_scope()->set_action("ScaleDeployment");
  request.set_reason("fire");
  request.set_cancel_running(true);
  v1::EmergencyStopResponse stopped;
  ASSERT_TRUE(
      Call(server().admin(), &v1::AdminService::Stub::EmergencyStop, request, stopped).ok());
  EXPECT_THAT(stopped.cancelled(), ElementsAre(name));
  const auto signals = leases().ReadSignals(held.id, 0);
  ASSERT_OK(signals);
  EXPECT_THAT((*signals)[0].reason, HasSubstr(stopped.stop().name()));
  EXPECT_EQ(Count("signal"), 1);
}

TEST_F(OperatorTest, S2_21_WhatEndsBeforeItsCancelIsNotCountedAsCancelled) {
  const std::string ended = Accept(ScaleRequest()), live = Accept(ScaleRequest());
  google::protobuf::RepeatedPtrField<std::string> cancelled;

  ASSERT_OK(CancelLive(
      reader(), {}, "sre", "fire",
      [&](std::vector<ExecutionId> page) {
        RunToEnd(ended);
        return page;
      },
      cancelled));

  EXPECT_THAT(cancelled, ElementsAre(live));
  EXPECT_EQ(Count("signal"), 1);
}

// ---- targets and audit

TEST_F(OperatorTest, S2_60_ABlockIsClearedWithAReasonAndOnlyOnce) {
  const std::string name = Accept(ScaleRequest());
  storage::HeldExecution held = Hold(name);
  const auto store = [&](storage::TargetStep step, Execution::State state) {
    storage::Commit commit;
    commit.id = held.id;
    commit.lease = held.lease;
    commit.expected_seq = held.last_seq++;
    commit.state = state;
    if (state == Execution::STATE_FAILED)
      commit.failure_reason = Execution::FAILURE_REASON_JOB_FAILED;
    v1::ExecutionEvent event;
    event.mutable_state_changed()->set_to(state);
    commit.events = {event.SerializeAsString()};
    commit.target = std::move(step);
    const auto result = Commit(std::move(commit));
    ASSERT_OK(result);
    ASSERT_EQ(*result, storage::CommitResult::kCommitted);
  };
  storage::TargetStep step;
  step.claim.key = kTarget;
  store(step, Execution::STATE_VALIDATING);
  step.kind = storage::TargetStep::Kind::kLeave;
  step.result = storage::TargetResult::kBlocks;
  step.message = "half done";
  store(step, Execution::STATE_FAILED);

  v1::ListTargetsResponse listed;
  ASSERT_TRUE(
      Call(server().admin(), &v1::AdminService::Stub::ListTargets, v1::ListTargetsRequest(), listed)
          .ok());
  ASSERT_THAT(listed.targets(), SizeIs(1));
  EXPECT_EQ(listed.targets(0).name(), absl::StrCat("targets/", kTarget));
  EXPECT_EQ(listed.targets(0).blocked_by(), name);
  EXPECT_EQ(listed.targets(0).block_message(), "half done");

  v1::ClearTargetBlockRequest clear;
  v1::ClearTargetBlockResponse cleared;
  const auto method = &v1::AdminService::Stub::ClearTargetBlock;
  clear.set_name("web");
  EXPECT_THAT(Call(server().admin(), method, clear, cleared).error_message(),
              HasSubstr("want targets/{kind}"));
  clear.set_name(listed.targets(0).name());
  EXPECT_THAT(Call(server().admin(), method, clear, cleared).error_message(),
              HasSubstr("reason: got nothing"));
  clear.set_reason("looked at it");
  ASSERT_TRUE(Call(server().admin(), method, clear, cleared, "ann").ok());
  EXPECT_THAT(cleared.target().blocked_by(), IsEmpty());
  EXPECT_EQ(ReasonOf(Call(server().admin(), method, clear, cleared, "ann")), "NOT_BLOCKED");
  EXPECT_THAT(Sql("SELECT string_agg(body, '') FROM audit"), HasSubstr("clear_target_block"));
  EXPECT_EQ(Get(name).state(), Execution::STATE_FAILED) << "the failed record is kept";
}

TEST_F(OperatorTest, PolicyDecisionsAreListedInPagesAsTheyWereStored) {
  const std::string name = Accept(ScaleRequest());
  storage::HeldExecution held = Hold(name);
  for (int number = 1; number <= 2; ++number) {
    storage::Commit commit;
    commit.id = held.id;
    commit.lease = held.lease;
    commit.expected_seq = held.last_seq++;
    commit.state = Execution::STATE_VALIDATING;
    v1::ExecutionEvent event;
    event.mutable_state_changed()->set_to(Execution::STATE_VALIDATING);
    commit.events = {event.SerializeAsString()};
    commit.decision = storage::NewDecision{number, number == 2, "digest", R"({"action":"x"})",
                                           R"({"allow":true})"};
    ASSERT_OK(Commit(std::move(commit)));
  }
  const auto method = &v1::AdminService::Stub::ListPolicyDecisions;
  v1::ListPolicyDecisionsRequest request;
  v1::ListPolicyDecisionsResponse first, second;
  request.set_page_size(1);

  ASSERT_TRUE(Call(server().admin(), method, request, first).ok());
  request.set_page_token(first.next_page_token());
  ASSERT_TRUE(Call(server().admin(), method, request, second).ok());

  ASSERT_THAT(first.decisions(), SizeIs(1));
  EXPECT_EQ(first.decisions(0).execution(), name);
  EXPECT_EQ(first.decisions(0).number(), 1);
  EXPECT_FALSE(first.decisions(0).allow());
  ASSERT_THAT(second.decisions(), SizeIs(1));
  EXPECT_EQ(second.decisions(0).number(), 2);
  EXPECT_TRUE(second.decisions(0).allow());
  EXPECT_EQ(second.decisions(0).bundle_digest(), "digest");
  EXPECT_EQ(second.decisions(0).input_json(), R"({"action":"x"})");
  EXPECT_EQ(second.decisions(0).result_json(), R"({"allow":true})");
  EXPECT_TRUE(second.decisions(0).has_time());
  EXPECT_THAT(second.next_page_token(), IsEmpty());
}

TEST_F(OperatorTest, WhichPolicyDecisionsAreWantedIsChecked) {
  const auto method = &v1::AdminService::Stub::ListPolicyDecisions;
  v1::ListPolicyDecisionsRequest request;
  v1::ListPolicyDecisionsResponse response;

  request.set_execution("web");
  EXPECT_THAT(Call(server().admin(), method, request, response).error_message(),
              HasSubstr("execution: got \"web\""));
  request.set_execution("executions/7d444840-9dc0-11d1-b245-5ffdce74fad2");
  request.mutable_since()->set_seconds(4102444800);
  EXPECT_TRUE(Call(server().admin(), method, request, response).ok());
  EXPECT_THAT(response.decisions(), IsEmpty());
  request.set_page_token("x");
  EXPECT_THAT(Call(server().admin(), method, request, response).error_message(),
              HasSubstr("page_token: got"));
  request.set_page_size(-1);
  EXPECT_THAT(Call(server().admin(), method, request, response).error_message(),
              HasSubstr("page_size: got -1"));
}

TEST_F(OperatorTest, AChangedByteOfTheAuditLogIsFound) {
  Accept(ScaleRequest());
  Accept(ScaleRequest());
  const auto verify = [&] {
    v1::VerifyAuditResponse found;
    EXPECT_TRUE(Call(server().admin(), &v1::AdminService::Stub::VerifyAudit,
                     v1::VerifyAuditRequest(), found)
                    .ok());
    return found;
  };
  EXPECT_THAT(verify().problems(), IsEmpty());
  EXPECT_THAT(verify().chains(), SizeIs(1));
  Sql("UPDATE audit SET body = replace(body, 'ScaleDeployment', 'ScaleDeploymens') "
      "WHERE number = 1 RETURNING 1");
  const v1::VerifyAuditResponse found = verify();
  ASSERT_THAT(found.problems(), SizeIs(1));
  EXPECT_EQ(found.problems(0).number(), 1);
  Sql("DELETE FROM audit WHERE number = 2 RETURNING 1");
  EXPECT_THAT(verify().problems(0).message(), HasSubstr("not as it was written"));
  EXPECT_GE(verify().problems_size(), 2) << "the missing end";
}

TEST_F(OperatorTest, AnAuditChainThatLostItsEndAndGrewSinceIsReadToItsEnd) {
  for (int i = 0; i < 3; ++i) Accept(ScaleRequest());
  Sql("DELETE FROM audit WHERE number = 2 RETURNING 1");
  Sql("UPDATE audit_chain SET number = 2 RETURNING 1");

  v1::VerifyAuditResponse found;
  ASSERT_TRUE(
      Call(server().admin(), &v1::AdminService::Stub::VerifyAudit, v1::VerifyAuditRequest(), found)
          .ok());

  ASSERT_THAT(found.problems(), SizeIs(1));
  EXPECT_EQ(found.problems(0).message(), "the chain ends at row 1, want 2");
}

}  // namespace
}  // namespace capstan::server
