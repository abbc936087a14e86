// JSON from strangers, within limits.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace capstan::workflow {

struct JsonLimits {
  std::size_t bytes;
  int depth;
};

// Whether it is UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool IsUtf8(std::string_view text);

// One JSON value and nothing else. INVALID_ARGUMENT: it is larger or deeper than the limits, not
// UTF-8, has a NUL, plain or escaped, has the same key twice in an object, or is not JSON.
absl::StatusOr<nlohmann::json> ParseJson(std::string_view text, const JsonLimits& limits);

// The one object in a text that is JSON, or ends with JSON after prose, or has it between ```json
// and ```. INVALID_ARGUMENT: as above, or there is no object, or more than one.
absl::StatusOr<nlohmann::json> ParseOnlyObject(std::string_view text, const JsonLimits& limits);

}  // namespace capstan::workflow
