// Rows of the table `event`: all events of one commit in one row, since a row and its index entry
// cost more than what is in them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "storage/types.h"

namespace capstan::storage {

// The column `body`. The same events give the same bytes, which is how a commit that was sent twice
// is recognised.
std::string EncodeEvents(absl::Span<const EventBody> events);

// The events of a row whose last one has the number `last_seq`. DATA_LOSS: the bytes are not what
// EncodeEvents() wrote.
absl::StatusOr<std::vector<StoredEvent>> DecodeEvents(const ExecutionId& execution,
                                                      std::int32_t last_seq, absl::Time time,
                                                      std::string_view body);

}  // namespace capstan::storage
