#include "storage/event_row.h"

#include <utility>

#include "capstan/engine/v1/event_row.pb.h"
#include "core/text.h"

namespace capstan::storage {

std::string EncodeEvents(absl::Span<const EventBody> events) {
  engine::v1::EventRow row;
  for (const EventBody& event : events) row.add_events(event);
  return row.SerializeAsString();
}

absl::StatusOr<std::vector<StoredEvent>> DecodeEvents(const ExecutionId& execution,
                                                      std::int32_t last_seq, absl::Time time,
                                                      std::string_view body) {
  engine::v1::EventRow row;
  if (!row.ParseFromArray(body.data(), static_cast<int>(body.size())) || row.events_size() == 0 ||
      row.events_size() > last_seq) {
    return absl::DataLossError(
        Cat("event: the row of ", execution.ToHex(), " that ends with ", last_seq, " is damaged"));
  }
  std::int32_t seq = last_seq - row.events_size();
  std::vector<StoredEvent> events;
  for (EventBody& event : *row.mutable_events()) {
    events.push_back({execution, ++seq, time, std::move(event)});
  }
  return events;
}

}  // namespace capstan::storage
