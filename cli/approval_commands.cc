#include "cli/approval_commands.h"

#include <utility>

#include "capstan/v1/approval_service.grpc.pb.h"
#include "capstan/v1/execution_service.grpc.pb.h"
#include "cli/exit_code.h"
#include "cli/reads.h"
#include "cli/render_approval.h"
#include "cli/text_format.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

// The event that asked for the approval with this number. NOT_FOUND when the events have none.
grpc::Status FindRequested(const Session& session, v1::ExecutionService::Stub& stub, int32_t number,
                           v1::ApprovalRequested* requested) {
  v1::ListEventsRequest request;
  request.set_name(ExecutionName(session));
  request.set_page_size(kPageSize);
  do {
    v1::ListEventsResponse page;
    grpc::Status status = session.Unary(
        [&](grpc::ClientContext& context) { return stub.ListEvents(&context, request, &page); });
    if (!status.ok()) return status;
    for (v1::ExecutionEvent& event : *page.mutable_events()) {
      if (event.approval_requested().number() != number) continue;
      *requested = std::move(*event.mutable_approval_requested());
      return grpc::Status::OK;
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return {grpc::StatusCode::NOT_FOUND,
          Cat("the events of ", request.name(), " do not have its approval ", number)};
}

int Decide(Session& session, v1::DecideApprovalRequest::Decision decision) {
  v1::DecideApprovalRequest request;
  request.set_execution(ExecutionName(session));
  request.set_decision(decision);
  request.set_reason(session.options.reason);
  request.set_plan_digest(session.options.plan_digest);
  if (request.plan_digest().empty()) {
    auto executions = v1::ExecutionService::NewStub(session.channel);
    v1::Execution execution;
    grpc::Status status = GetExecution(session, *executions, &execution);
    if (!status.ok()) return session.Fail(status);
    if (!execution.has_approval()) return NoApproval(session, execution);
    request.set_plan_digest(execution.approval().plan_digest());
  }
  const bool approve = decision == v1::DecideApprovalRequest::DECISION_APPROVE;
  return SendDecision(session, request,
                      Cat(approve ? "Said yes to " : "Said no to ", OneLine(request.execution()),
                          ", plan sha256:", OneLine(request.plan_digest()),
                          "\nWatch it: ", session.invocation().program, " execution watch ",
                          ShellQuoted(request.execution()), "\n"));
}

}  // namespace

int SendDecision(Session& session, const v1::DecideApprovalRequest& request,
                 const std::string& said) {
  auto stub = v1::ApprovalService::NewStub(session.channel);
  v1::DecideApprovalResponse response;
  const grpc::Status status = session.UnaryIdempotent([&](grpc::ClientContext& context) {
    return stub->DecideApproval(&context, request, &response);
  });
  if (!status.ok()) return session.Fail(status);
  session.Print(response.execution(), said);
  return kOk;
}

int NoApproval(const Session& session, const v1::Execution& execution) {
  return session.Fail(
      {grpc::StatusCode::FAILED_PRECONDITION,
       Cat(execution.name(), " has never asked for an approval; it is ", StateText(execution))});
}

int ApprovalList(Session& session) {
  auto stub = v1::ApprovalService::NewStub(session.channel);
  return ListUpToLimit<v1::ListApprovalsResponse>(
      session, v1::ListApprovalsRequest(),
      [&](grpc::ClientContext* context, const v1::ListApprovalsRequest& request,
          v1::ListApprovalsResponse* page) { return stub->ListApprovals(context, request, page); },
      [](v1::ListApprovalsResponse& page) { return page.mutable_approvals(); }, ApprovalTable);
}

int ApprovalShow(Session& session) {
  auto stub = v1::ExecutionService::NewStub(session.channel);
  v1::Execution execution;
  grpc::Status status = GetExecution(session, *stub, &execution);
  if (!status.ok()) return session.Fail(status);
  if (!execution.has_approval()) return NoApproval(session, execution);
  v1::ApprovalRequested requested;
  status = FindRequested(session, *stub, execution.approval().number(), &requested);
  if (!status.ok()) return session.Fail(status);
  session.Print(requested, ApprovalDetails(execution, requested, session.invocation()));
  return kOk;
}

int ApprovalApprove(Session& session) {
  return Decide(session, v1::DecideApprovalRequest::DECISION_APPROVE);
}

int ApprovalReject(Session& session) {
  return Decide(session, v1::DecideApprovalRequest::DECISION_REJECT);
}

}  // namespace capstan::cli
