// Files below a folder whose content nobody trusts: no link on the way is followed, and nothing but
// plain files is read.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace capstan::git {

// `path` is relative to `folder` in both.

// The first line, of at most 4 KiB; empty when there is no such plain file.
std::string FirstLineBeneath(const std::string& folder, const std::string& path);

// When its content was last written; InfiniteFuture when it is not there.
absl::Time WrittenBeneath(const std::string& folder, const std::string& path);

// A file, or a folder with everything in it. OK when it is not there. FAILED_PRECONDITION: a link
// is on the way; nothing was removed.
absl::Status RemoveBeneath(const std::string& folder, const std::string& path);

}  // namespace capstan::git
