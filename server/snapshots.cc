#include "server/snapshots.h"

#include "core/status_macros.h"
#include "server/errors.h"
#include "server/event_list.h"

namespace capstan::server {

absl::StatusOr<std::vector<v1::Execution>> ReadSnapshots(storage::Reader& reader,
                                                         absl::Span<const ExecutionId> ids) {
  std::vector<v1::Execution> snapshots;
  if (ids.empty()) return snapshots;
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<storage::StoredEvent> rows, reader.ReadAllEvents(ids));
  for (std::size_t begin = 0; begin < rows.size();) {
    std::size_t end = begin;
    while (end < rows.size() && rows[end].execution == rows[begin].execution) ++end;
    CAPSTAN_ASSIGN_OR_RETURN(const EventListPtr list,
                             MakeEventList(absl::MakeConstSpan(rows).subspan(begin, end - begin)));
    snapshots.push_back(list->Snapshot());
    begin = end;
  }
  return snapshots;
}

absl::StatusOr<v1::Execution> ReadSnapshot(storage::Reader& reader, const ExecutionId& id,
                                           std::string_view name) {
  CAPSTAN_ASSIGN_OR_RETURN(std::vector<v1::Execution> found,
                           ReadSnapshots(reader, absl::MakeConstSpan(&id, 1)));
  if (found.empty()) return ExecutionNotFound(name);
  return std::move(found.front());
}

}  // namespace capstan::server
