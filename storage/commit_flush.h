// The Committer over one connection and one flush thread for commits, and one connection for logs.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "storage/combiner.h"
#include "storage/committer.h"
#include "storage/connection.h"
#include "storage/retry.h"

namespace capstan::storage {

class FlushingCommitter final : public Committer {
 public:
  using Done = std::function<void(absl::StatusOr<CommitResult>)>;

  static absl::StatusOr<std::unique_ptr<Committer>> Create(const StoreOptions& options,
                                                           Observer observer, Clock& clock);
  ~FlushingCommitter() override;

  void Commit(storage::Commit commit, Done done) override;
  absl::Status AppendLog(const ExecutionId& id, const LeaseRef& lease, std::int64_t offset,
                         std::string_view data) override;

 private:
  struct Item {
    storage::Commit commit;
    Done done;
    absl::Duration deadline;
  };

  FlushingCommitter(const StoreOptions& options, Observer observer, Clock& clock);

  void Flush(std::vector<Item> items);
  absl::Status Send(std::span<Item*> items, bool again);
  // The steps that passed the fence, in the order of `items`.
  absl::StatusOr<std::vector<bool>> Store(std::span<Item*> items);
  // Rows beside the events, of the steps that passed.
  absl::Status StoreBeside(std::span<Item*> items, const std::vector<bool>& passed);
  // Finds out why steps did not pass, and answers them.
  absl::Status Settle(std::vector<Item*> items, bool again);

  const StoreOptions options_;
  Clock& clock_;
  Connection connection_;  // used by the flush thread once it runs
  absl::Mutex log_mu_;
  Connection log_connection_ ABSL_GUARDED_BY(log_mu_);
  std::unique_ptr<Combiner<Item>> combiner_;
};

}  // namespace capstan::storage
