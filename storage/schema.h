// CheckSchema() on a connection that is open already.
#pragma once

#include "absl/status/status.h"
#include "storage/connection.h"

namespace capstan::storage {

absl::Status CheckSchemaOn(Connection& connection);

// INVALID_ARGUMENT when numbers contradict each other.
absl::Status CheckOptions(const StoreOptions& options);

}  // namespace capstan::storage
