#include "worker/kubernetes/rate_limiter.h"

#include <algorithm>

#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::kubernetes {

RateLimiter::RateLimiter(double per_second, int burst, Clock& clock)
    : interval_(absl::Seconds(1) / per_second),
      burst_span_(interval_ * (burst - 1)),
      clock_(clock) {
  CAPSTAN_CHECK(per_second > 0 && burst >= 1);
  next_slot_ = clock_.BootTime() - burst_span_;
}

absl::Status RateLimiter::Acquire(absl::Duration max_wait, std::stop_token stop) {
  absl::Duration wait;
  {
    absl::MutexLock lock(&mu_);
    const absl::Duration now = clock_.BootTime();
    const absl::Duration slot = std::max(next_slot_, now - burst_span_);
    wait = std::max(slot - now, absl::ZeroDuration());
    if (wait > max_wait) {
      return absl::ResourceExhaustedError(
          Cat("our own limit of calls to the API server is reached: the next slot is in ",
              absl::FormatDuration(wait)));
    }
    next_slot_ = slot + interval_;
  }
  if (wait > absl::ZeroDuration() && !clock_.SleepFor(wait, stop)) {
    return absl::CancelledError("stopped while waiting for the limit of calls");
  }
  return absl::OkStatus();
}

}  // namespace capstan::kubernetes
