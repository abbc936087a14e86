// Stores new executions. Concurrent submits are gathered and flushed as one transaction; the next
// flush starts when the last one has returned, so there is no timer and no added wait at low load.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "storage/options.h"
#include "storage/types.h"

namespace capstan::storage {

// Thread-safe. Start() before use; Stop() finishes what is queued and joins (also done by the
// destructor).
class Submitter {
 public:
  virtual ~Submitter() = default;

  // Calls `done` once, after the commit, from the flush thread: it must not block. Errors:
  //   ALREADY_EXISTS      request_id used with another body; payload names the other execution (see
  //   errors.h) RESOURCE_EXHAUSTED  the queue is full; retry later with the same request_id
  //   UNAVAILABLE         the database is away; may or may not be stored: retry with the same
  //   request_id
  // The reply of a flush may be lost: it is sent again with the same ids until its outcome is known
  // or the deadline of StoreOptions.submit_timeout has passed (then UNAVAILABLE).
  virtual void Submit(NewExecution execution,
                      std::function<void(absl::StatusOr<SubmitResult>)> done) = 0;

  // The database's clock as known here (offset measured with each flush): for deadlines stored with
  // a request.
  virtual absl::Time DatabaseNow() = 0;
};

}  // namespace capstan::storage
