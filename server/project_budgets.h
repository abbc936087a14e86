// What AdminService does about budgets of projects. Everything blocks on the store.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "capstan/v1/admin_service.pb.h"
#include "server/parts.h"

namespace capstan::server {

absl::Status SetBudgetNow(const Parts& parts, const std::string& caller,
                          const v1::SetProjectBudgetRequest& request,
                          v1::SetProjectBudgetResponse& response);
absl::Status ListBudgetsNow(const Parts& parts, v1::ListProjectBudgetsResponse& response);

}  // namespace capstan::server
