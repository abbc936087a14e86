// The filter language of ListExecutions and WatchExecutions: a subset of AIP-160.
//
//   filter     = [ term { "AND" term } ]
//   term       = comparison | "(" comparison { "OR" comparison } ")"
//              | comparison { "OR" comparison }
//   comparison = field ( "=" | "!=" ) value
//   field      = "action" | "state" | "parent" | "labels." key
//   value      = word | text in double quotes; a backslash takes the next byte as it is
//
// OR binds tighter than AND and joins states only; a field stands in one term; != is for action,
// workflow and parent. Keywords and states are upper case.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/types.h"

namespace capstan::server {

inline constexpr std::size_t kMaxFilterBytes = 2048;
inline constexpr int kMaxFilterComparisons = 32;

// Where a filter is used decides whether it may ask for states.
enum class StateTerms { kAllowed, kRefused };

// The column `action` of a task: its workflow, under a name that no action has.
inline std::string TaskActionName(const std::string& workflow) { return "workflows/" + workflow; }

// INVALID_ARGUMENT: "filter: at 12: got X, want Y"; positions count bytes from 1.
absl::StatusOr<storage::ExecutionFilter> ParseFilter(std::string_view text, StateTerms states);

}  // namespace capstan::server
