// Decides which workers are lost: those whose heartbeat this process has itself watched stand still
// for a TTL, on its own boot clock. Neither the database's clock nor a time in a row decides, so
// that a database outage, a clock step or a pause of this process kill nobody.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "core/ids.h"

namespace capstan::storage {

// Not thread-safe; pure.
class HeartbeatWatch {
 public:
  struct Seen {
    WorkerId worker;
    std::int64_t heartbeat = 0;  // as stored; only compared for equality
  };

  // One look at all living workers, at `now` on the boot clock. Returns those that are lost. A look
  // that comes later than a third of `ttl` after the last one starts the watch anew: nobody knows
  // what would have been seen in between.
  std::vector<Seen> Look(const std::vector<Seen>& living, absl::Duration now, absl::Duration ttl);

  // The database did not answer: nobody could have moved a heartbeat either.
  void Forget() { watched_.clear(); }

 private:
  struct Watched {
    std::int64_t heartbeat = 0;
    absl::Duration since;
  };
  absl::flat_hash_map<WorkerId, Watched> watched_;
  absl::Duration last_look_ = -absl::InfiniteDuration();
};

}  // namespace capstan::storage
