// JSON Patch (RFC 6902) of maps such as the data of a ConfigMap or a Secret. No error ever quotes a
// value: what is patched may be secret.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "nlohmann/json.hpp"

namespace capstan::action_program {

inline constexpr size_t kMaxPatchOperations = 1000;

// INVALID_ARGUMENT: `patch` is no JSON Patch, has no operation, or touches (by path or from)
// anything that is not one of `roots` or below one. Names the operation by its number, from 1.
absl::Status CheckJsonPatch(const nlohmann::json& patch, absl::Span<const std::string_view> roots);

// `document` after `patch`, which was checked. FAILED_PRECONDITION: an operation does not apply, or
// a test fails; names it.
absl::StatusOr<nlohmann::json> ApplyJsonPatch(nlohmann::json document, const nlohmann::json& patch);

// True when `document` is already as `patch` makes it: everything it adds or replaces has that
// value, everything it removes is absent. False when that cannot be told (move, copy, arrays).
bool AlreadyApplied(const nlohmann::json& document, const nlohmann::json& patch);

}  // namespace capstan::action_program
