// Opens the parts of the store. Each part has its own connections and threads, so a program opens
// only what it uses: a server a Submitter, a Reader and a FeedTailer; a worker a LeaseStore, a
// Committer, and a FeedTailer.
//
// Every Open* connects, checks that the server and its schema can be used (CheckSchema) and returns
//   UNAVAILABLE          the database cannot be reached: try again
//   FAILED_PRECONDITION  it answers but must not be used: the message says what to change
//   INVALID_ARGUMENT     options contradict each other, or the DSN does not parse
// `clock` must outlive what is returned.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "storage/admin_store.h"
#include "storage/committer.h"
#include "storage/feed.h"
#include "storage/lease_store.h"
#include "storage/observer.h"
#include "storage/options.h"
#include "storage/reader.h"
#include "storage/submitter.h"
#include "storage/task_store.h"

namespace capstan::storage {

// One connection, one thread.
absl::StatusOr<std::unique_ptr<Submitter>> OpenSubmitter(const StoreOptions& options,
                                                         Observer observer, Clock& clock);

// Two connections (commits; logs), one thread.
absl::StatusOr<std::unique_ptr<Committer>> OpenCommitter(const StoreOptions& options,
                                                         Observer observer, Clock& clock);

// Three connections (claims and loads; heartbeats; maintenance), no thread.
absl::StatusOr<std::unique_ptr<LeaseStore>> OpenLeaseStore(const StoreOptions& options,
                                                           Observer observer, Clock& clock);

// StoreOptions.reader_connections connections, opened when first needed; no thread.
absl::StatusOr<std::unique_ptr<Reader>> OpenReader(const StoreOptions& options, Observer observer,
                                                   Clock& clock);

// One connection, no thread.
absl::StatusOr<std::unique_ptr<AdminStore>> OpenAdminStore(const StoreOptions& options,
                                                           Observer observer, Clock& clock);

// One connection, no thread.
absl::StatusOr<std::unique_ptr<TaskStore>> OpenTaskStore(const StoreOptions& options,
                                                         Observer observer, Clock& clock);

// Two connections (tail; resuming watchers), one thread once started.
absl::StatusOr<std::unique_ptr<FeedTailer>> OpenFeedTailer(const StoreOptions& options,
                                                           Observer observer, Clock& clock);

// Brings the schema of the database up to what this program needs, under an advisory lock: several
// may run at the same time. Forward only; does nothing when there is nothing to do. Also makes
// partitions ahead of time. Returns the version it ended at. Same errors as above, without the
// schema check.
absl::StatusOr<int> Migrate(const StoreOptions& options, Observer observer = {});

// Refuses what Capstan must not run on: a server older than 15, fsync=off, synchronous_commit=off,
// a read-only server or standby, a schema older than this program needs or more than one version
// newer.
absl::Status CheckSchema(const StoreOptions& options);

// Makes weekly partitions four weeks ahead, drops those older than `keep` in which nothing lives,
// and deletes feed rows and request keys past their time. Cheap when there is nothing to do; call
// hourly from one or several processes. Returns how many partitions were made or dropped.
struct Retention {
  absl::Duration executions = absl::Hours(30 * 24);
  absl::Duration request_keys = absl::Hours(7 * 24);
};
absl::StatusOr<int> MaintainPartitions(const StoreOptions& options, const Retention& retention,
                                       Observer observer = {});

}  // namespace capstan::storage
