// Which names go into git commands and paths.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace capstan::git {

// An execution id as part of branch names and paths: 1 to 64 lower-case letters, digits and '-',
// without a '-' in front. INVALID_ARGUMENT otherwise.
absl::Status CheckId(std::string_view id);

// A branch, tag or commit to start from: letters, digits and . _ / -, neither '-' nor '.' nor '/'
// in front, no "..", no "//", no end in '/', '.' or ".lock"; at most 200 bytes. INVALID_ARGUMENT
// otherwise.
absl::Status CheckRef(std::string_view ref);

// The name of a branch as people give it, without refs/heads/: as CheckRef, and neither HEAD nor a
// commit id nor a whole ref. INVALID_ARGUMENT otherwise.
absl::Status CheckBranch(std::string_view branch);

// A whole commit id: 40 or 64 hexadecimal digits.
bool IsCommitId(std::string_view text);

// A path that git and the sandbox may be given: absolute, without ".", ".." and line breaks.
absl::Status CheckPath(std::string_view field, std::string_view path);

}  // namespace capstan::git
