// Gathers items of many threads and gives them to one thread in flushes: whatever is queued when
// the last flush returned, so there is no timer and a lone item does not wait.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "storage/observer.h"

namespace capstan::storage {

struct CombinerLimits {
  std::size_t flush_items;
  std::size_t flush_bytes;  // exceeded by at most one item
  std::size_t queue_items;
  std::size_t queue_bytes;
};

// Thread-safe. Owned by the Submitter or Committer whose items it holds; `flush` must answer every
// item it is given.
template <class Item>
class Combiner {
 public:
  using Flush = std::function<void(std::vector<Item> items)>;

  Combiner(std::string name, CombinerLimits limits, Observer observer, Flush flush)
      : name_(std::move(name)),
        limits_(limits),
        observer_(std::move(observer)),
        flush_(std::move(flush)),
        thread_([this] { Loop(); }) {}
  ~Combiner() { Stop(); }

  // False, with `item` untouched, when the queue is full or Stop() was called.
  bool Add(Item& item, std::size_t bytes) {
    std::size_t queued = 0;
    {
      absl::MutexLock lock(&mu_);
      if (stopping_ || queue_.size() >= limits_.queue_items ||
          queued_bytes_ + bytes > limits_.queue_bytes)
        return false;
      queue_.emplace_back(std::move(item), bytes);
      queued_bytes_ += bytes;
      queued = queue_.size();
    }
    if (observer_.queued) observer_.queued(name_, queued);
    return true;
  }

  // Flushes what is queued, refuses what comes later, and joins. Idempotent; not from a flush.
  void Stop() {
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
    }
    if (thread_.joinable()) thread_.join();
  }

  bool stopping() const {
    absl::MutexLock lock(&mu_);
    return stopping_;
  }

 private:
  void Loop() {
    while (true) {
      std::vector<Item> items = Take();
      if (items.empty()) return;
      const std::size_t count = items.size();
      const absl::Time start = absl::Now();
      flush_(std::move(items));
      if (observer_.flush) observer_.flush(name_, count, absl::Now() - start);
    }
  }

  bool Ready() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_ || !queue_.empty(); }

  // Empty only when stopped and nothing is left.
  std::vector<Item> Take() {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(this, &Combiner::Ready));
    std::vector<Item> items;
    std::size_t bytes = 0;
    while (!queue_.empty() && items.size() < limits_.flush_items && bytes < limits_.flush_bytes) {
      bytes += queue_.front().second;
      items.push_back(std::move(queue_.front().first));
      queue_.pop_front();
    }
    queued_bytes_ -= bytes;
    return items;
  }

  const std::string name_;
  const CombinerLimits limits_;
  const Observer observer_;
  const Flush flush_;
  mutable absl::Mutex mu_;
  std::deque<std::pair<Item, std::size_t>> queue_ ABSL_GUARDED_BY(mu_);
  std::size_t queued_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: it uses what is above
};

}  // namespace capstan::storage
