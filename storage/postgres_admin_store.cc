#include "storage/postgres_admin_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/status_macros.h"
#include "storage/project_money.h"
#include "storage/schema.h"
#include "storage/sql.h"
#include "storage/stop_rows.h"
#include "storage/target_queue.h"
#include "storage/target_rows.h"

namespace capstan::storage {
namespace {

absl::StatusOr<StopRow> OneStop(const Rows& rows, std::int64_t id) {
  std::vector<StopRow> stops = ReadStopRows(rows);
  if (stops.empty()) return absl::NotFoundError(absl::StrCat("there is no stop ", id));
  return std::move(stops.front());
}

}  // namespace

absl::StatusOr<std::unique_ptr<AdminStore>> PostgresAdminStore::Create(const StoreOptions& options,
                                                                       Observer observer,
                                                                       Clock& clock) {
  CAPSTAN_RETURN_IF_ERROR(CheckOptions(options));
  std::unique_ptr<PostgresAdminStore> store(new PostgresAdminStore(options, observer, clock));
  absl::MutexLock lock(&store->mu_);
  CAPSTAN_RETURN_IF_ERROR(CheckSchemaOn(store->connection_));
  return std::unique_ptr<AdminStore>(std::move(store));
}

PostgresAdminStore::PostgresAdminStore(const StoreOptions& options, const Observer& observer,
                                       Clock& clock)
    : connection_(options, "admin", Planning::kCustom, observer, clock), audit_(clock.Now()) {}

template <class Work>
absl::Status PostgresAdminStore::Change(const std::string& audit, Work work) {
  absl::MutexLock lock(&mu_);
  return RunTransaction(connection_, [&](Transaction& transaction) -> absl::Status {
    CAPSTAN_ASSIGN_OR_RETURN(const bool changed, work(connection_));
    if (changed && !audit.empty()) CAPSTAN_RETURN_IF_ERROR(audit_.Append(connection_, {audit}));
    return transaction.Commit();
  });
}

absl::StatusOr<Rows> PostgresAdminStore::Read(const Statement& statement, const Params& params) {
  absl::MutexLock lock(&mu_);
  return RunRead(connection_, statement, params);
}

absl::StatusOr<StopRow> PostgresAdminStore::Stop(const NewStop& stop) {
  StopRow stored;
  CAPSTAN_RETURN_IF_ERROR(Change(stop.audit, [&](Connection& connection) -> absl::StatusOr<bool> {
    CAPSTAN_RETURN_IF_ERROR(connection.Run(sql::kStopGate).status());
    CAPSTAN_ASSIGN_OR_RETURN(
        const Rows rows,
        connection.Run(sql::kStopStore, Params()
                                            .Add(static_cast<std::int16_t>(stop.scope))
                                            .Add(stop.subject)
                                            .Add(stop.caller)
                                            .Add(stop.reason)
                                            .Add(stop.request_id)));
    CAPSTAN_ASSIGN_OR_RETURN(stored, OneStop(rows, 0));
    return rows.Bool(0, 7);
  }));
  return stored;
}

absl::StatusOr<StopRow> PostgresAdminStore::LiftStop(std::int64_t id, const std::string& caller,
                                                     const std::string& reason,
                                                     const std::string& audit) {
  CAPSTAN_ASSIGN_OR_RETURN(StopRow stop, ReadStop(id));
  if (stop.lifted_at.has_value()) return stop;
  CAPSTAN_RETURN_IF_ERROR(Change(audit, [&](Connection& connection) -> absl::StatusOr<bool> {
    CAPSTAN_RETURN_IF_ERROR(connection.Run(sql::kStopGate).status());
    CAPSTAN_ASSIGN_OR_RETURN(
        const Rows lifted,
        connection.Run(sql::kStopLift, Params().Add(id).Add(caller).Add(reason)));
    return !lifted.empty();
  }));
  return ReadStop(id);
}

absl::StatusOr<StopRow> PostgresAdminStore::ReadStop(std::int64_t id) {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, Read(sql::kStopRead, Params().Add(id)));
  return OneStop(rows, id);
}

absl::StatusOr<std::vector<StopRow>> PostgresAdminStore::StopsInForce() {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, Read(sql::kStopInForce));
  return ReadStopRows(rows);
}

absl::StatusOr<std::vector<ExecutionId>> PostgresAdminStore::ListStopped(const ExecutionId& after,
                                                                         int limit) {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows,
                           Read(sql::kParkedStopped, Params().Add(after).Add(std::int64_t{limit})));
  std::vector<ExecutionId> ids;
  for (int i = 0; i < rows.size(); ++i) ids.push_back(rows.Uuid<ExecutionId>(i, 0));
  return ids;
}

absl::Status PostgresAdminStore::Wake(const std::vector<ExecutionId>& ids) {
  return Change("", [&](Connection& connection) -> absl::StatusOr<bool> {
    CAPSTAN_RETURN_IF_ERROR(WakeThese(connection, ids));
    return true;
  });
}

absl::StatusOr<std::vector<TargetRow>> PostgresAdminStore::ListTargets(const std::string& after,
                                                                       int limit) {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows,
                           Read(sql::kTargetList, Params().Add(after).Add(std::int64_t{limit})));
  std::vector<TargetRow> targets;
  for (int i = 0; i < rows.size(); ++i) targets.push_back(ReadTargetRow(rows, i));
  return targets;
}

