#include "storage/postgres_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/failpoint.h"
#include "core/status_macros.h"
#include "storage/event_row.h"
#include "storage/schema.h"
#include "storage/sql.h"

namespace capstan::storage {
namespace {

bool IsTerminal(State state) {
  return state == v1::Execution::STATE_SUCCEEDED || state == v1::Execution::STATE_FAILED ||
         state == v1::Execution::STATE_CANCELLED;
}

// The events of a row of event_read.sql or event_read_all.sql.
absl::StatusOr<std::vector<StoredEvent>> ReadEventRow(const Rows& rows, int i,
                                                      const ExecutionId& id) {
  return DecodeEvents(id, static_cast<std::int32_t>(rows.Int(i, 0)), rows.Time(i, 1),
                      rows.Bytes(i, 2));
}

// $1 to $7 of the list statements.
Params FilterParams(const ExecutionFilter& filter, const ExecutionId& border, int limit) {
  Params params;
  border.IsNone() ? params.Null() : params.Add(border);
  filter.action ? params.Add(*filter.action) : params.Null();
  params.Add(filter.action_not);
  filter.parent ? params.Add(*filter.parent) : params.Null();
  params.Add(filter.parent_not);
  if (filter.labels.empty()) {
    params.Null();
  } else {
    params.Add(nlohmann::json(filter.labels)
                   .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  params.Add(std::int64_t{limit});
  return params;
}

Array States(const std::vector<State>& states, bool terminal) {
  Array array(Element::kInt2, 0);
  for (const State state : states) {
    if (IsTerminal(state) == terminal) array.Add(static_cast<std::int16_t>(state));
  }
  return array;
}

}  // namespace

PostgresReader::Loan::Loan(PostgresReader& reader, std::unique_ptr<Connection> connection)
    : reader_(&reader), connection_(std::move(connection)) {}

PostgresReader::Loan::~Loan() {
  if (connection_ == nullptr) return;
  absl::MutexLock lock(&reader_->mu_);
  reader_->idle_.push_back(std::move(connection_));
}

absl::StatusOr<std::unique_ptr<Reader>> PostgresReader::Create(const StoreOptions& options,
                                                               Observer observer, Clock& clock) {
  CAPSTAN_RETURN_IF_ERROR(CheckOptions(options));
  std::unique_ptr<PostgresReader> reader(new PostgresReader(options, observer, clock));
  CAPSTAN_RETURN_IF_ERROR(reader->CheckReady());
  return std::unique_ptr<Reader>(std::move(reader));
}

PostgresReader::PostgresReader(const StoreOptions& options, const Observer& observer, Clock& clock)
    : options_(options), audit_(clock.Now()) {
  for (int i = 0; i < options.reader_connections; ++i) {
    idle_.push_back(
        std::make_unique<Connection>(options, "read", Planning::kCustom, observer, clock));
  }
}

absl::StatusOr<PostgresReader::Loan> PostgresReader::Borrow() {
  absl::MutexLock lock(&mu_);
  if (!mu_.AwaitWithTimeout(absl::Condition(this, &PostgresReader::HasIdle),
                            options_.reader_wait)) {
    return absl::ResourceExhaustedError("database: all connections are busy");
  }
  // The one used last: it is the most likely to be connected.
  std::unique_ptr<Connection> connection = std::move(idle_.back());
  idle_.pop_back();
  return Loan(*this, std::move(connection));
}

absl::StatusOr<Rows> PostgresReader::RunOne(const Statement& statement, const Params& params) {
  CAPSTAN_ASSIGN_OR_RETURN(const Loan loan, Borrow());
  return RunRead(*loan, statement, params);
}

absl::StatusOr<std::vector<StoredEvent>> PostgresReader::ReadEvents(const ExecutionId& id,
                                                                    std::int32_t after_seq,
                                                                    int limit) {
  CAPSTAN_ASSIGN_OR_RETURN(
      const Rows rows,
      RunOne(sql::kEventRead, Params().Add(id).Add(after_seq).Add(std::int64_t{limit})));
  std::vector<StoredEvent> events;
  for (int i = 0; i < rows.size(); ++i) {
    CAPSTAN_ASSIGN_OR_RETURN(auto row, ReadEventRow(rows, i, id));
    for (StoredEvent& event : row) {
      if (event.seq > after_seq && events.size() < static_cast<std::size_t>(limit))
        events.push_back(std::move(event));
    }
  }
  return events;
}

absl::StatusOr<std::vector<StoredEvent>> PostgresReader::ReadAllEvents(
    absl::Span<const ExecutionId> ids) {
  Array array(Element::kUuid, ids.size() * 20);
  for (const ExecutionId& id : ids) array.Add(id);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows,
                           RunOne(sql::kEventReadAll, Params().Add(std::move(array))));
  std::vector<StoredEvent> events;
  for (int i = 0; i < rows.size(); ++i) {
    CAPSTAN_ASSIGN_OR_RETURN(auto row, ReadEventRow(rows, i, rows.Uuid<ExecutionId>(i, 3)));
    std::move(row.begin(), row.end(), std::back_inserter(events));
  }
  return events;
}

absl::StatusOr<std::vector<ExecutionId>> PostgresReader::List(const Statement& statement,
                                                              const Params& params) {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, RunOne(statement, params));
  std::vector<ExecutionId> ids;
  for (int i = 0; i < rows.size(); ++i) ids.push_back(rows.Uuid<ExecutionId>(i, 0));
  return ids;
}

absl::StatusOr<std::vector<ExecutionId>> PostgresReader::ListExecutions(
    const ExecutionFilter& filter, const ExecutionId& before, int limit) {
  if (filter.states.empty()) return List(sql::kListAny, FilterParams(filter, before, limit));
  const bool ended = std::any_of(filter.states.begin(), filter.states.end(), IsTerminal);
  const bool live = !std::all_of(filter.states.begin(), filter.states.end(), IsTerminal);
  std::vector<ExecutionId> found;
  // Live ones first: what ends in between is then found by the second statement, or by both.
  if (live) {
    CAPSTAN_ASSIGN_OR_RETURN(
        found, List(sql::kListLiveNewest,
                    FilterParams(filter, before, limit).Add(States(filter.states, false))));
  }
  if (ended) {
    CAPSTAN_ASSIGN_OR_RETURN(
        const auto more,
        List(sql::kListEnded,
             FilterParams(filter, before, limit).Add(States(filter.states, true))));
    found.insert(found.end(), more.begin(), more.end());
  }
  std::sort(found.begin(), found.end(), std::greater<>());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  found.resize(std::min(found.size(), static_cast<std::size_t>(limit)));
  return found;
}

absl::StatusOr<std::vector<ExecutionId>> PostgresReader::ListLive(const ExecutionFilter& filter,
                                                                  const ExecutionId& after,
                                                                  int limit) {
  if (!filter.states.empty() &&
      std::all_of(filter.states.begin(), filter.states.end(), IsTerminal)) {
    return std::vector<ExecutionId>();
  }
  return List(sql::kListLiveOldest,
              FilterParams(filter, after, limit).Add(States(filter.states, false)));
}

absl::StatusOr<SignalResult> PostgresReader::AppendSignal(const ExecutionId& id,
                                                          const NewSignal& signal) {
  CAPSTAN_ASSIGN_OR_RETURN(const Loan loan, Borrow());
  absl::StatusOr<SignalResult> result = absl::UnavailableError("not tried");
  CAPSTAN_RETURN_IF_ERROR(RunTransaction(*loan, [&](Transaction& transaction) {
    result = AppendIn(transaction, *loan, id, signal);
    return result.status();
  }));
  return result;
}

absl::StatusOr<SignalResult> PostgresReader::AppendIn(Transaction& transaction,
                                                      Connection& connection, const ExecutionId& id,
                                                      const NewSignal& signal) {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows counted,
                           transaction.Run(sql::kSignalCount, Params().Add(id)));
  if (counted.empty()) return absl::NotFoundError("no such execution");
  if (IsTerminal(static_cast<State>(counted.Int(0, 0)))) return SignalResult::kAlreadyEnded;
  const bool leased = !counted.IsNull(0, 1);
  const auto number = static_cast<std::int32_t>(counted.Int(0, 2));
  const auto last_seq = static_cast<std::int32_t>(counted.Int(0, 3));
  CAPSTAN_RETURN_IF_ERROR(
      transaction
          .Run(sql::kSignalStore, Params()
                                      .Add(id)
                                      .Add(number)
                                      .Add(static_cast<std::int16_t>(signal.kind))
                                      .Add(signal.caller)
                                      .Add(signal.reason)
                                      .Add(last_seq)
                                      .Add(signal.detail))
          .status());
  if (!leased) {
    Array ids(Element::kUuid, 20);
    ids.Add(id);
    CAPSTAN_RETURN_IF_ERROR(transaction
                                .Run(sql::kWake, Params()
                                                     .Add(std::move(ids))
                                                     .Add(std::int32_t{options_.action_lease_size})
                                                     .Add(std::int32_t{options_.task_lease_size})
                                                     .Add(false))
                                .status());
  }
  if (!signal.audit.empty()) {
    CAPSTAN_RETURN_IF_ERROR(audit_.Append(connection, {signal.audit}));
  }
  CAPSTAN_RETURN_IF_ERROR(transaction.Commit());
  if (absl::Status lost = HitFailpoint("signal.after_commit"); !lost.ok()) {
    connection.Close();
    return lost;
  }
  return SignalResult::kStored;
}

