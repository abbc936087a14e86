// Stores the steps that workers take. Gathered and flushed like submits, on one connection a
// worker.
#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "storage/types.h"

namespace capstan::storage {

class Committer {
 public:
  virtual ~Committer() = default;

  // Calls `done` once from the flush thread: it must not block. kFenced and kSignalsMoved are
  // answers, not errors. A lost reply is settled inside by sending the same flush again; 40001 and
  // 40P01 retry the whole flush. Errors:
  //   UNAVAILABLE  the outcome is still unknown after StoreOptions.commit_timeout: reload the
  //   execution (LeaseStore::Load) INVALID_ARGUMENT, INTERNAL  this commit was refused by a
  //   constraint: a defect; nothing of it was stored
  // A commit has at least one event (INVALID_ARGUMENT): one without could not be told from a lost
  // one when it is sent again.
  virtual void Commit(storage::Commit commit,
                      std::function<void(absl::StatusOr<CommitResult>)> done) = 0;

  // Appends log bytes at `offset` under the fence of lease and execution.lease_id; bytes below what
  // is stored are skipped. Blocking. FAILED_PRECONDITION when fenced, OUT_OF_RANGE when offset
  // leaves a gap.
  virtual absl::Status AppendLog(const ExecutionId& id, const LeaseRef& lease, std::int64_t offset,
                                 std::string_view data) = 0;
};

}  // namespace capstan::storage
