// The LeaseStore over three connections: claims and loads, heartbeats, maintenance.
#pragma once

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/connection.h"
#include "storage/database_clock.h"
#include "storage/heartbeat_watch.h"
#include "storage/lease_store.h"

namespace capstan::storage {

class PostgresLeaseStore final : public LeaseStore {
 public:
  static absl::StatusOr<std::unique_ptr<LeaseStore>> Create(const StoreOptions& options,
                                                            Observer observer, Clock& clock);

  absl::StatusOr<WorkerId> Register(const WorkerInfo& info) override;
  absl::StatusOr<std::vector<LeaseRef>> Heartbeat(const WorkerId& worker) override;
  absl::StatusOr<std::vector<HeldExecution>> Claim(const WorkerId& worker, Queue queue,
                                                   int free_slots) override;
  absl::StatusOr<std::vector<HeldExecution>> Load(const WorkerId& worker,
                                                  absl::Span<const LeaseRef> leases,
                                                  absl::Span<const ExecutionId> only) override;
  absl::Status SetDraining(const WorkerId& worker) override;
  absl::Status Release(const WorkerId& worker, absl::Span<const LeaseRef> leases) override;
  absl::Status Deregister(const WorkerId& worker) override;
  absl::StatusOr<int> ReapLostWorkers(const WorkerId& self, absl::Duration ttl) override;
  absl::StatusOr<Woken> WakeDue(int limit) override;
  absl::StatusOr<int> WakeUnstopped(int slice) override;
  absl::StatusOr<int> Sweep(int slice) override;
  absl::StatusOr<std::vector<Signal>> ReadSignals(const ExecutionId& id,
                                                  std::int32_t after) override;
  absl::Time DatabaseNow() override { return database_clock_.Now(); }
  absl::StatusOr<TargetRow> ReadTarget(const std::string& key) override;
  absl::StatusOr<ParentLine> ReadParent(const std::string& parent, int limit) override;
  absl::StatusOr<SurroundingsRow> ReadSurroundings(const std::string& name_space,
                                                   absl::Duration window,
                                                   const std::string& dry_run_key,
                                                   const ExecutionId& asking) override;
  absl::StatusOr<std::vector<StopRow>> StopsInForce() override;
  absl::StatusOr<NewArtifact> ReadArtifact(const ExecutionId& id, std::string_view name) override;

 private:
  PostgresLeaseStore(const StoreOptions& options, const Observer& observer, Clock& clock);

  // What `leases` list and still name them, `only` of it unless empty.
  absl::StatusOr<std::vector<HeldExecution>> LoadListed(const WorkerId& worker, const Rows& leases,
                                                        absl::Span<const ExecutionId> only)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(claim_mu_);
  // Fills in what is read from the executions themselves; drops those that do not name their lease.
  absl::Status LoadExecutions(std::vector<HeldExecution>& held)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(claim_mu_);
  // Wakes those of them that are parked and that nobody is at, all or only those that are due.
  absl::StatusOr<int> WakeParked(absl::Span<const ExecutionId> ids, bool only_due)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(maintenance_mu_);
  absl::StatusOr<int> WakeSome(int limit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(maintenance_mu_);
  // Those of some executions that no stop covers.
  absl::StatusOr<std::vector<ExecutionId>> NotCovered(absl::Span<const ExecutionId> ids,
                                                      absl::Span<const StopRow> stops)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(maintenance_mu_);
  absl::StatusOr<int> TakeFromDead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(maintenance_mu_);
  absl::StatusOr<int> LeaseStranded(absl::Span<const ExecutionId> suspects)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(maintenance_mu_);

  const StoreOptions options_;
  const Observer observer_;
  Clock& clock_;
  DatabaseClock database_clock_;
  absl::Mutex claim_mu_;
  Connection claim_ ABSL_GUARDED_BY(claim_mu_);
  absl::Mutex heartbeat_mu_;
  Connection heartbeat_ ABSL_GUARDED_BY(heartbeat_mu_);
  absl::Mutex maintenance_mu_;
  Connection maintenance_ ABSL_GUARDED_BY(maintenance_mu_);
  HeartbeatWatch watch_ ABSL_GUARDED_BY(maintenance_mu_);
  ExecutionId swept_to_ ABSL_GUARDED_BY(maintenance_mu_);
  ExecutionId unstopped_to_ ABSL_GUARDED_BY(maintenance_mu_);
};

}  // namespace capstan::storage