absl::StatusOr<StandingRow> PostgresReader::ReadStanding(const ExecutionId& id) {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, RunOne(sql::kStandingRead, Params().Add(id)));
  if (rows.empty()) return absl::NotFoundError("no such execution");
  StandingRow standing;
  standing.leased = rows.Bool(0, 0);
  if (!rows.IsNull(0, 1)) standing.worker = rows.Uuid<WorkerId>(0, 1);
  if (!rows.IsNull(0, 2)) standing.due_at = rows.Time(0, 2);
  if (!rows.IsNull(0, 3)) {
    standing.parked = static_cast<ParkReason>(rows.Int(0, 3));
    standing.parked_until = rows.Time(0, 4);
  }
  standing.live_workers = static_cast<int>(rows.Int(0, 5));
  return standing;
}

absl::StatusOr<std::vector<WorkerRow>> PostgresReader::ListWorkers() {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, RunOne(sql::kWorkerList, {}));
  std::vector<WorkerRow> workers;
  for (int i = 0; i < rows.size(); ++i) {
    workers.push_back({rows.Uuid<WorkerId>(i, 0),
                       {rows.Text(i, 1), rows.Text(i, 2)},
                       rows.Bool(i, 3),
                       rows.Bool(i, 4),
                       rows.Time(i, 5),
                       rows.Time(i, 6),
                       static_cast<std::int32_t>(rows.Int(i, 7))});
  }
  return workers;
}

