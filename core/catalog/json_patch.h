// The shape of a JSON Patch (RFC 6902) that a caller submits, before anything sends it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace capstan::catalog {

inline constexpr int kMaxPatchDepth = 16;

// INVALID_ARGUMENT says what is wrong and in which operation, never what a value is: not JSON, a
// key given twice, not a list of operations, an unknown operation or member, a member missing, a
// path that is no JSON Pointer or is neither one of `paths` nor below one of them.
absl::Status CheckJsonPatch(const std::vector<std::string>& paths, std::string_view text);

}  // namespace capstan::catalog
