// Follows one collection for ever: list, watch from there, list again when history is lost. The
// loop behind JobWatch.
#pragma once

#include <functional>
#include <random>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/clock.h"
#include "worker/kubernetes/client.h"

namespace capstan::kubernetes {

struct ReflectorOptions {
  absl::Duration relist_period = absl::Minutes(1);  // repairs what a stream has missed
  absl::Duration watch_timeout_min = absl::Minutes(5);
  absl::Duration watch_timeout_max = absl::Minutes(10);
  absl::Duration backoff_min = absl::Milliseconds(800);
  absl::Duration backoff_max = absl::Seconds(30);
  absl::Duration backoff_reset_after =
      absl::Minutes(2);  // a stream that lived this long was healthy
  absl::Duration list_timeout = absl::Seconds(60);
};

// Used by one thread.
class Reflector {
 public:
  // Called on the thread of Run. An object may be delivered twice, and versions in between may be
  // missing.
  struct Handler {
    std::function<void()> on_list_begins;
    std::function<void(std::vector<Json>)> on_list;  // the whole collection as it is now
    std::function<void(Json)> on_upsert;
    std::function<void(Json)> on_delete;
  };

  Reflector(Client& client, Clock& clock, Resource resource, std::string name_space,
            std::string label_selector, ReflectorOptions options, Handler handler);

  // Returns when stop is requested. Errors are logged and waited out.
  void Run(std::stop_token stop);

 private:
  absl::Status ListOnce(std::stop_token stop);
  absl::Status WatchOnce(std::stop_token stop);
  void BackOff(std::stop_token stop);

  Client& client_;
  Clock& clock_;
  const Resource resource_;
  const std::string name_space_;
  const std::string label_selector_;
  const ReflectorOptions options_;
  const Handler handler_;
  std::minstd_rand random_;
  std::string resource_version_;  // empty: list next
  absl::Duration listed_at_;      // boot time
  absl::Duration backoff_;
  bool history_lost_ = false;  // the last 410 has not been followed by anything good yet
};

}  // namespace capstan::kubernetes
