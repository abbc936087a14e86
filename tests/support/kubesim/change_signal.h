// Wakes everyone who waits for something in the simulation to change.
#pragma once

#include <cstdint>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace capstan::kubesim {

// Thread-safe. Two ways to wait: a thread waits for a generation, an HTTP stream polls an eventfd
// beside its socket.
class ChangeSignal {
 public:
  // `also` (borrowed, may be null) is notified with this one, not the other way round.
  explicit ChangeSignal(ChangeSignal* also = nullptr) : also_(also) {}

  // Call after the change is visible, without locks held.
  void Notify();

  uint64_t Generation() const;
  // Returns at once when the generation is no longer `seen`, else after the next Notify() or
  // `timeout`.
  void WaitBeyond(uint64_t seen, absl::Duration timeout) const;

  // An eventfd that becomes readable at each Notify() while this lives.
  class Subscription {
   public:
    explicit Subscription(ChangeSignal& signal);
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

    int fd() const { return fd_; }
    void Drain() const;

   private:
    ChangeSignal& signal_;
    int fd_;
  };

 private:
  ChangeSignal* const also_;
  mutable absl::Mutex mu_;
  uint64_t generation_ ABSL_GUARDED_BY(mu_) = 1;
  std::set<int> eventfds_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::kubesim
