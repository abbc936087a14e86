#include "server/housekeeping.h"

#include <pthread.h>

#include <utility>

#include "core/log.h"

namespace capstan::server {
namespace {

constexpr absl::Duration kTick = absl::Seconds(1);

}  // namespace

Housekeeping::Housekeeping(Clock& clock, std::vector<Chore> chores)
    : clock_(clock),
      chores_(std::move(chores)),
      thread_([this](std::stop_token stop) { Run(stop); }) {}

void Housekeeping::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Housekeeping::Run(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "housekeeping");
  std::vector<absl::Duration> due(chores_.size(), absl::ZeroDuration());
  do {
    for (std::size_t i = 0; i < chores_.size(); ++i) {
      const absl::Duration now = clock_.BootTime();
      if (now < due[i]) continue;
      due[i] = now + chores_[i].interval;
      if (absl::Status status = chores_[i].run(); !status.ok()) {
        Log(Level::kWarning, "housekeeping failed, will try again",
            {{"chore", chores_[i].name}, {"error", status.message()}});
      }
    }
  } while (clock_.SleepFor(kTick, stop));
}

}  // namespace capstan::server
