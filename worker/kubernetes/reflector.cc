#include "worker/kubernetes/reflector.h"

#include <algorithm>
#include <random>
#include <utility>

#include "core/log.h"
#include "core/status_macros.h"
#include "worker/kubernetes/json_fields.h"

namespace capstan::kubernetes {
namespace {

constexpr absl::Duration kShortestStream = absl::Seconds(1);  // otherwise it counts as a failure

}  // namespace

Reflector::Reflector(Client& client, Clock& clock, Resource resource, std::string name_space,
                     std::string label_selector, ReflectorOptions options, Handler handler)
    : client_(client),
      clock_(clock),
      resource_(resource),
      name_space_(std::move(name_space)),
      label_selector_(std::move(label_selector)),
      options_(options),
      handler_(std::move(handler)),
      random_(std::random_device{}()),
      backoff_(options.backoff_min) {}

void Reflector::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    const absl::Duration begun = clock_.BootTime();
    const bool listing = resource_version_.empty() || begun - listed_at_ >= options_.relist_period;
    const absl::Status status = listing ? ListOnce(stop) : WatchOnce(stop);
    if (stop.stop_requested()) return;
    if (clock_.BootTime() - begun >= options_.backoff_reset_after) {
      backoff_ = options_.backoff_min;
      history_lost_ = false;
    }
    if (status.ok()) continue;

    if (absl::IsOutOfRange(status)) {
      // The server no longer has what came after our version. Listing again is the cure, at once
      // unless that has just failed to help.
      resource_version_.clear();
      if (!std::exchange(history_lost_, true)) continue;
    }
    Log(Level::kWarning, "following a collection failed; trying again",
        {{"resource", resource_.plural},
         {"error", std::string(status.message())},
         {"listing", listing}});
    BackOff(stop);
  }
}

absl::Status Reflector::ListOnce(std::stop_token stop) {
  handler_.on_list_begins();
  const absl::Duration begun = clock_.BootTime();
  ListRequest request;
  request.resource = resource_;
  request.name_space = name_space_;
  request.label_selector = label_selector_;
  CAPSTAN_ASSIGN_OR_RETURN(ListResult list,
                           client_.List(request, {.timeout = options_.list_timeout, .stop = stop}));
  resource_version_ = list.resource_version;
  listed_at_ = begun;
  handler_.on_list(std::move(list.items));
  return absl::OkStatus();
}

absl::Status Reflector::WatchOnce(std::stop_token stop) {
  const absl::Duration until_relist = options_.relist_period - (clock_.BootTime() - listed_at_);
  std::uniform_real_distribution<double> spread(0, 1);
  const absl::Duration timeout =
      options_.watch_timeout_min +
      (options_.watch_timeout_max - options_.watch_timeout_min) * spread(random_);

  WatchRequest request;
  request.resource = resource_;
  request.name_space = name_space_;
  request.label_selector = label_selector_;
  request.resource_version = resource_version_;
  request.timeout = std::max(std::min(timeout, until_relist), absl::Seconds(1));
  bool any_event = false;
  const absl::Duration begun = clock_.BootTime();
  const absl::Status status = client_.Watch(
      request,
      [&](WatchEvent event) {
        any_event = true;
        // A version is opaque: the one that came last is where to go on, whatever it looks like.
        if (std::string version = StringField(event.object, {"metadata", "resourceVersion"});
            !version.empty()) {
          resource_version_ = std::move(version);
        }
        if (event.type == WatchEventType::kBookmark) return;
        if (event.type == WatchEventType::kDeleted) {
          handler_.on_delete(std::move(event.object));
        } else {
          handler_.on_upsert(std::move(event.object));
        }
      },
      stop);
  if (any_event) {
    backoff_ = options_.backoff_min;
    history_lost_ = false;
  } else if (status.ok() && clock_.BootTime() - begun < kShortestStream) {
    return absl::UnavailableError("the stream ended as soon as it had begun");
  }
  return status;
}

void Reflector::BackOff(std::stop_token stop) {
  std::uniform_real_distribution<double> jitter(0.5, 1.0);
  clock_.SleepFor(backoff_ * jitter(random_), stop);
  backoff_ = std::min(backoff_ * 2, options_.backoff_max);
}

}  // namespace capstan::kubernetes