absl::StatusOr<Reader::Log> PostgresReader::ReadLog(const ExecutionId& id, std::int64_t offset,
                                                    int limit) {
  CAPSTAN_ASSIGN_OR_RETURN(
      const Rows rows,
      RunOne(sql::kLogRead, Params().Add(id).Add(offset).Add(std::int64_t{limit})));
  Log log;
  log.chunk.offset = offset;
  if (rows.empty()) return log;
  log.length = rows.Int(0, 0);
  log.complete = rows.Bool(0, 1);
  log.chunk.data = std::string(rows.Bytes(0, 2).substr(0, static_cast<std::size_t>(limit)));
  return log;
}

absl::Status PostgresReader::CheckReady() {
  CAPSTAN_ASSIGN_OR_RETURN(const Loan loan, Borrow());
  return CheckSchemaOn(*loan);
}

absl::StatusOr<Reader::Stats> PostgresReader::ReadStats() {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, RunOne(sql::kStats, {}));
  Stats stats;
  for (const Queue queue : {Queue::kAction, Queue::kTask}) {  // an empty one has no row
    stats.ready_by_queue[static_cast<int>(queue)] = 0;
    stats.oldest_ready_by_queue[static_cast<int>(queue)] = absl::ZeroDuration();
  }
  const auto queues = rows.Ints(0, 0), executions = rows.Ints(0, 1), oldest = rows.Ints(0, 2);
  for (std::size_t i = 0; i < queues.size(); ++i) {
    const int queue = static_cast<int>(queues[i]);
    stats.ready_by_queue[queue] = executions[i];
    stats.oldest_ready_by_queue[queue] = absl::Microseconds(oldest[i]);
  }
  stats.parked = rows.Int(0, 3);
  stats.live_workers = static_cast<int>(rows.Int(0, 4));
  stats.oldest_xmin_age = absl::Microseconds(rows.Int(0, 5));
  return stats;
}

}  // namespace capstan::storage
