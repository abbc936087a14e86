#include "server/project_budgets.h"

#include <vector>

#include "core/status_macros.h"
#include "core/text.h"
#include "server/audit_text.h"
#include "server/validate_task.h"

namespace capstan::server {
namespace {

constexpr int kMostProjects = 1000;

v1::ProjectBudget ToProto(const storage::ProjectRow& row) {
  v1::ProjectBudget budget;
  budget.set_project(row.project);
  budget.set_monthly_limit_microusd(row.limit);
  budget.set_month(row.month);
  budget.set_spent_microusd(row.spent);
  budget.set_reserved_microusd(row.reserved);
  budget.set_is_upper_bound(row.is_upper_bound);
  return budget;
}

}  // namespace

absl::Status SetBudgetNow(const Parts& parts, const std::string& caller,
                          const v1::SetProjectBudgetRequest& request,
                          v1::SetProjectBudgetResponse& response) {
  CAPSTAN_RETURN_IF_ERROR(CheckSetProjectBudget(request));
  CAPSTAN_ASSIGN_OR_RETURN(
      const storage::ProjectRow row,
      parts.admin.SetProjectBudget(
          request.project(), request.monthly_limit_microusd(),
          AuditText({{"kind", "set_project_budget"},
                     {"caller", caller},
                     {"project", request.project()},
                     {"monthly_limit_microusd", Cat(request.monthly_limit_microusd())},
                     {"reason", request.reason()}})));
  *response.mutable_budget() = ToProto(row);
  return absl::OkStatus();
}

absl::Status ListBudgetsNow(const Parts& parts, v1::ListProjectBudgetsResponse& response) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<storage::ProjectRow> rows,
                           parts.admin.ListProjects(kMostProjects));
  for (const storage::ProjectRow& row : rows) *response.add_budgets() = ToProto(row);
  return absl::OkStatus();
}

}  // namespace capstan::server
