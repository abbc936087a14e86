// One commit, waited for.
#pragma once

#include "absl/status/statusor.h"
#include "storage/committer.h"

namespace capstan::worker {

// Blocks until the commit is answered; results and errors as Committer::Commit.
absl::StatusOr<storage::CommitResult> CommitAndWait(storage::Committer& committer,
                                                    storage::Commit commit);

}  // namespace capstan::worker
