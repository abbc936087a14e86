// Time as a dependency. Everything that waits or measures takes a Clock, so that tests move time by
// hand.
#pragma once

#include <map>
#include <memory>
#include <stop_token>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace capstan {

// Thread-safe. Borrowed by reference by everything that uses it; main.cc or the test owns it.
class Clock {
 public:
  virtual ~Clock() = default;

  // Wall clock, for log lines and for talking to people. Never decides a lease: the database's
  // clock does.
  virtual absl::Time Now() = 0;

  // Time since boot including suspend (CLOCK_BOOTTIME): the only clock a lease may be bounded by,
  // since it keeps running while the process or the machine is stopped.
  virtual absl::Duration BootTime() = 0;

  // Returns true after `duration`, false at once when `stop` is requested. Does not hold any lock
  // of the caller's.
  virtual bool SleepFor(absl::Duration duration, std::stop_token stop) = 0;
};

// The clocks of the machine.
class SystemClock final : public Clock {
 public:
  absl::Time Now() override;
  absl::Duration BootTime() override;
  bool SleepFor(absl::Duration duration, std::stop_token stop) override;
};

}  // namespace capstan
