#include "cli/budget_commands.h"

#include "capstan/v1/admin_service.grpc.pb.h"
#include "cli/exit_code.h"
#include "cli/render_admin.h"

namespace capstan::cli {

int BudgetList(Session& session) {
  auto stub = v1::AdminService::NewStub(session.channel);
  v1::ListProjectBudgetsResponse response;
  grpc::Status status = session.UnaryIdempotent([&](grpc::ClientContext& context) {
    return stub->ListProjectBudgets(&context, v1::ListProjectBudgetsRequest(), &response);
  });
  if (!status.ok()) return session.Fail(status);
  session.Print(response, BudgetTable(response.budgets()));
  return kOk;
}

int BudgetSet(Session& session) {
  auto stub = v1::AdminService::NewStub(session.channel);
  v1::SetProjectBudgetRequest request;
  request.set_project(session.options.name);
  request.set_monthly_limit_microusd(session.options.limit_microusd);
  request.set_reason(session.options.reason);
  v1::SetProjectBudgetResponse response;
  grpc::Status status = session.Unary([&](grpc::ClientContext& context) {
    return stub->SetProjectBudget(&context, request, &response);
  });
  if (!status.ok()) return session.Fail(status);
  session.Print(response.budget(), BudgetText(response.budget()));
  return kOk;
}

}  // namespace capstan::cli
