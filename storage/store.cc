#include "storage/store.h"

#include <utility>

#include "core/status_macros.h"
#include "storage/commit_flush.h"
#include "storage/postgres_admin_store.h"
#include "storage/postgres_feed_tailer.h"
#include "storage/postgres_lease_store.h"
#include "storage/postgres_reader.h"
#include "storage/postgres_task_store.h"
#include "storage/schema.h"
#include "storage/submit_flush.h"

namespace capstan::storage {

// Lease ids of a flush are numbered within a block of this many.
constexpr std::size_t kLeaseBlock = 1024;

absl::Status CheckOptions(const StoreOptions& options) {
  if (options.dsn.empty()) return absl::InvalidArgumentError("store: dsn is empty");
  CAPSTAN_RETURN_IF_ERROR(CheckDsn(options.dsn));
  if (options.idle_in_transaction_timeout >= options.lease_ttl / 3) {
    return absl::InvalidArgumentError(
        "store: idle_in_transaction_timeout must be below a third of lease_ttl");
  }
  if (options.flush_items < 1 || options.flush_items > kLeaseBlock) {
    return absl::InvalidArgumentError("store: flush_items must be between 1 and 1024");
  }
  if (options.action_lease_size < 1 || options.task_lease_size < 1 ||
      options.reader_connections < 1 || options.feed_rows < 1 ||
      options.split_after_takeovers < 1) {
    return absl::InvalidArgumentError("store: sizes and counts must be at least 1");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Submitter>> OpenSubmitter(const StoreOptions& options,
                                                         Observer observer, Clock& clock) {
  return FlushingSubmitter::Create(options, std::move(observer), clock);
}

absl::StatusOr<std::unique_ptr<Committer>> OpenCommitter(const StoreOptions& options,
                                                         Observer observer, Clock& clock) {
  return FlushingCommitter::Create(options, std::move(observer), clock);
}

absl::StatusOr<std::unique_ptr<LeaseStore>> OpenLeaseStore(const StoreOptions& options,
                                                           Observer observer, Clock& clock) {
  return PostgresLeaseStore::Create(options, std::move(observer), clock);
}

absl::StatusOr<std::unique_ptr<Reader>> OpenReader(const StoreOptions& options, Observer observer,
                                                   Clock& clock) {
  return PostgresReader::Create(options, std::move(observer), clock);
}

absl::StatusOr<std::unique_ptr<AdminStore>> OpenAdminStore(const StoreOptions& options,
                                                           Observer observer, Clock& clock) {
  return PostgresAdminStore::Create(options, std::move(observer), clock);
}

absl::StatusOr<std::unique_ptr<TaskStore>> OpenTaskStore(const StoreOptions& options,
                                                         Observer observer, Clock& clock) {
  return PostgresTaskStore::Create(options, std::move(observer), clock);
}

absl::StatusOr<std::unique_ptr<FeedTailer>> OpenFeedTailer(const StoreOptions& options,
                                                           Observer observer, Clock& clock) {
  return PostgresFeedTailer::Create(options, std::move(observer), clock);
}

}  // namespace capstan::storage
