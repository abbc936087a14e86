// What operators read and change: emergency stops, targets, budgets of projects, open approvals,
// policy decisions, the audit log.
// Blocking, thread-safe (one connection). What changes something is audited in its transaction.
// Errors:
// UNAVAILABLE, the database is away; for a change: it may have happened, do it again.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/types.h"

namespace capstan::storage {

struct NewStop {
  StopScope scope = StopScope::kAll;
  std::string subject = {};
  std::string caller = {};
  std::string reason = {};
  std::string request_id = {};  // empty: none
  std::string audit = {};       // JSON for the audit log; empty: none
};

class AdminStore {
 public:
  virtual ~AdminStore() = default;

  // Makes a stop: from its commit on no launch in its scope is stored. The same caller and
  // request_id give the stop that is there, which may be one of another scope.
  virtual absl::StatusOr<StopRow> Stop(const NewStop& stop) = 0;
  // Ends a stop; ended already is fine. NOT_FOUND.
  virtual absl::StatusOr<StopRow> LiftStop(std::int64_t id, const std::string& caller,
                                           const std::string& reason, const std::string& audit) = 0;
  // NOT_FOUND.
  virtual absl::StatusOr<StopRow> ReadStop(std::int64_t id) = 0;
  // Newest first.
  virtual absl::StatusOr<std::vector<StopRow>> StopsInForce() = 0;
  // Executions parked as stopped, above `after`, oldest first.
  virtual absl::StatusOr<std::vector<ExecutionId>> ListStopped(const ExecutionId& after,
                                                               int limit) = 0;
  // Wakes those of them that are parked, for whatever reason.
  virtual absl::Status Wake(const std::vector<ExecutionId>& ids) = 0;

  // Held, waited for or blocked targets above a key, by key.
  virtual absl::StatusOr<std::vector<TargetRow>> ListTargets(const std::string& after,
                                                             int limit) = 0;
  // One without a row when nothing was ever known of it.
  virtual absl::StatusOr<TargetRow> ReadTarget(const std::string& key) = 0;
  // Takes a block away and wakes what waits. FAILED_PRECONDITION: it is not blocked.
  virtual absl::StatusOr<TargetRow> ClearTargetBlock(const std::string& key,
                                                     const std::string& audit) = 0;

  // Says what a project may cost in a month (0: no limit), and wakes those that wait for it.
  virtual absl::StatusOr<ProjectRow> SetProjectBudget(const std::string& project,
                                                      std::int64_t limit,
                                                      const std::string& audit) = 0;
  // Those that have a limit, or have spent or reserved something this month; by name.
  virtual absl::StatusOr<std::vector<ProjectRow>> ListProjects(int limit) = 0;

  // Open approvals above `after`, oldest execution first.
  virtual absl::StatusOr<std::vector<OpenApproval>> ListOpenApprovals(const ExecutionId& after,
                                                                      int limit) = 0;

  // Stored policy decisions by execution and number, at most `limit` and about `max_bytes` of them
  // (one that is larger alone comes alone).
  virtual absl::StatusOr<DecisionPage> ListDecisions(const DecisionRange& range, int limit,
                                                     std::int64_t max_bytes) = 0;

  // The audit log: the ends of its chains, and the rows of one above a number.
  virtual absl::StatusOr<std::vector<AuditChainEnd>> AuditChains() = 0;
  virtual absl::StatusOr<std::vector<AuditEntry>> ReadAudit(const AuditChainId& chain,
                                                            std::int64_t after, int limit) = 0;
};

}  // namespace capstan::storage
