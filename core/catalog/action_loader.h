// From the text of a catalog file to an ActionDefinition, strictly.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "core/catalog/action_definition.h"

namespace capstan::catalog {

// Reads one file. INVALID_ARGUMENT lists everything that is wrong, one line each, as "file:line:
// key.path: what": unknown or missing keys, references to parameters that are not declared, a shell
// as program, quantities that do not parse or requests above limits, and so on. Start-up shall stop
// then, the file has to be fixed.
absl::StatusOr<ActionDefinition> ParseAction(std::string_view file, std::string_view text);

}  // namespace capstan::catalog
