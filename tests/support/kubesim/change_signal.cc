#include "tests/support/kubesim/change_signal.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "core/status_macros.h"

namespace capstan::kubesim {

void ChangeSignal::Notify() {
  {
    absl::MutexLock lock(&mu_);
    ++generation_;
    for (int fd : eventfds_) {
      // The counter is at most the number of notifications between two drains: it cannot overflow
      // and block.
      CAPSTAN_CHECK(eventfd_write(fd, 1) == 0);
    }
  }
  if (also_ != nullptr) also_->Notify();
}

uint64_t ChangeSignal::Generation() const {
  absl::MutexLock lock(&mu_);
  return generation_;
}

void ChangeSignal::WaitBeyond(uint64_t seen, absl::Duration timeout) const {
  absl::MutexLock lock(&mu_);
  auto changed = [this, seen]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return generation_ != seen; };
  mu_.AwaitWithTimeout(absl::Condition(&changed), timeout);
}

ChangeSignal::Subscription::Subscription(ChangeSignal& signal)
    : signal_(signal), fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CAPSTAN_CHECK(fd_ >= 0);
  absl::MutexLock lock(&signal_.mu_);
  signal_.eventfds_.insert(fd_);
}

ChangeSignal::Subscription::~Subscription() {
  {
    absl::MutexLock lock(&signal_.mu_);
    signal_.eventfds_.erase(fd_);
  }
  close(fd_);
}

void ChangeSignal::Subscription::Drain() const {
  eventfd_t count = 0;
  eventfd_read(fd_, &count);
}

}  // namespace capstan::kubesim
