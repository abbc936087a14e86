// Follows the feed in commit order. One per process: the load on the database does not depend on
// the number of watchers.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/types.h"

namespace capstan::storage {

class FeedTailer {
 public:
  virtual ~FeedTailer() = default;

  // Called from the tailer's thread with rows in commit order, each once; must not block for long.
  using Listener = std::function<void(const std::vector<FeedRow>& rows)>;

  // Begins at the end of the feed. LISTEN is a hint, a poll (StoreOptions.feed_poll) the truth.
  virtual void Start(Listener listener) = 0;
  // Idempotent; joins.
  virtual void Stop() = 0;

  // Everything at or below this position has been given to the listener.
  virtual FeedPosition position() const = 0;

  // Rows above `from` up to at most position(), at most `limit`, for a watcher that resumes.
  // OUT_OF_RANGE: `from` is behind the oldest row that is kept, or beyond the end, or from another
  // database (see Cursor in cursor.h).
  virtual absl::StatusOr<std::vector<FeedRow>> ReadFrom(const FeedPosition& from, int limit) = 0;

  // Identifies the database and its timeline: part of every cursor, so that a cursor never resumes
  // in another history.
  virtual std::string database_id() const = 0;
};

}  // namespace capstan::storage
