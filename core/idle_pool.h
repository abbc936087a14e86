// Keeps what is costly to make, such as a connection, for the next one who needs it.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace capstan {

// Thread-safe. T is made without arguments.
template <class T>
class IdlePool {
 public:
  // Keeps at most `most`; more than that may be out.
  explicit IdlePool(std::size_t most) : most_(most) {}

  // An idle one, or a new one.
  std::unique_ptr<T> Take() ABSL_LOCKS_EXCLUDED(mu_) {
    {
      absl::MutexLock lock(&mu_);
      if (!idle_.empty()) {
        std::unique_ptr<T> one = std::move(idle_.back());
        idle_.pop_back();
        return one;
      }
    }
    return std::make_unique<T>();
  }

  void Return(std::unique_ptr<T> one) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (idle_.size() < most_) idle_.push_back(std::move(one));
  }

 private:
  const std::size_t most_;
  absl::Mutex mu_;
  std::vector<std::unique_ptr<T>> idle_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan
