#include "storage/postgres_lease_store.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "capstan/v1/event.pb.h"
#include "core/failpoint.h"
#include "core/log.h"
#include "core/status_macros.h"
#include "storage/event_row.h"
#include "storage/parent_line.h"
#include "storage/schema.h"
#include "storage/sql.h"
#include "storage/stop_rows.h"
#include "storage/stop_scope.h"
#include "storage/target_rows.h"

namespace capstan::storage {
namespace {

template <class Id>
Array IdArray(absl::Span<const Id> ids) {
  Array array(Element::kUuid, ids.size() * 20);
  for (const Id& id : ids) array.Add(id);
  return array;
}

// Two parallel arrays: id and epoch.
void AddLeases(absl::Span<const LeaseRef> leases, Params& params) {
  Array ids(Element::kInt8, leases.size() * 12), epochs(Element::kInt4, leases.size() * 8);
  for (const LeaseRef& lease : leases) {
    ids.Add(lease.id);
    epochs.Add(lease.epoch);
  }
  params.Add(std::move(ids)).Add(std::move(epochs));
}

std::vector<LeaseRef> ReadLeases(const Rows& rows) {
  std::vector<LeaseRef> leases;
  for (int i = 0; i < rows.size(); ++i) {
    leases.push_back({rows.Int(i, 0), static_cast<std::int32_t>(rows.Int(i, 1))});
  }
  return leases;
}

// What leases list (`only` of it unless empty), in the order in which it is worked on. Columns: id,
// epoch, takeovers, how long it was due, ids, priority.
std::vector<HeldExecution> Listed(const Rows& leases, absl::Span<const ExecutionId> only) {
  std::vector<int> order(static_cast<std::size_t>(leases.size()));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int a, int b) {
    return std::pair(leases.Int(a, 5), leases.Int(a, 0)) <
           std::pair(leases.Int(b, 5), leases.Int(b, 0));
  });
  const absl::flat_hash_set<ExecutionId> wanted(only.begin(), only.end());
  std::vector<HeldExecution> held;
  for (const int i : order) {
    std::vector<ExecutionId> ids = leases.Uuids<ExecutionId>(i, 4);
    std::sort(ids.begin(), ids.end());
    for (const ExecutionId& id : ids) {
      if (!wanted.empty() && !wanted.contains(id)) continue;
      HeldExecution& one = held.emplace_back();
      one.id = id;
      one.lease = {leases.Int(i, 0), static_cast<std::int32_t>(leases.Int(i, 1))};
      one.takeovers = static_cast<std::int16_t>(leases.Int(i, 2));
      one.queue_wait = leases.Interval(i, 3);
      one.alone = ids.size() == 1;
    }
  }
  return held;
}

absl::Status MarkedDead() {
  return absl::FailedPreconditionError(
      "this worker was marked dead; stop everything and register again");
}

}  // namespace

absl::StatusOr<std::unique_ptr<LeaseStore>> PostgresLeaseStore::Create(const StoreOptions& options,
                                                                       Observer observer,
                                                                       Clock& clock) {
  CAPSTAN_RETURN_IF_ERROR(CheckOptions(options));
  std::unique_ptr<PostgresLeaseStore> store(new PostgresLeaseStore(options, observer, clock));
  absl::MutexLock lock(&store->claim_mu_);
  CAPSTAN_RETURN_IF_ERROR(CheckSchemaOn(store->claim_));
  const absl::Time before = store->database_clock_.Before();
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, store->claim_.Run(sql::kClockRead));
  store->database_clock_.Measured(before, rows.Time(0, 0));
  return std::unique_ptr<LeaseStore>(std::move(store));
}

PostgresLeaseStore::PostgresLeaseStore(const StoreOptions& options, const Observer& observer,
                                       Clock& clock)
    : options_(options),
      observer_(observer),
      clock_(clock),
      database_clock_(clock),
      claim_(options, "claim", Planning::kGeneric, observer, clock),
      heartbeat_(options, "heartbeat", Planning::kGeneric, observer, clock),
      maintenance_(options, "maintenance", Planning::kGeneric, observer, clock) {}

absl::StatusOr<WorkerId> PostgresLeaseStore::Register(const WorkerInfo& info) {
  absl::MutexLock lock(&heartbeat_mu_);
  const WorkerId id = WorkerId::Make(database_clock_.Now());
  CAPSTAN_RETURN_IF_ERROR(
      heartbeat_.Run(sql::kWorkerRegister, Params().Add(id).Add(info.host).Add(info.version))
          .status());
  return id;
}

absl::StatusOr<std::vector<LeaseRef>> PostgresLeaseStore::Heartbeat(const WorkerId& worker) {
  absl::MutexLock lock(&heartbeat_mu_);
  if (absl::Status lost = HitFailpoint("heartbeat.before"); !lost.ok()) {
    heartbeat_.Close();
    return lost;
  }
  const absl::Time before = database_clock_.Before();
  CAPSTAN_ASSIGN_OR_RETURN(const Rows beat,
                           heartbeat_.Run(sql::kWorkerHeartbeat, Params().Add(worker)));
  if (beat.empty()) return MarkedDead();
  database_clock_.Measured(before, beat.Time(0, 0));
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows,
                           heartbeat_.Run(sql::kWorkerLeases, Params().Add(worker)));
  return ReadLeases(rows);
}

absl::StatusOr<std::vector<HeldExecution>> PostgresLeaseStore::Claim(const WorkerId& worker,
                                                                     Queue queue, int free_slots) {
  if (free_slots <= 0) return std::vector<HeldExecution>();
  absl::MutexLock lock(&claim_mu_);
  if (absl::Status lost = HitFailpoint("claim.before_commit"); !lost.ok()) {
    claim_.Close();
    return lost;
  }
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows,
                           claim_.Run(sql::kLeaseClaim, Params()
                                                            .Add(worker)
                                                            .Add(static_cast<std::int16_t>(queue))
                                                            .Add(std::int64_t{free_slots})));
  if (absl::Status lost = HitFailpoint("claim.after_commit"); !lost.ok()) {
    claim_.Close();
    return lost;
  }
  return LoadListed(worker, rows, {});
}

absl::StatusOr<std::vector<HeldExecution>> PostgresLeaseStore::Load(
    const WorkerId& worker, absl::Span<const LeaseRef> leases, absl::Span<const ExecutionId> only) {
  if (leases.empty()) return std::vector<HeldExecution>();
  absl::MutexLock lock(&claim_mu_);
  Params params;
  params.Add(worker);
  AddLeases(leases, params);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, claim_.Run(sql::kLeaseLoad, params));
  return LoadListed(worker, rows, only);
}

absl::StatusOr<std::vector<HeldExecution>> PostgresLeaseStore::LoadListed(
    const WorkerId& worker, const Rows& leases, absl::Span<const ExecutionId> only) {
  std::vector<HeldExecution> held = Listed(leases, only);
  CAPSTAN_RETURN_IF_ERROR(LoadExecutions(held));
  if (!only.empty()) return held;

  // Leases that nobody names any more (their last holder died before it could delete them) go away
  // here.
  absl::flat_hash_set<std::int64_t> named;
  for (const HeldExecution& one : held) named.insert(one.lease.id);
  std::vector<LeaseRef> unnamed;
  for (const LeaseRef& lease : ReadLeases(leases)) {
    if (!named.contains(lease.id)) unnamed.push_back(lease);
  }
  if (unnamed.empty()) return held;
  Params discard;
  discard.Add(worker);
  AddLeases(unnamed, discard);
  CAPSTAN_RETURN_IF_ERROR(claim_.Run(sql::kLeaseDiscard, discard).status());
  return held;
}

absl::Status PostgresLeaseStore::LoadExecutions(std::vector<HeldExecution>& held) {
  if (held.empty()) return absl::OkStatus();
  Array ids(Element::kUuid, held.size() * 20);
  for (const HeldExecution& one : held) ids.Add(one.id);
  const auto [least, greatest] = std::minmax_element(
      held.begin(), held.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  const Params params = Params().Add(std::move(ids)).Add(least->id).Add(greatest->id);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows executions, claim_.Run(sql::kExecutionLoad, params));
  CAPSTAN_ASSIGN_OR_RETURN(const Rows events, claim_.Run(sql::kEventFirst, params));
  absl::flat_hash_map<ExecutionId, int> execution_rows, event_rows;
  for (int i = 0; i < executions.size(); ++i)
    execution_rows[executions.Uuid<ExecutionId>(i, 0)] = i;
  for (int i = 0; i < events.size(); ++i) event_rows[events.Uuid<ExecutionId>(i, 0)] = i;

  // An execution may be listed twice: by the lease it names, and by one that it has left.
  std::vector<HeldExecution> ours;
  ours.reserve(held.size());
  for (HeldExecution& one : held) {
    const auto execution = execution_rows.find(one.id);
    if (execution == execution_rows.end() || executions.Int(execution->second, 1) != one.lease.id) {
      continue;
    }
    one.state = static_cast<State>(executions.Int(execution->second, 2));
    one.last_seq = static_cast<std::int32_t>(executions.Int(execution->second, 3));
    one.signals = static_cast<std::int32_t>(executions.Int(execution->second, 4));
    one.machine = executions.Text(execution->second, 5);
    one.queue = static_cast<Queue>(executions.Int(execution->second, 6));
    absl::StatusOr<std::vector<StoredEvent>> first = absl::NotFoundError("event 1 is missing");
    if (const auto event = event_rows.find(one.id); event != event_rows.end()) {
      one.create_time = events.Time(event->second, 1);
      first = DecodeEvents(one.id, 1, one.create_time, events.Bytes(event->second, 2));
    }
    if (!first.ok()) {  // its neighbours go on
      Log(Level::kError, "stored execution cannot be read; it is left alone",
          {{"execution", one.id.ToString()}});
      continue;
    }
    one.accepted = std::move(first->front().body);
    ours.push_back(std::move(one));
  }
  held = std::move(ours);
  return absl::OkStatus();
}

absl::Status PostgresLeaseStore::SetDraining(const WorkerId& worker) {
  absl::MutexLock lock(&heartbeat_mu_);
  return heartbeat_.Run(sql::kWorkerDraining, Params().Add(worker)).status();
}

absl::Status PostgresLeaseStore::Release(const WorkerId& worker,
                                         absl::Span<const LeaseRef> leases) {
  if (leases.empty()) return absl::OkStatus();
  absl::MutexLock lock(&claim_mu_);
  Params params;
  params.Add(worker);
  AddLeases(leases, params);
  return claim_.Run(sql::kLeaseRelease, params).status();
}

absl::Status PostgresLeaseStore::Deregister(const WorkerId& worker) {
  absl::MutexLock lock(&claim_mu_);
  Transaction transaction(claim_);
  CAPSTAN_RETURN_IF_ERROR(transaction.Begin());
  // Waits for a claim of this worker that is under way; the next statement sees what it took.
  CAPSTAN_RETURN_IF_ERROR(
      transaction.Run(sql::kWorkerMarkDead, Params().Add(worker).Null()).status());
  CAPSTAN_RETURN_IF_ERROR(transaction.Run(sql::kLeaseReleaseAll, Params().Add(worker)).status());
  return transaction.Commit();
}

