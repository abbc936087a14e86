// Files that a command line names.
#pragma once

#include <istream>
#include <string>

#include "absl/status/statusor.h"

namespace capstan::cli {

inline constexpr size_t kMaxInputBytes = 4 << 20;  // the server takes less and says so

// The whole of the file, or of `in` for "-". INVALID_ARGUMENT: it cannot be read, or has more than
// kMaxInputBytes.
absl::StatusOr<std::string> ReadInput(const std::string& path, std::istream& in);

}  // namespace capstan::cli
