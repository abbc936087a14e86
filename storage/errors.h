// What an error of the store carries besides its code and message.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "core/ids.h"

namespace capstan::storage {

// ALREADY_EXISTS of Submitter: the request id was used with another body, by this execution.
absl::Status RequestIdReused(const ExecutionId& existing);

// The execution of an error made by RequestIdReused(); nullopt for any other.
std::optional<ExecutionId> ExistingExecution(const absl::Status& status);

}  // namespace capstan::storage