absl::StatusOr<int> PostgresLeaseStore::ReapLostWorkers(const WorkerId& self, absl::Duration ttl) {
  absl::MutexLock lock(&maintenance_mu_);
  const absl::StatusOr<Rows> rows = maintenance_.Run(sql::kWorkerWatch, Params().Add(self));
  if (!rows.ok()) {
    watch_.Forget();
    return rows.status();
  }
  std::vector<HeartbeatWatch::Seen> living;
  for (int i = 0; i < rows->size(); ++i)
    living.push_back({rows->Uuid<WorkerId>(i, 0), rows->Int(i, 1)});
  for (const HeartbeatWatch::Seen& lost : watch_.Look(living, clock_.BootTime(), ttl)) {
    CAPSTAN_ASSIGN_OR_RETURN(
        const Rows marked,
        maintenance_.Run(sql::kWorkerMarkDead, Params().Add(lost.worker).Add(lost.heartbeat)));
    if (marked.empty()) continue;  // it moved after all, or somebody else was first
    Log(Level::kWarning, "worker lost", {{"worker", lost.worker.ToString()}});
    if (observer_.reaped) observer_.reaped(1);
  }
  if (absl::Status failed = HitFailpoint("reap.between"); !failed.ok()) {
    maintenance_.Close();
    return failed;
  }
  return TakeFromDead();
}

absl::StatusOr<int> PostgresLeaseStore::TakeFromDead() {
  Transaction transaction(maintenance_);
  CAPSTAN_RETURN_IF_ERROR(transaction.Begin());
  CAPSTAN_ASSIGN_OR_RETURN(const Rows freed, transaction.Run(sql::kLeaseReap));
  if (freed.empty()) return 0;
  Array poisonous(Element::kInt8, 0);
  bool split = false;
  for (int i = 0; i < freed.size(); ++i) {
    if (freed.Int(i, 1) < options_.split_after_takeovers || freed.Int(i, 2) == 1) continue;
    poisonous.Add(freed.Int(i, 0));
    split = true;
  }
  if (split) {
    CAPSTAN_RETURN_IF_ERROR(
        transaction.Run(sql::kLeaseSplit, Params().Add(std::move(poisonous))).status());
  }
  CAPSTAN_RETURN_IF_ERROR(transaction.Commit());
  return freed.size();
}

absl::StatusOr<LeaseStore::Woken> PostgresLeaseStore::WakeDue(int limit) {
  absl::MutexLock lock(&maintenance_mu_);
  Woken woken;
  CAPSTAN_ASSIGN_OR_RETURN(woken.count, WakeSome(limit));
  CAPSTAN_ASSIGN_OR_RETURN(const Rows next, maintenance_.Run(sql::kWakeNext));
  if (!next.IsNull(0, 0)) {
    woken.next_due = std::max(absl::ZeroDuration(), absl::Microseconds(next.Int(0, 0)));
  }
  return woken;
}

absl::StatusOr<int> PostgresLeaseStore::WakeSome(int limit) {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows due, maintenance_.Run(sql::kWakeCandidates));
  const int count = std::min(limit, due.size());
  if (count <= 0) return 0;
  std::vector<ExecutionId> ids;
  for (int i = 0; i < count; ++i) ids.push_back(due.Uuid<ExecutionId>(i, 0));
  return WakeParked(ids, /*only_due=*/true);
}

absl::StatusOr<int> PostgresLeaseStore::WakeParked(absl::Span<const ExecutionId> candidates,
                                                   bool only_due) {
  Transaction transaction(maintenance_);
  CAPSTAN_RETURN_IF_ERROR(transaction.Begin());
  CAPSTAN_ASSIGN_OR_RETURN(const Rows locked,
                           transaction.Run(sql::kWakeLock, Params().Add(IdArray(candidates))));
  if (locked.empty()) return 0;
  std::vector<ExecutionId> ids;
  for (int i = 0; i < locked.size(); ++i) ids.push_back(locked.Uuid<ExecutionId>(i, 0));
  if (absl::Status lost = HitFailpoint("wake.between"); !lost.ok()) {
    maintenance_.Close();
    return lost;
  }
  CAPSTAN_ASSIGN_OR_RETURN(
      const Rows woken,
      transaction.Run(sql::kWake, Params()
                                      .Add(IdArray<ExecutionId>(ids))
                                      .Add(std::int32_t{options_.action_lease_size})
                                      .Add(std::int32_t{options_.task_lease_size})
                                      .Add(only_due)));
  CAPSTAN_RETURN_IF_ERROR(transaction.Commit());
  return static_cast<int>(woken.Int(0, 0));
}

