// A few threads for calls that block (reads of the store), so that gRPC's own threads never do.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace capstan::server {

// Thread-safe. Stop() and the destructor run what is queued, then join.
class WorkPool {
 public:
  // `name` shows in ps and debuggers, at most 12 characters.
  WorkPool(std::string name, int threads, std::size_t capacity);
  ~WorkPool();

  // False, and `work` is not run: the queue is full or the pool is stopped. Answer
  // RESOURCE_EXHAUSTED.
  [[nodiscard]] bool TrySubmit(std::function<void()> work);

  void Stop();  // idempotent

 private:
  void Run(int index);

  const std::string name_;
  const std::size_t capacity_;
  absl::Mutex mu_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace capstan::server
