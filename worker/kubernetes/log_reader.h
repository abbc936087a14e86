// A bounded copy of a container's log: its beginning while it runs, its end when it is over.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "worker/kubernetes/client.h"

namespace capstan::kubernetes {

inline constexpr uint64_t kLogHeadBytes = 1024 * 1024;
inline constexpr uint64_t kLogTailBytes = 1024 * 1024;
// A log longer than this is not read to its end any more; the tail is then that of this prefix.
inline constexpr uint64_t kLogScanBytes = 256ull * 1024 * 1024;

struct LogSource {
  std::string name_space = {};
  std::string pod = {};
  std::string container = {};
};

struct LogPiece {
  uint64_t offset = 0;  // of the first byte in the container's log: the one that was asked for
  std::string bytes;
  uint64_t next_offset = 0;  // ask again from here
  // Something was left out: the gap below, what follows kLogScanBytes, or a log that the node has
  // rotated away.
  bool truncated = false;
  // Bytes [gap_begin, gap_end) of the log are not in `bytes`, which has them on either side; equal:
  // no gap.
  uint64_t gap_begin = 0;
  uint64_t gap_end = 0;
  // The pod or its container's log is not there (any more): what was copied before is all there is.
  bool missing = false;
};

// The next piece of the log from byte `offset` on. The API has no offsets: the log is read from its
// start and what is before `offset` is skipped, so ask every few seconds, not faster.
//   ended = false (still running): bytes up to kLogHeadBytes of the log; once that is reached,
//   nothing. ended = true: everything left of the head and, when the log is longer, its last
//   kLogTailBytes after a gap.
// A container that has not started yet gives an empty piece. Errors: could not be read now; the
// outcome does not depend on it, ask again a few times and then go on with logs missing.
absl::StatusOr<LogPiece> ReadLogPiece(Client& client, const LogSource& source, uint64_t offset,
                                      bool ended, const CallOptions& options = {});

}  // namespace capstan::kubernetes