absl::StatusOr<int> PostgresLeaseStore::WakeUnstopped(int slice) {
  absl::MutexLock lock(&maintenance_mu_);
  CAPSTAN_ASSIGN_OR_RETURN(
      const Rows parked,
      maintenance_.Run(sql::kParkedStopped, Params().Add(unstopped_to_).Add(std::int64_t{slice})));
  std::vector<ExecutionId> ids;
  for (int i = 0; i < parked.size(); ++i) ids.push_back(parked.Uuid<ExecutionId>(i, 0));
  // At the end: from the start again.
  unstopped_to_ = parked.size() < slice ? ExecutionId() : ids.back();
  if (ids.empty()) return 0;
  // After what is parked: each of them found a stop in force when it was.
  CAPSTAN_ASSIGN_OR_RETURN(const Rows in_force, maintenance_.Run(sql::kStopInForce));
  const std::vector<StopRow> stops = ReadStopRows(in_force);
  const bool all_stay = std::any_of(stops.begin(), stops.end(), [](const StopRow& stop) {
    return stop.scope == StopScope::kAll || stop.scope == StopScope::kWorker;
  });
  if (all_stay) return 0;
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<ExecutionId> free, NotCovered(ids, stops));
  if (free.empty()) return 0;
  CAPSTAN_ASSIGN_OR_RETURN(const int woken, WakeParked(free, /*only_due=*/false));
  if (woken > 0) {
    Log(Level::kWarning, "executions waited for a stop that had been lifted and were woken",
        {{"count", woken}});
  }
  return woken;
}

absl::StatusOr<std::vector<ExecutionId>> PostgresLeaseStore::NotCovered(
    absl::Span<const ExecutionId> ids, absl::Span<const StopRow> stops) {
  if (stops.empty()) return std::vector<ExecutionId>(ids.begin(), ids.end());
  const Params params = Params().Add(IdArray(ids)).Add(ids.front()).Add(ids.back());
  CAPSTAN_ASSIGN_OR_RETURN(const Rows events, maintenance_.Run(sql::kEventFirst, params));
  std::vector<ExecutionId> free;
  for (int i = 0; i < events.size(); ++i) {
    const auto id = events.Uuid<ExecutionId>(i, 0);
    const auto first = DecodeEvents(id, 1, events.Time(i, 1), events.Bytes(i, 2));
    v1::ExecutionEvent event;
    if (!first.ok() || !event.ParseFromString(first->front().body)) continue;
    const v1::Accepted& request = event.accepted();
    if (FindCovering(stops, {request.target().namespace_(), request.action(), ""}) == nullptr)
      free.push_back(id);
  }
  return free;
}

absl::StatusOr<int> PostgresLeaseStore::Sweep(int slice) {
  absl::MutexLock lock(&maintenance_mu_);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows,
                           maintenance_.Run(sql::kSweepSlice, Params().Add(swept_to_)));
  const int looked = std::min(slice, rows.size());
  std::vector<ExecutionId> suspects;
  for (int i = 0; i < looked; ++i) {
    if (rows.Bool(i, 1)) suspects.push_back(rows.Uuid<ExecutionId>(i, 0));
  }
  int leased = 0;
  if (!suspects.empty()) {
    CAPSTAN_ASSIGN_OR_RETURN(leased, LeaseStranded(suspects));
  }
  swept_to_ = looked > 0 ? rows.Uuid<ExecutionId>(looked - 1, 0)
                         : ExecutionId();  // at the end: from the start again
  if (leased > 0) {
    Log(Level::kError, "executions had neither lease nor parked row", {{"count", leased}});
    if (observer_.swept) observer_.swept(leased);
  }
  return leased;
}

