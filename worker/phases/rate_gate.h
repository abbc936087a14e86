// The gate that all calls with one key go through: no more of them begin in any minute than the
// configuration says, and none while the provider has asked for patience. A bucket of tokens, each
// of which comes back a minute after it was taken.
#pragma once

#include <cstdint>
#include <deque>
#include <stop_token>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/clock.h"

namespace capstan::phases {

// Thread-safe. Who comes first goes first.
class RateGate {
 public:
  // A pause that a provider asks for is obeyed for so long, and then it is asked again.
  static constexpr absl::Duration kLongestPause = absl::Hours(1);

  // 0: any number of calls. Borrows the clock.
  RateGate(std::int64_t calls_per_minute, Clock& clock)
      : calls_per_minute_(calls_per_minute), clock_(clock) {}

  struct Turn {
    bool mine = false;    // the call may begin, and counts
    absl::Duration wait;  // otherwise: how long it would have been; zero: stopped
  };
  // Waits until a call may begin. At once, when that is after `deadline` (of the clock's BootTime),
  // or when the provider's pause is longer than `longest_pause`.
  Turn Await(absl::Duration deadline, absl::Duration longest_pause, const std::stop_token& stop)
      ABSL_LOCKS_EXCLUDED(mu_);

  // The provider wants no call for so long.
  void Pause(absl::Duration wait) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  absl::Duration ReadyAt(std::uint64_t ticket, absl::Duration now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::int64_t calls_per_minute_;
  Clock& clock_;
  absl::Mutex mu_;
  absl::Duration paused_until_ ABSL_GUARDED_BY(mu_) = -absl::InfiniteDuration();
  std::deque<absl::Duration> taken_ ABSL_GUARDED_BY(mu_);   // when; within the last minute
  std::deque<std::uint64_t> waiting_ ABSL_GUARDED_BY(mu_);  // tickets
  std::uint64_t next_ticket_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace capstan::phases
