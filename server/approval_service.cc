#include "server/approval_service.h"

#include <algorithm>

#include "absl/strings/str_join.h"
#include "capstan/engine/v1/action_state.pb.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "server/audit_text.h"
#include "server/methods.h"
#include "server/proto_time.h"
#include "server/rpc.h"
#include "server/snapshots.h"
#include "server/validate.h"

namespace capstan::server {
namespace {

constexpr std::string_view kTokenPurpose = "approvals";

std::vector<std::string> GroupsOf(const ServiceOptions& options, const std::string& caller) {
  std::vector<std::string> groups;
  for (const auto& [name, members] : options.groups) {
    if (members.contains(caller)) groups.push_back(name);
  }
  return groups;
}

absl::Status ListNow(const Parts& parts, const v1::ListApprovalsRequest& request,
                     v1::ListApprovalsResponse& response) {
  CAPSTAN_ASSIGN_OR_RETURN(const int size,
                           CheckPageSize(request.page_size(), kDefaultListPageSize));
  ExecutionId after;
  if (!request.page_token().empty()) {
    CAPSTAN_ASSIGN_OR_RETURN(after,
                             ReadListToken(parts.tokens, kTokenPurpose, request.page_token()));
  }
  CAPSTAN_ASSIGN_OR_RETURN(std::vector<storage::OpenApproval> open,
                           parts.admin.ListOpenApprovals(after, size + 1));
  const bool more = static_cast<int>(open.size()) > size;
  if (more) open.resize(static_cast<std::size_t>(size));
  std::vector<ExecutionId> ids;
  for (const storage::OpenApproval& one : open) ids.push_back(one.execution);
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<v1::Execution> executions,
                           ReadSnapshots(parts.reader, ids));
  for (const v1::Execution& execution : executions) {
    const auto row = std::find_if(open.begin(), open.end(), [&](const auto& one) {
      return ExecutionName(one.execution) == execution.name();
    });
    v1::Approval& approval = *response.add_approvals();
    approval.set_execution(execution.name());
    approval.set_action(execution.action());
    approval.set_workflow(execution.workflow());
    *approval.mutable_target() = execution.target();
    approval.set_requester(execution.caller());
    *approval.mutable_approval() = execution.approval();
    if (row != open.end()) *approval.mutable_create_time() = ToProto(row->requested_at);
  }
  if (more) {
    response.set_next_page_token(MakeListToken(parts.tokens, kTokenPurpose, ids.back()));
  }
  return absl::OkStatus();
}

absl::Status CheckDecision(const v1::DecideApprovalRequest& request) {
  Violations violations;
  if (request.plan_digest().empty()) {
    violations.Add("plan_digest", "got nothing, want that of the plan that was looked at");
  }
  if (request.decision() != v1::DecideApprovalRequest::DECISION_APPROVE &&
      request.decision() != v1::DecideApprovalRequest::DECISION_REJECT) {
    violations.Add("decision", Cat("got ", static_cast<int>(request.decision()),
                                   ", want DECISION_APPROVE or DECISION_REJECT"));
  }
  CAPSTAN_RETURN_IF_ERROR(violations.ToStatus());
  return CheckReason(request.reason());
}

// The worker that holds the execution decides; this says early what it would say.
absl::Status CheckMayDecide(const v1::Execution& execution, const std::string& caller,
                            const std::vector<std::string>& groups,
                            const v1::DecideApprovalRequest& request) {
  const v1::ApprovalSummary& approval = execution.approval();
  if (approval.state() != v1::ApprovalSummary::STATE_PENDING) {
    return Error(absl::StatusCode::kFailedPrecondition, "NO_PENDING_APPROVAL",
                 Cat(execution.name(), " waits for no approval"));
  }
  if (approval.plan_digest() != request.plan_digest()) {
    return Error(absl::StatusCode::kFailedPrecondition, "PLAN_CHANGED",
                 Cat("plan_digest: got \"", request.plan_digest().substr(0, 80), "\", want \"",
                     approval.plan_digest(), "\": look at the plan again"));
  }
  if (caller == execution.caller() && !approval.question()) {
    return Error(absl::StatusCode::kPermissionDenied, "SELF_APPROVAL",
                 Cat(caller, " asked for ", execution.name(), " and cannot decide on it"));
  }
  const auto in_group = [&](const std::string& group) {
    return std::find(groups.begin(), groups.end(), group) != groups.end();
  };
  if (approval.groups_size() > 0 &&
      std::none_of(approval.groups().begin(), approval.groups().end(), in_group)) {
    return Error(absl::StatusCode::kPermissionDenied, "NOT_AN_APPROVER",
                 Cat(caller, " is in none of the groups that may decide: ",
                     absl::StrJoin(approval.groups(), ", ")));
  }
  return absl::OkStatus();
}

absl::Status DecideNow(const Parts& parts, const std::string& caller,
                       const v1::DecideApprovalRequest& request,
                       v1::DecideApprovalResponse& response) {
  const std::optional<ExecutionId> id = ParseExecutionName(request.execution());
  if (!id) {
    return InvalidField("execution", Cat("got \"", request.execution().substr(0, 80),
                                         "\", want executions/{uuid}"));
  }
  CAPSTAN_RETURN_IF_ERROR(CheckDecision(request));
  CAPSTAN_ASSIGN_OR_RETURN(*response.mutable_execution(),
                           ReadSnapshot(parts.reader, *id, request.execution()));
  const std::vector<std::string> groups = GroupsOf(parts.options, caller);
  CAPSTAN_RETURN_IF_ERROR(CheckMayDecide(response.execution(), caller, groups, request));
  engine::v1::ApprovalVote vote;
  vote.set_plan_digest(request.plan_digest());
  for (const std::string& group : groups) vote.add_groups(group);
  const bool approve = request.decision() == v1::DecideApprovalRequest::DECISION_APPROVE;
  return parts.reader
      .AppendSignal(*id,
                    {.kind = approve ? storage::SignalKind::kApprove : storage::SignalKind::kReject,
                     .caller = caller,
                     .reason = request.reason(),
                     .detail = vote.SerializeAsString(),
                     .audit = AuditText({{"kind", approve ? "approve" : "reject"},
                                         {"caller", caller},
                                         {"execution", request.execution()},
                                         {"plan_digest", request.plan_digest()},
                                         {"reason", request.reason()}})})
      .status();
}

}  // namespace

grpc::ServerUnaryReactor* ApprovalServiceImpl::ListApprovals(
    grpc::CallbackServerContext* context, const v1::ListApprovalsRequest* request,
    v1::ListApprovalsResponse* response) {
  return AnswerOnPool(parts_, kListApprovals, context, [this, request, response](Rpc&) {
    return ListNow(parts_, *request, *response);
  });
}

grpc::ServerUnaryReactor* ApprovalServiceImpl::DecideApproval(
    grpc::CallbackServerContext* context, const v1::DecideApprovalRequest* request,
    v1::DecideApprovalResponse* response) {
  return AnswerOnPool(parts_, kDecideApproval, context, [this, request, response](Rpc& rpc) {
    return DecideNow(parts_, rpc.caller(), *request, *response);
  });
}

}  // namespace capstan::server
