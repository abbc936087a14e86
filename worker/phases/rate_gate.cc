#include "worker/phases/rate_gate.h"

#include <algorithm>
#include <cstddef>

#include "absl/cleanup/cleanup.h"

namespace capstan::phases {
namespace {

constexpr absl::Duration kMinute = absl::Minutes(1);
// Who waits looks again after this: somebody before them may have given up.
constexpr absl::Duration kLongestNap = absl::Seconds(1);

}  // namespace

// When whoever has this ticket may begin, if all before them do.
absl::Duration RateGate::ReadyAt(std::uint64_t ticket, absl::Duration now) {
  const absl::Duration open = std::max(now, paused_until_);
  if (calls_per_minute_ == 0) return open;
  while (!taken_.empty() && taken_.front() + kMinute <= now) taken_.pop_front();
  const auto before = static_cast<std::int64_t>(
      std::find(waiting_.begin(), waiting_.end(), ticket) - waiting_.begin());
  const std::int64_t missing =
      before + 1 - (calls_per_minute_ - static_cast<std::int64_t>(taken_.size()));
  if (missing <= 0) return open;
  // Those who wait give back their tokens no sooner than a minute after the last one that is out.
  const auto taken = static_cast<std::int64_t>(taken_.size());
  if (missing <= taken) {
    return std::max(open, taken_[static_cast<std::size_t>(missing - 1)] + kMinute);
  }
  return open + kMinute * ((missing - taken + calls_per_minute_ - 1) / calls_per_minute_ + 1);
}

RateGate::Turn RateGate::Await(absl::Duration deadline, absl::Duration longest_pause,
                               const std::stop_token& stop) {
  std::uint64_t ticket = 0;
  {
    absl::MutexLock lock(&mu_);
    ticket = next_ticket_++;
    waiting_.push_back(ticket);
  }
  const absl::Cleanup leave = [&] {
    absl::MutexLock lock(&mu_);
    std::erase(waiting_, ticket);
  };
  for (;;) {
    absl::Duration wait;
    {
      absl::MutexLock lock(&mu_);
      const absl::Duration now = clock_.BootTime();
      const absl::Duration ready = ReadyAt(ticket, now);
      wait = ready - now;
      if (wait <= absl::ZeroDuration()) {
        if (calls_per_minute_ > 0) taken_.push_back(now);
        return {.mine = true, .wait = absl::ZeroDuration()};
      }
      if (ready >= deadline || paused_until_ - now > longest_pause) {
        return {.mine = false, .wait = wait};
      }
    }
    if (!clock_.SleepFor(std::min(wait, kLongestNap), stop)) {
      return {.mine = false, .wait = absl::ZeroDuration()};
    }
  }
}

void RateGate::Pause(absl::Duration wait) {
  absl::MutexLock lock(&mu_);
  paused_until_ = std::max(paused_until_, clock_.BootTime() + std::min(wait, kLongestPause));
}

}  // namespace capstan::phases
