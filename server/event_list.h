// The events of one execution as the server hands them around: read and decoded once, then shared
// by every stream and call that needs them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "capstan/v1/event.pb.h"
#include "capstan/v1/execution.pb.h"
#include "storage/types.h"

namespace capstan::server {

// Events 1..last of one execution. Immutable; any thread.
struct EventList {
  ExecutionId id;
  std::vector<v1::ExecutionEvent> events;
  std::size_t bytes = 0;  // as stored
  bool terminal = false;  // the last one is terminal: nothing will follow

  std::int32_t last_seq() const { return static_cast<std::int32_t>(events.size()); }
  const v1::ExecutionEvent& at(std::int32_t seq) const { return events[seq - 1]; }
  v1::Execution Snapshot() const;
};
using EventListPtr = std::shared_ptr<const EventList>;  // held by streams and by the cache

// A stored event with the columns put back into the message, and the correlation id that is not
// stored when the caller sent no trace. INTERNAL: the stored bytes are not an event.
absl::StatusOr<v1::ExecutionEvent> DecodeEvent(const storage::StoredEvent& stored);

// From what Reader::ReadAllEvents returned for one id. INTERNAL: the numbers have a gap, or bytes
// do not parse; log it and look at the database.
absl::StatusOr<EventListPtr> MakeEventList(absl::Span<const storage::StoredEvent> stored);

}  // namespace capstan::server
