// Branches that others use as well: what has to be looked at before a workspace works on one.
#pragma once

#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/git/git.h"
#include "worker/process/fd.h"

namespace capstan::git {

// Held while a workspace takes a branch: one at a time on this machine, whichever process it is of.
// UNAVAILABLE: another one is still at it; try again.
absl::StatusOr<process::Fd> LockBranches(const std::string& git_folder,
                                         const std::stop_token& stop);

// That a workspace at `path` may work on the branch `name`. NOT_FOUND: there is none.
// FAILED_PRECONDITION: it is only another name of a branch, or is checked out somewhere else.
absl::Status CheckFree(Git& git, const std::string& name, const std::string& path);

// Moves the branch, and `ours`, from one commit to the next, both or none. FAILED_PRECONDITION: it
// is not at `from` any more, since somebody else moved it.
absl::Status MoveBranch(Git& git, const std::string& name, const std::string& ours,
                        const std::string& from, const std::string& to);

}  // namespace capstan::git
