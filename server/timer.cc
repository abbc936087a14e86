#include "server/timer.h"

#include <pthread.h>

#include <utility>
#include <vector>

namespace capstan::server {

Timer::Timer(Clock& clock, absl::Duration granularity)
    : clock_(clock),
      granularity_(granularity),
      thread_([this](std::stop_token stop) { Run(stop); }) {}

Timer::~Timer() { Stop(); }

void Timer::After(absl::Duration delay, std::function<void()> fire) {
  const absl::Duration at = clock_.BootTime() + delay;
  absl::MutexLock lock(&mu_);
  due_.emplace(at, std::move(fire));
}

void Timer::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Timer::Run(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "timer");
  while (clock_.SleepFor(granularity_, stop)) {
    std::vector<std::function<void()>> ready;
    const absl::Duration now = clock_.BootTime();
    {
      absl::MutexLock lock(&mu_);
      const auto end = due_.upper_bound(now);
      for (auto it = due_.begin(); it != end; ++it) ready.push_back(std::move(it->second));
      due_.erase(due_.begin(), end);
    }
    for (const std::function<void()>& fire : ready) fire();
  }
}

}  // namespace capstan::server
