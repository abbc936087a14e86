// The cursor of WatchExecutions: where in the feed a stream is, and how far it is with each
// execution it follows. The feed only says "reached at least seq n", so the numbers are needed to
// repeat nothing and lose nothing. Bounded by the executions that live at the same time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/token.h"
#include "storage/types.h"

namespace capstan::server {

// Executions are named by 64 bits of a hash: enough to recognise one of them, in half the space.
using ExecutionHash = std::uint64_t;
ExecutionHash HashOf(const ExecutionId& id);

struct WatchCursor {
  // Every feed row at or below was delivered.
  storage::FeedPosition position;
  // Set while the snapshots of live executions are being sent: the last one that was.
  std::optional<ExecutionId> scanned;
  struct Followed {
    ExecutionHash execution = 0;
    std::int32_t seq = 0;
    bool ended = false;  // its last event was delivered, its feed row not yet
    friend bool operator==(const Followed&, const Followed&) = default;
  };
  std::vector<Followed> followed;
};

std::string MakeCursor(const TokenMaker& maker, std::string_view database_id,
                       std::string_view filter, const WatchCursor& cursor);

// INVALID_ARGUMENT: garbled, or made with another filter. OUT_OF_RANGE: of another database, or of
// the same one before it was restored; start again without it.
absl::StatusOr<WatchCursor> ReadCursor(const TokenMaker& maker, std::string_view database_id,
                                       std::string_view filter, std::string_view text);

}  // namespace capstan::server
