#include "core/clock.h"

#include <time.h>

namespace capstan {

absl::Time SystemClock::Now() { return absl::Now(); }

absl::Duration SystemClock::BootTime() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::DurationFromTimespec(now);
}

bool SystemClock::SleepFor(absl::Duration duration, std::stop_token stop) {
  absl::Mutex mu;
  bool stopped = false;
  std::stop_callback wake(stop, [&] {
    absl::MutexLock lock(&mu);
    stopped = true;
  });
  absl::MutexLock lock(&mu);
  mu.AwaitWithTimeout(absl::Condition(&stopped), duration);
  return !stopped;
}

}  // namespace capstan