absl::StatusOr<TargetRow> PostgresAdminStore::ReadTarget(const std::string& key) {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, Read(sql::kTargetRead, Params().Add(key)));
  return OneTarget(rows, key);
}

absl::StatusOr<TargetRow> PostgresAdminStore::ClearTargetBlock(const std::string& key,
                                                               const std::string& audit) {
  TargetRow cleared;
  CAPSTAN_RETURN_IF_ERROR(Change(audit, [&](Connection& connection) -> absl::StatusOr<bool> {
    CAPSTAN_ASSIGN_OR_RETURN(LockedTargets locked, LockTargets(connection, {key}));
    TargetRow& row = locked.rows[key];
    if (row.blocked_by.IsNone()) {
      return absl::FailedPreconditionError(absl::StrCat(key, " is not blocked"));
    }
    const std::vector<ExecutionId> next = ClearBlock(row, locked.now);
    cleared = row;
    const TargetRow* const changed = &row;
    CAPSTAN_RETURN_IF_ERROR(StoreTargets(connection, {changed}));
    CAPSTAN_RETURN_IF_ERROR(WakeThese(connection, next));
    return true;
  }));
  return cleared;
}

absl::StatusOr<ProjectRow> PostgresAdminStore::SetProjectBudget(const std::string& project,
                                                                std::int64_t limit,
                                                                const std::string& audit) {
  CAPSTAN_RETURN_IF_ERROR(Change(audit, [&](Connection& connection) -> absl::StatusOr<bool> {
    CAPSTAN_RETURN_IF_ERROR(SetProjectLimit(connection, project, limit));
    return true;
  }));
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, Read(sql::kProjectRead, Params().Add(project)));
  return ReadProjectRow(rows, project);
}

absl::StatusOr<std::vector<ProjectRow>> PostgresAdminStore::ListProjects(int limit) {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows,
                           Read(sql::kProjectList, Params().Add(std::int64_t{limit})));
  std::vector<ProjectRow> projects;
  for (int i = 0; i < rows.size(); ++i) {
    projects.push_back({rows.Text(i, 0), rows.Int(i, 1), rows.Text(i, 2), rows.Int(i, 3),
                        rows.Int(i, 4), rows.Bool(i, 5)});
  }
  return projects;
}

absl::StatusOr<std::vector<OpenApproval>> PostgresAdminStore::ListOpenApprovals(
    const ExecutionId& after, int limit) {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows,
                           Read(sql::kApprovalList, Params().Add(after).Add(std::int64_t{limit})));
  std::vector<OpenApproval> open;
  for (int i = 0; i < rows.size(); ++i) {
    open.push_back(
        {rows.Uuid<ExecutionId>(i, 0), static_cast<std::int32_t>(rows.Int(i, 1)), rows.Time(i, 2)});
  }
  return open;
}

absl::StatusOr<DecisionPage> PostgresAdminStore::ListDecisions(const DecisionRange& range,
                                                               int limit, std::int64_t max_bytes) {
  // What fits the 48 bits of an execution's id.
  const std::int64_t since =
      std::clamp(absl::ToUnixMillis(range.since), std::int64_t{0}, (std::int64_t{1} << 48) - 1);
  Params params;
  range.execution.IsNone() ? params.Null() : params.Add(range.execution);
  params.Add(since).Add(range.after).Add(range.after_number).Add(std::int64_t{limit});
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, Read(sql::kDecisionList, params.Add(max_bytes)));
  DecisionPage page;
  for (int i = 0; i < rows.size(); ++i) {
    page.rows.push_back({rows.Uuid<ExecutionId>(i, 0), static_cast<std::int32_t>(rows.Int(i, 1)),
                         rows.Time(i, 2), rows.Bool(i, 3), rows.Text(i, 4), rows.Text(i, 5),
                         rows.Text(i, 6)});
    page.more = rows.Int(i, 7) > rows.size();
  }
  return page;
}

absl::StatusOr<std::vector<AuditChainEnd>> PostgresAdminStore::AuditChains() {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, Read(sql::kAuditChains));
  std::vector<AuditChainEnd> chains;
  for (int i = 0; i < rows.size(); ++i) {
    chains.push_back({rows.Uuid<AuditChainId>(i, 0), rows.Int(i, 1), rows.Text(i, 2)});
  }
  return chains;
}

absl::StatusOr<std::vector<AuditEntry>> PostgresAdminStore::ReadAudit(const AuditChainId& chain,
                                                                      std::int64_t after,
                                                                      int limit) {
  CAPSTAN_ASSIGN_OR_RETURN(
      const Rows rows,
      Read(sql::kAuditRead, Params().Add(chain).Add(after).Add(std::int64_t{limit})));
  std::vector<AuditEntry> entries;
  for (int i = 0; i < rows.size(); ++i) {
    entries.push_back({rows.Int(i, 0), rows.Int(i, 1), rows.Text(i, 2), rows.Text(i, 3)});
  }
  return entries;
}

}  // namespace capstan::storage
