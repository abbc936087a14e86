#include "server/event_list.h"

#include <utility>

#include "core/projection.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "server/proto_time.h"

namespace capstan::server {

v1::Execution EventList::Snapshot() const { return Project(events); }

absl::StatusOr<v1::ExecutionEvent> DecodeEvent(const storage::StoredEvent& stored) {
  v1::ExecutionEvent event;
  if (!event.ParseFromString(stored.body)) {
    return absl::InternalError(
        Cat("event ", stored.seq, " of ", ExecutionName(stored.execution), " does not parse"));
  }
  event.set_execution(ExecutionName(stored.execution));
  event.set_seq(stored.seq);
  *event.mutable_time() = ToProto(stored.time);
  if (event.correlation_id().empty()) event.set_correlation_id(stored.execution.ToHex());
  return event;
}

absl::StatusOr<EventListPtr> MakeEventList(absl::Span<const storage::StoredEvent> stored) {
  auto list = std::make_shared<EventList>();
  list->events.reserve(stored.size());
  for (const storage::StoredEvent& row : stored) {
    list->id = row.execution;
    if (row.seq != list->last_seq() + 1) {
      return absl::InternalError(Cat("events of ", ExecutionName(row.execution), ": got ", row.seq,
                                     " after ", list->last_seq()));
    }
    list->bytes += row.body.size();
    CAPSTAN_ASSIGN_OR_RETURN(v1::ExecutionEvent event, DecodeEvent(row));
    list->events.push_back(std::move(event));
  }
  list->terminal = !list->events.empty() && IsTerminal(StateAfter(list->events.back()));
  return EventListPtr(std::move(list));
}

}  // namespace capstan::server
