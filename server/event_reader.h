// Reads executions for everybody who wants them now: calls that come in while a statement runs are
// answered together by the next one, and any number of watchers of one execution share one read.
// What was read is kept in a small cache, since the watchers of an execution come one after
// another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/event_list.h"
#include "storage/reader.h"

namespace capstan::server {

// Thread-safe. `reader` must outlive it. Stop() and the destructor answer what is queued, then
// join.
class EventReader {
 public:
  struct Options {
    int threads = 2;
    int batch = 64;                      // executions in one statement
    std::size_t cache_bytes = 16 << 20;  // of stored events
    std::size_t max_waiting = 100'000;   // executions waiting for a read
  };
  EventReader(storage::Reader& reader, Options options);
  ~EventReader();

  // On a thread of this object, or at once on the caller's: must not block. Errors: NOT_FOUND,
  // UNAVAILABLE (the database is away, or this is stopped), RESOURCE_EXHAUSTED (try later),
  // INTERNAL (stored bytes are broken).
  using Done = std::function<void(absl::StatusOr<EventListPtr>)>;

  // Everything that was committed before this call.
  void ReadLatest(const ExecutionId& id, Done done);
  // Everything up to `seq` at least; `seq` is known to be stored.
  void ReadAtLeast(const ExecutionId& id, std::int32_t seq, Done done);

  void Stop();  // idempotent

 private:
  struct Cached {
    EventListPtr list;
    std::list<ExecutionId>::iterator age;
  };

  void Enqueue(const ExecutionId& id, Done done);
  void Run(int index);
  // Reads these and calls those who wait for them.
  void ReadBatch(const std::vector<ExecutionId>& ids, std::vector<std::vector<Done>> waiters);
  EventListPtr FindCached(const ExecutionId& id);
  void Keep(const EventListPtr& list);

  storage::Reader& reader_;
  const Options options_;

  absl::Mutex mu_;
  absl::flat_hash_map<ExecutionId, std::vector<Done>> waiting_ ABSL_GUARDED_BY(mu_);
  std::deque<ExecutionId> order_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;

  absl::Mutex cache_mu_;
  absl::flat_hash_map<ExecutionId, Cached> cache_ ABSL_GUARDED_BY(cache_mu_);
  std::list<ExecutionId> ages_ ABSL_GUARDED_BY(cache_mu_);  // newest first
  std::size_t cached_bytes_ ABSL_GUARDED_BY(cache_mu_) = 0;

  std::vector<std::thread> threads_;
};

}  // namespace capstan::server