absl::StatusOr<int> PostgresLeaseStore::LeaseStranded(absl::Span<const ExecutionId> suspects) {
  Transaction transaction(maintenance_);
  CAPSTAN_RETURN_IF_ERROR(transaction.Begin());
  CAPSTAN_ASSIGN_OR_RETURN(const Rows locked,
                           transaction.Run(sql::kSweepLock, Params().Add(IdArray(suspects))));
  std::vector<ExecutionId> ids;
  for (int i = 0; i < locked.size(); ++i) ids.push_back(locked.Uuid<ExecutionId>(i, 0));
  CAPSTAN_ASSIGN_OR_RETURN(
      const Rows leased,
      transaction.Run(sql::kSweepLease, Params().Add(IdArray<ExecutionId>(ids))));
  CAPSTAN_RETURN_IF_ERROR(transaction.Commit());
  return static_cast<int>(leased.Int(0, 0));
}

absl::StatusOr<std::vector<Signal>> PostgresLeaseStore::ReadSignals(const ExecutionId& id,
                                                                    std::int32_t after) {
  absl::MutexLock lock(&claim_mu_);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows,
                           claim_.Run(sql::kSignalRead, Params().Add(id).Add(after)));
  std::vector<Signal> signals;
  for (int i = 0; i < rows.size(); ++i) {
    signals.push_back({static_cast<std::int32_t>(rows.Int(i, 0)),
                       static_cast<SignalKind>(rows.Int(i, 1)), rows.Text(i, 2), rows.Text(i, 3),
                       rows.Time(i, 4), rows.Text(i, 5)});
  }
  return signals;
}

absl::StatusOr<TargetRow> PostgresLeaseStore::ReadTarget(const std::string& key) {
  absl::MutexLock lock(&claim_mu_);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, claim_.Run(sql::kTargetRead, Params().Add(key)));
  return OneTarget(rows, key);
}

absl::StatusOr<ParentLine> PostgresLeaseStore::ReadParent(const std::string& parent, int limit) {
  absl::MutexLock lock(&claim_mu_);
  CAPSTAN_ASSIGN_OR_RETURN(auto lines, ReadParentLines(claim_, {parent}, limit));
  return std::move(lines[parent]);
}

absl::StatusOr<SurroundingsRow> PostgresLeaseStore::ReadSurroundings(const std::string& name_space,
                                                                     absl::Duration window,
                                                                     const std::string& dry_run_key,
                                                                     const ExecutionId& asking) {
  absl::MutexLock lock(&claim_mu_);
  CAPSTAN_ASSIGN_OR_RETURN(
      const Rows rows,
      claim_.Run(sql::kSurroundingsRead, Params()
                                             .Add(name_space)
                                             .Add(std::int64_t{absl::ToInt64Microseconds(window)})
                                             .Add(dry_run_key)
                                             .Add(asking)));
  return SurroundingsRow{rows.Int(0, 0), rows.Bool(0, 1), rows.Int(0, 2)};
}

absl::StatusOr<std::vector<StopRow>> PostgresLeaseStore::StopsInForce() {
  absl::MutexLock lock(&claim_mu_);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, claim_.Run(sql::kStopInForce));
  return ReadStopRows(rows);
}

absl::StatusOr<NewArtifact> PostgresLeaseStore::ReadArtifact(const ExecutionId& id,
                                                             std::string_view name) {
  absl::MutexLock lock(&claim_mu_);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows,
                           claim_.Run(sql::kArtifactRead, Params().Add(id).Add(name)));
  if (rows.empty()) return absl::NotFoundError("no such artifact");
  return NewArtifact{rows.Text(0, 0), rows.Text(0, 1), rows.Text(0, 2)};
}

}  // namespace capstan::storage
