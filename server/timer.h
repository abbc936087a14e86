// The server's one timer thread: heartbeats of all streams, pauses before a read is tried again,
// looks at logs that still grow.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/clock.h"

namespace capstan::server {

// Thread-safe. Stop() and the destructor join; what has not fired then never does.
class Timer {
 public:
  // Fires late by up to `granularity`.
  Timer(Clock& clock, absl::Duration granularity = absl::Milliseconds(50));
  ~Timer();

  // Runs `fire` once on the timer thread, `delay` from now. It must not block. What it belongs to
  // may be gone by then: capture a weak_ptr.
  void After(absl::Duration delay, std::function<void()> fire);

  void Stop();  // idempotent

 private:
  void Run(std::stop_token stop);

  Clock& clock_;
  const absl::Duration granularity_;
  absl::Mutex mu_;
  std::multimap<absl::Duration, std::function<void()>> due_ ABSL_GUARDED_BY(mu_);
  std::jthread thread_;
};

}  // namespace capstan::server
