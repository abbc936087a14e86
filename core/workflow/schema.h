// JSON schemas of answers: draft 7 without what could run away (regular expressions, remote or
// circular references, comparing all items with each other). Internal to this folder.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace capstan::workflow {

// The schema in `text`, looked through. INVALID_ARGUMENT: it cannot be used.
absl::StatusOr<nlohmann::json> ParseSchema(std::string_view text);

// INVALID_ARGUMENT with the first things that do not fit; `schema` comes from ParseSchema.
absl::Status FitsSchema(const nlohmann::json& document, const nlohmann::json& schema);

}  // namespace capstan::workflow
