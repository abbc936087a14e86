// Rows of `target` in a transaction: locked, read, written, and who is woken by what became of
// them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "storage/connection.h"
#include "storage/types.h"

namespace capstan::storage {

// A row of target_lock.sql, target_read.sql or target_list.sql.
TargetRow ReadTargetRow(const Rows& rows, int i);

// The answer of target_read.sql for one key: free when it has no row.
TargetRow OneTarget(const Rows& rows, const std::string& key);

// Targets that are locked until the end of the transaction, and the database's clock then.
struct LockedTargets {
  std::map<std::string, TargetRow> rows;
  absl::Time now;
};

// Locks them in order; those that have no row get one.
absl::StatusOr<LockedTargets> LockTargets(Connection& connection, std::vector<std::string> keys);

// Writes locked rows.
absl::Status StoreTargets(Connection& connection, absl::Span<const TargetRow* const> rows);

// Wakes those of these executions that are parked: row locks first, then, with a later snapshot,
// parked rows and leases.
absl::Status WakeThese(Connection& connection, absl::Span<const ExecutionId> ids);

}  // namespace capstan::storage
