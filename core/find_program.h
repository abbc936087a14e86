// Where a program lies that this one starts.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace capstan {

// Path of a program: a name with a slash is one; any other is looked for beside the running
// program, then on PATH. NOT_FOUND when it is nowhere.
absl::StatusOr<std::string> FindProgram(const std::string& name);

}  // namespace capstan
