// The Committer over one connection and one flush thread for commits, and one connection for logs.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "storage/audit_writer.h"
#include "storage/combiner.h"
#include "storage/committer.h"
#include "storage/connection.h"
#include "storage/project_money.h"
#include "storage/retry.h"
#include "storage/target_rows.h"

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
  // What became of a step in the transaction: kCommitted, refused by target, parent, budget or
  // stops, or nothing: it did not pass the fence.
  using Answers = std::vector<std::optional<CommitResult>>;
  // In the order of `items`.
  absl::StatusOr<Answers> Store(std::span<Item*> items);
  static std::vector<const storage::Commit*> WithoutAnswer(std::span<Item*> items,
                                                           const Answers& answers);
  static std::vector<const storage::Commit*> Committed(std::span<Item*> items,
                                                       const Answers& answers);
  // The executions that these steps submit; adds what the audit log gets.
  absl::Status StoreChildren(std::span<const storage::Commit* const> steps,
                             std::vector<std::string>& audited);
  // The fence itself, for the steps without an answer yet: marks those that pass.
  absl::Status PassFence(std::span<Item*> items, Answers& answers);
  // Refuses steps that emergency stops in force do not allow; holds off changes of them.
  absl::Status TestStops(std::span<Item*> items, Answers& answers);
  // Locks targets and refuses steps for which they do not stand right.
  absl::StatusOr<LockedTargets> TestTargets(std::span<Item*> items, Answers& answers);
  // What the steps that passed do with their targets; adds who is to be woken.
  absl::Status ChangeTargets(std::span<Item*> items, const Answers& answers, LockedTargets& targets,
                             std::vector<ExecutionId>& wake);
  // The same for the executions of parents.
  absl::Status TestParents(std::span<Item*> items, Answers& answers);
  absl::Status ChangeParents(std::span<Item*> items, const Answers& answers,
                             std::vector<ExecutionId>& wake);
  // The same for the budgets of projects: locks them, and refuses what they do not allow.
  absl::StatusOr<LockedProjects> TestBudgets(std::span<Item*> items, Answers& answers);
  absl::Status ChangeBudgets(std::span<Item*> items, const Answers& answers,
                             const LockedProjects& money, std::vector<ExecutionId>& wake);
  // Rows beside the events, of the steps that passed.
  absl::Status StoreBeside(std::span<Item*> items, const Answers& answers);
  absl::Status StoreApprovals(std::span<Item*> items, const Answers& answers);
  absl::Status StoreUsage(std::span<Item*> items, const Answers& answers);
  absl::Status NoteLaunches(std::span<Item*> items, const Answers& answers);
  // A step that was not stored by this transaction, and why, as far as that is known.
  struct Unsettled {
    Item* item = nullptr;
    std::optional<CommitResult> refused;
  };
  // Finds out why steps did not pass, and answers them.
  absl::Status Settle(const std::vector<Unsettled>& items, bool again);

  const StoreOptions options_;
  Clock& clock_;
  Connection connection_;  // used by the flush thread once it runs
  AuditWriter audit_;
  absl::Mutex log_mu_;
  Connection log_connection_ ABSL_GUARDED_BY(log_mu_);
  std::unique_ptr<Combiner<Item>> combiner_;
};

}  // namespace capstan::storage
