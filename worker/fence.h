// Until when this worker may act: a fifth of the lease time before the others may take its leases
// over, counted on the boot clock from before the last heartbeat that arrived. A worker that was
// stopped, or cut off from the database, is thus the first to know that it must not touch the world
// any more.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/clock.h"

namespace capstan::worker {

// Thread-safe.
class Fence {
 public:
  Fence(Clock& clock, absl::Duration lease_ttl) : clock_(clock), grant_(lease_ttl * 0.8) {}

  // A heartbeat that was sent at `sent` (boot clock) has arrived.
  void Extend(absl::Duration sent) {
    absl::MutexLock lock(&mu_);
    deadline_ = std::max(deadline_, sent + grant_);
  }

  // This worker was declared dead.
  void Close() {
    absl::MutexLock lock(&mu_);
    deadline_ = -absl::InfiniteDuration();
  }

  bool MayAct() const {
    absl::MutexLock lock(&mu_);
    return clock_.BootTime() < deadline_;
  }

 private:
  Clock& clock_;
  const absl::Duration grant_;
  mutable absl::Mutex mu_;
  absl::Duration deadline_ ABSL_GUARDED_BY(mu_) = -absl::InfiniteDuration();
};

}  // namespace capstan::worker
