// A few threads and two queues: work to do now, and work to do later. Nothing in here knows
// executions.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/clock.h"

namespace capstan::worker {

// Thread-safe.
class ThreadPool {
 public:
  using Work = std::function<void()>;

  ThreadPool(Clock& clock, int threads);
  ~ThreadPool();  // as Stop

  // Runs `work` on one of the threads.
  void Add(Work work);
  // Runs `work` after `delay` (boot clock).
  void AddAfter(absl::Duration delay, Work work);

  // Waits for running work, drops what is queued or delayed, joins. Idempotent. Work added later is
  // dropped.
  void Stop();

  // For how long the work that has been running longest has been running: 0 when idle. A worker
  // whose pool is stuck stops its heartbeat.
  absl::Duration LongestRunning() const;

 private:
  void Run(int index);

  Clock& clock_;
  mutable absl::Mutex mu_;
  absl::CondVar changed_;
  std::deque<Work> now_ ABSL_GUARDED_BY(mu_);
  std::multimap<absl::Duration, Work> later_ ABSL_GUARDED_BY(mu_);  // by boot time
  std::vector<absl::Duration> running_since_
      ABSL_GUARDED_BY(mu_);  // per thread; infinite while idle
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace capstan::worker
