// Snapshots read at once from the store, for calls that block on it anyway.
#pragma once

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "capstan/v1/execution.pb.h"
#include "storage/reader.h"

namespace capstan::server {

// Of those that exist, in the order given.
absl::StatusOr<std::vector<v1::Execution>> ReadSnapshots(storage::Reader& reader,
                                                         absl::Span<const ExecutionId> ids);

// NOT_FOUND names `name`.
absl::StatusOr<v1::Execution> ReadSnapshot(storage::Reader& reader, const ExecutionId& id,
                                           std::string_view name);

}  // namespace capstan::server
