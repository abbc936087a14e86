// The AdminStore over one connection.
#pragma once

#include <memory>

#include "absl/synchronization/mutex.h"
#include "storage/admin_store.h"
#include "storage/audit_writer.h"
#include "storage/connection.h"

namespace capstan::storage {

class PostgresAdminStore final : public AdminStore {
 public:
  static absl::StatusOr<std::unique_ptr<AdminStore>> Create(const StoreOptions& options,
                                                            Observer observer, Clock& clock);

  absl::StatusOr<StopRow> Stop(const NewStop& stop) override;
  absl::StatusOr<StopRow> LiftStop(std::int64_t id, const std::string& caller,
                                   const std::string& reason, const std::string& audit) override;
  absl::StatusOr<StopRow> ReadStop(std::int64_t id) override;
  absl::StatusOr<std::vector<StopRow>> StopsInForce() override;
  absl::StatusOr<std::vector<ExecutionId>> ListStopped(const ExecutionId& after,
                                                       int limit) override;
  absl::Status Wake(const std::vector<ExecutionId>& ids) override;
  absl::StatusOr<std::vector<TargetRow>> ListTargets(const std::string& after, int limit) override;
  absl::StatusOr<TargetRow> ReadTarget(const std::string& key) override;
  absl::StatusOr<TargetRow> ClearTargetBlock(const std::string& key,
                                             const std::string& audit) override;
  absl::StatusOr<ProjectRow> SetProjectBudget(const std::string& project, std::int64_t limit,
                                              const std::string& audit) override;
  absl::StatusOr<std::vector<ProjectRow>> ListProjects(int limit) override;
  absl::StatusOr<std::vector<OpenApproval>> ListOpenApprovals(const ExecutionId& after,
                                                              int limit) override;
  absl::StatusOr<DecisionPage> ListDecisions(const DecisionRange& range, int limit,
                                             std::int64_t max_bytes) override;
  absl::StatusOr<std::vector<AuditChainEnd>> AuditChains() override;
  absl::StatusOr<std::vector<AuditEntry>> ReadAudit(const AuditChainId& chain, std::int64_t after,
                                                    int limit) override;

 private:
  PostgresAdminStore(const StoreOptions& options, const Observer& observer, Clock& clock);

  // Runs `work` in a transaction, again after a deadlock or on a new connection; with `audit` when
  // it says that it changed something.
  template <class Work>
  absl::Status Change(const std::string& audit, Work work) ABSL_LOCKS_EXCLUDED(mu_);
  // One reading statement, again on a new connection when the idle one has died.
  absl::StatusOr<Rows> Read(const Statement& statement, const Params& params = {})
      ABSL_LOCKS_EXCLUDED(mu_);

  absl::Mutex mu_;
  Connection connection_ ABSL_GUARDED_BY(mu_);
  const AuditWriter audit_;
};

}  // namespace capstan::storage
