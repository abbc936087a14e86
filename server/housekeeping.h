// What some process has to do now and then and every server does: figures about the queue, and
// partitions made ahead and dropped in time. Several servers may do it at once.
#pragma once

#include <functional>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/clock.h"

namespace capstan::server {

// Runs on a thread of its own, which may wait for the store. Stop() and the destructor join.
class Housekeeping {
 public:
  struct Chore {
    std::function<absl::Status()> run;
    absl::Duration interval;
    const char* name;  // for the log
  };
  Housekeeping(Clock& clock, std::vector<Chore> chores);
  ~Housekeeping() { Stop(); }

  void Stop();  // idempotent

 private:
  void Run(std::stop_token stop);

  Clock& clock_;
  const std::vector<Chore> chores_;
  std::jthread thread_;
};

}  // namespace capstan::server
