// Budgets of projects in a transaction: locked, tested, changed, and who is woken by what became of
// them. The lock is the project's row, taken before leases and executions; amounts in millionths of
// a US dollar.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "storage/connection.h"
#include "storage/types.h"

namespace capstan::storage {

// A month of a project that is locked until the end of the transaction.
struct ProjectMoney {
  std::int64_t limit = 0;  // 0: none
  std::int64_t spent = 0;
  std::int64_t reserved = 0;

  std::int64_t left() const { return limit - spent - reserved; }
};

// By project and month.
using LockedProjects = std::map<std::pair<std::string, std::string>, ProjectMoney>;

// Locks them in order; those that have no row get one, without a limit.
absl::StatusOr<LockedProjects> LockProjects(Connection& connection,
                                            absl::Span<const BudgetStep* const> steps);

// Takes the step in `money` when the budgets allow it; false: they do not, and nothing is changed.
// What a step leaves to others is not taken: it may yet be fenced, and then leaves nothing.
bool TakeStep(const BudgetStep& step, LockedProjects& money);

struct StoredBudgetStep {
  ExecutionId id;
  const BudgetStep* step = nullptr;
};

// Writes what these steps do to `money`, which has none of them; adds those that are to be woken
// because more is left than before.
absl::Status StoreBudgetSteps(Connection& connection, absl::Span<const StoredBudgetStep> steps,
                              LockedProjects money, std::vector<ExecutionId>& wake);

// Sets the limit of a project, and wakes those that can go on with it.
absl::Status SetProjectLimit(Connection& connection, const std::string& project,
                             std::int64_t limit);

// A row of project_read.sql.
ProjectRow ReadProjectRow(const Rows& rows, const std::string& project);

}  // namespace capstan::storage
