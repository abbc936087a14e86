#include "storage/tells.h"

#include <map>
#include <set>
#include <utility>

#include "core/status_macros.h"
#include "storage/params.h"
#include "storage/sql.h"

namespace capstan::storage {

absl::Status LockForTells(Connection& connection, std::span<const Commit* const> steps) {
  std::set<std::int64_t> leases;
  std::set<ExecutionId> executions;
  bool any = false;
  for (const Commit* step : steps) {
    any = any || !step->tells.empty();
    leases.insert(step->lease.id);
    executions.insert(step->id);
    for (const Tell& tell : step->tells) executions.insert(tell.to);
  }
  if (!any) return absl::OkStatus();
  Array lease_ids(Element::kInt8, leases.size() * 12);
  for (const std::int64_t id : leases) lease_ids.Add(id);
  CAPSTAN_RETURN_IF_ERROR(
      connection.Run(sql::kTellLeaseLock, Params().Add(std::move(lease_ids))).status());
  Array ids(Element::kUuid, executions.size() * 20);
  for (const ExecutionId& id : executions) ids.Add(id);
  return connection.Run(sql::kTellLock, Params().Add(std::move(ids))).status();
}

absl::Status StoreTells(Connection& connection, std::span<const Commit* const> steps,
                        std::vector<ExecutionId>& wake) {
  std::map<ExecutionId, std::vector<const NewSignal*>> told;
  for (const Commit* step : steps) {
    for (const Tell& tell : step->tells) told[tell.to].push_back(&tell.signal);
  }
  if (told.empty()) return absl::OkStatus();
  Array ids(Element::kUuid, told.size() * 20), counts(Element::kInt4, told.size() * 8);
  for (const auto& [id, signals] : told) {
    ids.Add(id);
    counts.Add(static_cast<std::int32_t>(signals.size()));
  }
  CAPSTAN_ASSIGN_OR_RETURN(
      const Rows counted,
      connection.Run(sql::kTellCount, Params().Add(std::move(ids)).Add(std::move(counts))));
  if (counted.empty()) return absl::OkStatus();

  Array owners(Element::kUuid, 0), numbers(Element::kInt4, 0), kinds(Element::kInt2, 0);
  Array callers(Element::kText, 0), reasons(Element::kText, 0), details(Element::kBytes, 0);
  Array reached(Element::kUuid, 0), seqs(Element::kInt4, 0);
  for (int i = 0; i < counted.size(); ++i) {
    const auto id = counted.Uuid<ExecutionId>(i, 0);
    const std::vector<const NewSignal*>& signals = told[id];
    auto number =
        static_cast<std::int32_t>(counted.Int(i, 1)) - static_cast<std::int32_t>(signals.size());
    for (const NewSignal* signal : signals) {
      owners.Add(id);
      numbers.Add(++number);
      kinds.Add(static_cast<std::int16_t>(signal->kind));
      callers.Add(signal->caller);
      reasons.Add(signal->reason);
      details.Add(signal->detail);
    }
    reached.Add(id);
    seqs.Add(static_cast<std::int32_t>(counted.Int(i, 2)));
    wake.push_back(id);
  }
  Params params;
  params.Add(std::move(owners)).Add(std::move(numbers)).Add(std::move(kinds));
  params.Add(std::move(callers)).Add(std::move(reasons)).Add(std::move(details));
  params.Add(std::move(reached)).Add(std::move(seqs));
  return connection.Run(sql::kTellStore, params).status();
}

}  // namespace capstan::storage
