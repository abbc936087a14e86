// Whether this server should get calls: known to grpc.health.v1.Health and to /readyz.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/clock.h"

namespace capstan::server {

// Asks `check` again and again on a thread of its own and remembers the answer. Thread-safe.
class HealthMonitor {
 public:
  // `check` may block; it is not called by anybody else's thread.
  HealthMonitor(Clock& clock, absl::Duration interval, std::function<absl::Status()> check);
  ~HealthMonitor();

  // OK, or why calls should go elsewhere. Not OK before the first answer.
  absl::Status status() const;

  // Unhealthy from now on, whatever the check says.
  void SetDraining();

  // Called with every change of ok(), on the monitor's thread or that of SetDraining(), until
  // removed; must not block and must not add or remove listeners.
  using Listener = std::function<void(bool ok)>;
  // Returns a key for RemoveListener, and what ok() was when it was added.
  std::pair<int, bool> AddListener(Listener listener);
  void RemoveListener(int key);

  // Once the check has been failing for `patience`, calls `act` with each check that fails, on the
  // monitor's thread. RESOURCE_EXHAUSTED (busy) does not count as failing. Must not block; what it
  // uses must outlive this.
  void WhenAwayFor(absl::Duration patience, std::function<void()> act);

  void Stop();  // idempotent; joins

 private:
  void Run(std::stop_token stop);
  void Set(const absl::Status& status);
  void LookWhetherAway(const absl::Status& checked);

  Clock& clock_;
  const absl::Duration interval_;
  const std::function<absl::Status()> check_;
  mutable absl::Mutex mu_;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  int next_key_ ABSL_GUARDED_BY(mu_) = 1;
  // shared_ptr: a listener may be removed while it is being called.
  absl::flat_hash_map<int, std::shared_ptr<Listener>> listeners_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Duration> away_since_ ABSL_GUARDED_BY(mu_);
  absl::Duration patience_ ABSL_GUARDED_BY(mu_) = absl::InfiniteDuration();
  std::function<void()> when_away_ ABSL_GUARDED_BY(mu_);
  std::jthread thread_;
};

}  // namespace capstan::server
