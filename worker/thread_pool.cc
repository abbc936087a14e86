#include "worker/thread_pool.h"

#include <algorithm>
#include <utility>

namespace capstan::worker {

ThreadPool::ThreadPool(Clock& clock, int threads) : clock_(clock) {
  running_since_.assign(threads, absl::InfiniteDuration());
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this, i] { Run(i); });
}

ThreadPool::~ThreadPool() { Stop(); }

void ThreadPool::Add(Work work) {
  absl::MutexLock lock(&mu_);
  if (stopped_) return;
  now_.push_back(std::move(work));
  changed_.Signal();
}

void ThreadPool::AddAfter(absl::Duration delay, Work work) {
  const absl::Duration due = clock_.BootTime() + delay;
  absl::MutexLock lock(&mu_);
  if (stopped_) return;
  later_.emplace(due, std::move(work));
  changed_.Signal();
}

void ThreadPool::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
    now_.clear();
    later_.clear();
    changed_.SignalAll();
  }
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

absl::Duration ThreadPool::LongestRunning() const {
  const absl::Duration now = clock_.BootTime();
  absl::MutexLock lock(&mu_);
  const absl::Duration since = *std::min_element(running_since_.begin(), running_since_.end());
  return since == absl::InfiniteDuration() ? absl::ZeroDuration() : now - since;
}

void ThreadPool::Run(int index) {
  while (true) {
    Work work;
    {
      absl::MutexLock lock(&mu_);
      running_since_[index] = absl::InfiniteDuration();
      while (!stopped_ && now_.empty()) {
        const absl::Duration wait =
            later_.empty() ? absl::InfiniteDuration() : later_.begin()->first - clock_.BootTime();
        if (wait > absl::ZeroDuration()) {
          changed_.WaitWithTimeout(&mu_, wait);
          continue;
        }
        now_.push_back(std::move(later_.begin()->second));
        later_.erase(later_.begin());
      }
      if (stopped_) return;
      work = std::move(now_.front());
      now_.pop_front();
      running_since_[index] = clock_.BootTime();
    }
    work();
  }
}

}  // namespace capstan::worker
