#include "storage/target_rows.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/status_macros.h"
#include "storage/sql.h"

namespace capstan::storage {
namespace {

using Json = nlohmann::json;

constexpr char kRfc3339[] = "%Y-%m-%dT%H:%M:%E6SZ";

Json TimeJson(absl::Time time) {
  if (time == absl::InfinitePast()) return nullptr;
  return absl::FormatTime(kRfc3339, time, absl::UTCTimeZone());
}

Json IdJson(const ExecutionId& id) { return id.IsNone() ? Json(nullptr) : Json(id.ToString()); }

Json RowJson(const TargetRow& row) {
  Json waiting = Json::array(), waiting_for = Json::array();
  for (const TargetWaiter& waiter : row.waiting) {
    waiting.push_back(waiter.id.ToString());
    waiting_for.push_back(waiter.coalesces);
  }
  return {{"key", row.key},
          {"holder", IdJson(row.holder)},
          {"held_at", row.holder.IsNone() ? Json(nullptr) : TimeJson(row.held_at)},
          {"waiting", waiting},
          {"waiting_for", waiting_for},
          {"failures", row.failures},
          {"backoff_until", TimeJson(row.backoff_until)},
          {"blocked_by", IdJson(row.blocked_by)},
          {"blocked_at", row.blocked_by.IsNone() ? Json(nullptr) : TimeJson(row.blocked_at)},
          {"block_message", row.block_message},
          {"last_action", row.last_action},
          {"last_success_at", TimeJson(row.last_success_at)}};
}

absl::Time TimeOrPast(const Rows& rows, int i, int column) {
  return rows.IsNull(i, column) ? absl::InfinitePast() : rows.Time(i, column);
}

ExecutionId IdOrNone(const Rows& rows, int i, int column) {
  return rows.IsNull(i, column) ? ExecutionId() : rows.Uuid<ExecutionId>(i, column);
}

}  // namespace

TargetRow ReadTargetRow(const Rows& rows, int i) {
  TargetRow row;
  row.key = rows.Text(i, 0);
  row.holder = IdOrNone(rows, i, 1);
  row.held_at = TimeOrPast(rows, i, 2);
  const std::vector<ExecutionId> waiting = rows.Uuids<ExecutionId>(i, 3);
  const std::vector<std::string> waiting_for = rows.Texts(i, 4);
  for (std::size_t n = 0; n < waiting.size() && n < waiting_for.size(); ++n) {
    row.waiting.push_back({waiting[n], waiting_for[n]});
  }
  row.failures = static_cast<std::int32_t>(rows.Int(i, 5));
  row.backoff_until = TimeOrPast(rows, i, 6);
  row.blocked_by = IdOrNone(rows, i, 7);
  row.blocked_at = TimeOrPast(rows, i, 8);
  row.block_message = rows.Text(i, 9);
  row.last_action = rows.Text(i, 10);
  row.last_success_at = TimeOrPast(rows, i, 11);
  return row;
}

TargetRow OneTarget(const Rows& rows, const std::string& key) {
  if (!rows.empty()) return ReadTargetRow(rows, 0);
  TargetRow row;
  row.key = key;
  return row;
}

absl::StatusOr<LockedTargets> LockTargets(Connection& connection, std::vector<std::string> keys) {
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  const auto array = [&keys] {
    Array texts(Element::kText, keys.size() * 64);
    for (const std::string& key : keys) texts.Add(key);
    return texts;
  };
  CAPSTAN_ASSIGN_OR_RETURN(Rows rows, connection.Run(sql::kTargetLock, Params().Add(array())));
  if (rows.size() < static_cast<int>(keys.size())) {
    CAPSTAN_RETURN_IF_ERROR(connection.Run(sql::kTargetMake, Params().Add(array())).status());
    CAPSTAN_ASSIGN_OR_RETURN(rows, connection.Run(sql::kTargetLock, Params().Add(array())));
  }
  LockedTargets locked;
  for (int i = 0; i < rows.size(); ++i) {
    TargetRow row = ReadTargetRow(rows, i);
    locked.now = rows.Time(i, 12);
    locked.rows.emplace(row.key, std::move(row));
  }
  return locked;
}

absl::Status StoreTargets(Connection& connection, absl::Span<const TargetRow* const> rows) {
  if (rows.empty()) return absl::OkStatus();
  Json all = Json::array();
  for (const TargetRow* row : rows) all.push_back(RowJson(*row));
  return connection
      .Run(sql::kTargetStore,
           Params().Add(all.dump(-1, ' ', false, Json::error_handler_t::replace)))
      .status();
}

absl::Status WakeThese(Connection& connection, absl::Span<const ExecutionId> ids) {
  if (ids.empty()) return absl::OkStatus();
  Array wanted(Element::kUuid, ids.size() * 20);
  for (const ExecutionId& id : std::set<ExecutionId>(ids.begin(), ids.end())) wanted.Add(id);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows locked,
                           connection.Run(sql::kWakeThese, Params().Add(std::move(wanted))));
  if (locked.empty()) return absl::OkStatus();
  Array parked(Element::kUuid, ids.size() * 20);
  for (int i = 0; i < locked.size(); ++i) parked.Add(locked.Uuid<ExecutionId>(i, 0));
  return connection
      .Run(sql::kWake, Params()
                           .Add(std::move(parked))
                           .Add(std::int32_t{connection.options().action_lease_size})
                           .Add(std::int32_t{connection.options().task_lease_size})
                           .Add(false))
      .status();
}

}  // namespace capstan::storage
