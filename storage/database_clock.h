// The database's clock as seen from here.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/clock.h"

namespace capstan::storage {

// Thread-safe. Every answer that carries the database's time measures the offset anew, to half its
// round trip.
class DatabaseClock {
 public:
  explicit DatabaseClock(Clock& clock) : clock_(clock) {}

  // Our time before a statement is sent; give it back with the time the statement read.
  absl::Time Before() { return clock_.Now(); }
  void Measured(absl::Time before, absl::Time database_time) {
    const absl::Time after = clock_.Now();
    absl::MutexLock lock(&mu_);
    offset_ = database_time - (before + (after - before) / 2);
  }

  absl::Time Now() {
    absl::MutexLock lock(&mu_);
    return clock_.Now() + offset_;
  }

 private:
  Clock& clock_;
  absl::Mutex mu_;
  absl::Duration offset_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::storage
