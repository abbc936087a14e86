// The three patch formats.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "tests/support/kubesim/json.h"

namespace capstan::kubesim {

inline constexpr std::string_view kJsonPatch = "application/json-patch+json";
inline constexpr std::string_view kMergePatch = "application/merge-patch+json";
inline constexpr std::string_view kStrategicMergePatch = "application/strategic-merge-patch+json";

// The patched document. INVALID_ARGUMENT: the patch itself is malformed (HTTP 400).
// FAILED_PRECONDITION: a JSON Patch operation does not apply, such as a failed test (422).
// UNIMPLEMENTED: another content type (415). Strategic merge: maps merge, lists of named objects
// merge by `name`, other lists are replaced.
absl::StatusOr<Json> ApplyPatch(const std::string& content_type, const Json& patch,
                                const Json& document);

}  // namespace capstan::kubesim
