// For tests of what operators ask for: over a real socket and a real Postgres; the worker is driven
// by hand.
#pragma once

#include <functional>
#include <string>

#include "tests/server/service_fixture.h"

namespace capstan::server {

class OperatorTest : public ServiceTest {
 protected:
  OperatorTest() { service_.development_identity = true; }

  // One call as `caller`.
  template <class Stub, class Request, class Response>
  grpc::Status Call(Stub& stub,
                    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response& response, const std::string& caller = "") {
    grpc::ClientContext context;
    if (!caller.empty()) context.AddMetadata("capstan-caller", caller);
    return (stub.*method)(&context, request, &response);
  }
  std::string ReasonOf(const grpc::Status& status) {
    return DetailOf<google::rpc::ErrorInfo>(status).reason();
  }

  // The end of an execution that has run; `change` completes its last event.
  void End(const std::string& name, v1::Execution::State state,
           const std::function<void(v1::StateChanged&)>& change) {
    storage::HeldExecution held = Hold(name);
    StoreState(held, v1::Execution::STATE_VALIDATING);
    StoreState(held, v1::Execution::STATE_RUNNING);
    v1::ExecutionEvent rollback;
    v1::RollbackPlan& plan = *rollback.mutable_artifact_stored()->mutable_rollback();
    rollback.mutable_artifact_stored()->set_artifact("rollback");
    plan.set_action("ScaleDeployment");
    *plan.mutable_parameters() = ScaleRequest().parameters();
    (*plan.mutable_parameters()->mutable_fields())["replicas"].set_number_value(1);
    Store(held, rollback);
    if (state == v1::Execution::STATE_SUCCEEDED) StoreState(held, v1::Execution::STATE_VERIFYING);
    v1::ExecutionEvent end;
    v1::StateChanged& changed = *end.mutable_state_changed();
    changed.set_from(held.state);
    changed.set_to(state);
    if (state == v1::Execution::STATE_FAILED)
      changed.set_failure_reason(v1::Execution::FAILURE_REASON_JOB_FAILED);
    change(changed);
    Store(held, end);
  }
  void Succeed(const std::string& name) {
    End(name, v1::Execution::STATE_SUCCEEDED, [](v1::StateChanged& changed) {
      changed.mutable_outcome()->set_effect(v1::Execution::EFFECT_APPLIED);
      v1::ResourceChange& resource = *changed.mutable_outcome()->add_resources();
      (*resource.mutable_after()->mutable_fields())["replicas"].set_number_value(3);
    });
  }
  void Fail(const std::string& name, v1::Execution::Effect effect) {
    End(name, v1::Execution::STATE_FAILED, [effect](v1::StateChanged& changed) {
      changed.mutable_outcome()->set_effect(effect);
      changed.set_message("it broke");
    });
  }

  // BLOCKED(APPROVAL) for plan "digest", as a worker would leave it.
  void AskForApproval(const std::string& name, const std::string& group = "") {
    storage::HeldExecution held = Hold(name);
    StoreState(held, v1::Execution::STATE_VALIDATING);
    storage::Commit commit;
    commit.id = held.id;
    commit.lease = held.lease;
    commit.expected_seq = held.last_seq;
    commit.expected_signals = held.signals;
    commit.state = v1::Execution::STATE_BLOCKED;
    v1::ExecutionEvent requested, blocked;
    v1::ApprovalRequested& approval = *requested.mutable_approval_requested();
    approval.set_number(1);
    approval.set_plan_digest("digest");
    approval.mutable_rule()->set_quorum(1);
    if (!group.empty()) approval.mutable_rule()->add_groups(group);
    blocked.mutable_state_changed()->set_from(v1::Execution::STATE_VALIDATING);
    blocked.mutable_state_changed()->set_to(v1::Execution::STATE_BLOCKED);
    blocked.mutable_state_changed()->set_block_reason(v1::Execution::BLOCK_REASON_APPROVAL);
    blocked.mutable_state_changed()->set_message("waits for 1 approval");
    commit.events = {requested.SerializeAsString(), blocked.SerializeAsString()};
    commit.park = storage::Park{storage::ParkReason::kApproval, absl::Hours(1)};
    commit.approvals = {
        {1, storage::ApprovalState::kPending, absl::Now() + absl::Hours(1), "digest"}};
    const auto result = Commit(std::move(commit));
    ASSERT_OK(result);
    ASSERT_EQ(*result, storage::CommitResult::kCommitted);
  }

  grpc::Status Decide(const std::string& name, const std::string& caller,
                      const std::function<void(v1::DecideApprovalRequest&)>& change = {}) {
    v1::DecideApprovalRequest request;
    request.set_execution(name);
    request.set_plan_digest("digest");
    request.set_decision(v1::DecideApprovalRequest::DECISION_APPROVE);
    request.set_reason("looked at it");
    if (change) change(request);
    v1::DecideApprovalResponse response;
    return Call(server().approvals(), &v1::ApprovalService::Stub::DecideApproval, request, response,
                caller);
  }
};

}  // namespace capstan::server
