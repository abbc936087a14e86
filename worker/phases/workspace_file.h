// Writing into a workspace, in which an untrusted program may have put links that lead out of it.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace capstan::phases {

// Whether `path` is relative and has neither "..", "." nor empty parts. INVALID_ARGUMENT otherwise.
absl::Status CheckRelativePath(std::string_view path);

// Writes a file, whole, making the folders on its way. No symbolic link is followed on the way or
// at the end, and a file with a second name is not written to. INVALID_ARGUMENT: the path.
// FAILED_PRECONDITION: a link, a second name, or something else than a folder or file is in the
// way. UNAVAILABLE: the system would not write.
absl::Status WriteInWorkspace(const std::string& workspace, std::string_view path,
                              std::string_view content);

}  // namespace capstan::phases
