// What the API reads and asks for. Blocking, thread-safe (small pool of connections, bounded wait).
// UNAVAILABLE: the database is away. RESOURCE_EXHAUSTED: no connection came free in time.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "storage/types.h"

namespace capstan::storage {

class Reader {
 public:
  virtual ~Reader() = default;

  // Events above `after_seq`, in order, at most `limit`. Empty also for an unknown id.
  virtual absl::StatusOr<std::vector<StoredEvent>> ReadEvents(const ExecutionId& id,
                                                              std::int32_t after_seq,
                                                              int limit) = 0;

  // All events of each execution in one statement (one snapshot of the database), ordered by
  // execution as given, then seq; unknown ids are missing. NOT for executions with unbounded events
  // (actions have a dozen).
  virtual absl::StatusOr<std::vector<StoredEvent>> ReadAllEvents(
      absl::Span<const ExecutionId> ids) = 0;

  // Ids below `before` (none: from the newest), newest first, at most `limit`.
  virtual absl::StatusOr<std::vector<ExecutionId>> ListExecutions(const ExecutionFilter& filter,
                                                                  const ExecutionId& before,
                                                                  int limit) = 0;

  // Live (not ended) executions that match, oldest first, above `after`, at most `limit`.
  virtual absl::StatusOr<std::vector<ExecutionId>> ListLive(const ExecutionFilter& filter,
                                                            const ExecutionId& after,
                                                            int limit) = 0;

  // Appends a signal and wakes the execution if it is parked (6.2.1: row lock first, then parked
  // and lease, one transaction). NOT_FOUND for an unknown id.
  virtual absl::StatusOr<SignalResult> AppendSignal(const ExecutionId& id,
                                                    const NewSignal& signal) = 0;

  // Where an execution stands beside its events; NOT_FOUND for an unknown id.
  virtual absl::StatusOr<StandingRow> ReadStanding(const ExecutionId& id) = 0;

  // Workers that live, and those lost in the last hour; newest first.
  virtual absl::StatusOr<std::vector<WorkerRow>> ListWorkers() = 0;

  // Stored log from `offset`, at most `limit` bytes. `length` is what is stored, `complete` whether
  // nothing will follow.
  struct Log {
    LogChunk chunk;
    std::int64_t length = 0;
    bool complete = false;
  };
  virtual absl::StatusOr<Log> ReadLog(const ExecutionId& id, std::int64_t offset, int limit) = 0;

  // OK when the database answers, is writable and has the schema this program needs.
  virtual absl::Status CheckReady() = 0;

  // Figures for metrics, one cheap statement each round.
  struct Stats {
    std::map<int, std::int64_t> ready_by_queue;  // executions in unowned due leases; every queue
    std::map<int, absl::Duration> oldest_ready_by_queue;  // age of the oldest
    int live_workers = 0;
    std::int64_t parked = 0;
    absl::Duration oldest_xmin_age;  // of the whole Postgres server
  };
  virtual absl::StatusOr<Stats> ReadStats() = 0;
};

}  // namespace capstan::storage
