// A token bucket that keeps one client from flooding an API server.
#pragma once

#include <stop_token>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/clock.h"

namespace capstan::kubernetes {

// Thread-safe. Waiters are served in the order in which they asked.
class RateLimiter {
 public:
  // `per_second` > 0 on average, up to `burst` >= 1 at once.
  RateLimiter(double per_second, int burst, Clock& clock);

  // Takes one token, waiting for it if need be.
  // RESOURCE_EXHAUSTED: it would take longer than `max_wait`; no token is taken. CANCELLED: stop
  // was requested.
  absl::Status Acquire(absl::Duration max_wait, std::stop_token stop) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const absl::Duration interval_;
  const absl::Duration burst_span_;  // how far behind now the next slot may lie
  Clock& clock_;
  absl::Mutex mu_;
  absl::Duration next_slot_ ABSL_GUARDED_BY(mu_);  // boot time
};

}  // namespace capstan::kubernetes
