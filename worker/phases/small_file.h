// Reading one small file whole: settings, keys, scripts.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace capstan::phases {

// NOT_FOUND: it cannot be opened. RESOURCE_EXHAUSTED: it is larger than `max_bytes`.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, std::size_t max_bytes);

// A key, without the line end that editors leave behind it. Read for every call, so that a new one
// is used without a restart. FAILED_PRECONDITION: the file cannot be read, or holds no key; says
// which file, never what is in it.
absl::StatusOr<std::string> ReadKeyFile(const std::string& path);

}  // namespace capstan::phases
