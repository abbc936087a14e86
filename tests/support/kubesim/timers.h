// Due times of the controllers, on the simulation's clock.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <stop_token>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/clock.h"
#include "tests/support/kubesim/object_store.h"

namespace capstan::kubesim {

// One thread sleeps on the clock until the earliest due time and then calls `ring`. Thread-safe.
class Timers {
 public:
  Timers(Clock& clock, std::function<void()> ring);
  ~Timers();  // joins

  // Asks for this object to be looked at again at this boot time.
  void Add(absl::Duration boot_time, const ObjectKey& key);
  // Takes what is due now.
  std::vector<ObjectKey> TakeDue();

 private:
  void Run();

  Clock& clock_;
  const std::function<void()> ring_;
  absl::Mutex mu_;
  std::set<std::pair<absl::Duration, ObjectKey>> due_ ABSL_GUARDED_BY(mu_);
  std::stop_source sleep_ ABSL_GUARDED_BY(mu_);  // stopped when the sleep under way is too long
  bool announced_ ABSL_GUARDED_BY(mu_) = false;  // rung, and not taken yet
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace capstan::kubesim
