// Signals that steps send to other executions, in the transaction of the steps.
#pragma once

#include <span>
#include <vector>

#include "absl/status/status.h"
#include "storage/connection.h"
#include "storage/types.h"

namespace capstan::storage {

// Before the fence: locks the leases and executions of these steps and the executions that they
// tell something, in the order of all locks. Nothing when they tell nothing.
absl::Status LockForTells(Connection& connection, std::span<const Commit* const> steps);

// After the fence and what stands beside it: stores the signals of these steps, and adds who is to
// be woken.
absl::Status StoreTells(Connection& connection, std::span<const Commit* const> steps,
                        std::vector<ExecutionId>& wake);

}  // namespace capstan::storage
