// Which executions of a parent are in flight, and which come next. Places go in the order of
// submission: those ahead in line keep theirs, woken or not, so a newcomer does not overtake them.
// A limit of 0 is none.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/types.h"

namespace capstan::storage {

class Connection;

// `id` is in flight, or may be.
bool HasPlace(const ParentLine& line, const ExecutionId& id, int limit);

// Those in line for whom there is a place.
std::vector<ExecutionId> NextInLine(const ParentLine& line, int limit);

// Reads as many of those in line as a limit asks for.
absl::StatusOr<std::map<std::string, ParentLine>> ReadParentLines(
    Connection& connection, const std::vector<std::string>& parents, int limit);

}  // namespace capstan::storage
