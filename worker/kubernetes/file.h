// Reading one small file whole.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace capstan::kubernetes {

// NOT_FOUND: it does not exist or cannot be opened. RESOURCE_EXHAUSTED: larger than `max_bytes`.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t max_bytes);

}  // namespace capstan::kubernetes
