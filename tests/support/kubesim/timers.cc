#include "tests/support/kubesim/timers.h"

namespace capstan::kubesim {

Timers::Timers(Clock& clock, std::function<void()> ring)
    : clock_(clock), ring_(std::move(ring)), thread_([this] { Run(); }) {}

Timers::~Timers() {
  std::stop_source sleep;
  {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
    sleep = sleep_;
  }
  sleep.request_stop();
  thread_.join();
}

void Timers::Add(absl::Duration boot_time, const ObjectKey& key) {
  std::stop_source sleep(std::nostopstate);
  {
    absl::MutexLock lock(&mu_);
    due_.emplace(boot_time, key);
    if (due_.begin()->first != boot_time) return;
    sleep = sleep_;
  }
  sleep.request_stop();
}

std::vector<ObjectKey> Timers::TakeDue() {
  absl::Duration now = clock_.BootTime();
  absl::MutexLock lock(&mu_);
  announced_ = false;
  std::vector<ObjectKey> keys;
  while (!due_.empty() && due_.begin()->first <= now) {
    keys.push_back(due_.begin()->second);
    due_.erase(due_.begin());
  }
  return keys;
}

void Timers::Run() {
  for (;;) {
    absl::Duration due;
    std::stop_token token;
    {
      absl::MutexLock lock(&mu_);
      auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return stopped_ || (!announced_ && !due_.empty());
      };
      mu_.Await(absl::Condition(&has_work));
      if (stopped_) return;
      due = due_.begin()->first;
      sleep_ = std::stop_source();
      token = sleep_.get_token();
    }
    absl::Duration wait = due - clock_.BootTime();
    if (wait > absl::ZeroDuration()) clock_.SleepFor(wait, token);
    if (clock_.BootTime() < due) continue;  // woken for an earlier time, or to stop
    {
      absl::MutexLock lock(&mu_);
      announced_ = true;
    }
    ring_();
  }
}

}  // namespace capstan::kubesim
