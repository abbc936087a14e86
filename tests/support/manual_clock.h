// Time moved by hand.
#pragma once

#include <iterator>
#include <set>
#include <stop_token>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/clock.h"

namespace capstan::testing {

class ManualClock final : public Clock {
 public:
  absl::Time Now() override { return absl::FromUnixSeconds(1'700'000'000) + BootTime(); }
  absl::Duration BootTime() override {
    absl::MutexLock lock(&mu_);
    return now_;
  }
  bool SleepFor(absl::Duration duration, std::stop_token stop) override {
    std::stop_callback wake(stop, [this] { absl::MutexLock lock(&mu_); });
    absl::MutexLock lock(&mu_);
    const auto due = sleeps_.insert(now_ + duration);
    const auto ready = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return stop.stop_requested() || now_ >= *due;
    };
    mu_.Await(absl::Condition(&ready));
    const bool slept = now_ >= *due;
    sleeps_.erase(due);
    return slept;
  }

  void Advance(absl::Duration duration) {
    absl::MutexLock lock(&mu_);
    now_ += duration;
  }
  // Waits until somebody sleeps to a time that has not come: with one thread on this clock, it has
  // done all that was due.
  void AwaitSleeper() {
    absl::MutexLock lock(&mu_);
    const auto asleep = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return !sleeps_.empty() && *sleeps_.rbegin() > now_;
    };
    mu_.Await(absl::Condition(&asleep));
  }
  // Waits until so many sleep to a time that has not come.
  void AwaitSleepers(int count) {
    absl::MutexLock lock(&mu_);
    const auto asleep = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return std::distance(sleeps_.upper_bound(now_), sleeps_.end()) >= count;
    };
    mu_.Await(absl::Condition(&asleep));
  }
  // Moves time while the one thread on this clock sleeps, and returns when it sleeps again.
  void Step(absl::Duration duration) {
    AwaitSleeper();
    Advance(duration);
    AwaitSleeper();
  }

 private:
  absl::Mutex mu_;
  absl::Duration now_ ABSL_GUARDED_BY(mu_) = absl::Seconds(1);
  std::multiset<absl::Duration> sleeps_ ABSL_GUARDED_BY(mu_);  // when each sleeper wants to wake
};

}  // namespace capstan::testing
