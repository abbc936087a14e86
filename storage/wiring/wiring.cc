#include "storage/wiring/wiring.h"

#include <utility>

#include "core/config/validate.h"
#include "core/status_macros.h"
#include "storage/types.h"

namespace capstan::storage {
namespace {

const char* QueueName(int queue) {
  return queue == static_cast<int>(Queue::kTask) ? "task" : "action";
}

std::string CodeName(absl::StatusCode code) { return absl::StatusCodeToString(code); }

}  // namespace

absl::StatusOr<StoreOptions> OptionsFrom(const config::v1::StoreConfig& config,
                                         std::string application_name) {
  StoreOptions options;
  CAPSTAN_ASSIGN_OR_RETURN(options.dsn, config::ReadDsn(config));
  options.application_name = std::move(application_name);
  options.reader_connections = static_cast<int>(config.connections());
  options.connect_timeout = config::ToDuration(config.connect_timeout());
  options.tcp_user_timeout = config::ToDuration(config.tcp_user_timeout());
  options.statement_timeout = config::ToDuration(config.statement_timeout());
  options.lock_timeout = config::ToDuration(config.lock_timeout());
  options.idle_in_transaction_timeout = config::ToDuration(config.idle_in_transaction_timeout());
  options.feed_kept = config::ToDuration(config.feed_retention());
  options.action_lease_size = static_cast<int>(config.action_lease_size());
  return options;
}

Observer ObserverOf(telemetry::StoreMetrics& metrics) {
  Observer observer;
  observer.statement = [&metrics](std::string_view name, absl::Duration took,
                                  absl::StatusCode code) {
    metrics.statement_duration.With({name}).Observe(took);
    if (code != absl::StatusCode::kOk)
      metrics.statement_errors.With({name, CodeName(code)}).Increment();
  };
  observer.flush = [&metrics](std::string_view name, std::size_t items, absl::Duration took) {
    metrics.flush_items.With({name}).Observe(static_cast<double>(items));
    metrics.flush_duration.With({name}).Observe(took);
  };
  observer.queued = [&metrics](std::string_view name, std::size_t items) {
    metrics.flush_queue.With({name}).Set(static_cast<double>(items));
  };
  observer.retry = [&metrics](std::string_view, absl::StatusCode code) {
    metrics.retries.With({CodeName(code)}).Increment();
  };
  observer.reconnect = [&metrics](std::string_view) { metrics.reconnects.Increment(); };
  observer.reaped = [&metrics](int count) { metrics.workers_reaped.Increment(count); };
  observer.swept = [&metrics](int count) { metrics.executions_swept.Increment(count); };
  observer.feed_lag = [&metrics](absl::Duration lag) {
    metrics.feed_lag.Set(absl::ToDoubleSeconds(lag));
  };
  return observer;
}

void Export(const Reader::Stats& stats, telemetry::StoreMetrics& metrics) {
  for (const auto& [queue, count] : stats.ready_by_queue) {
    metrics.queue_depth.With({QueueName(queue)}).Set(static_cast<double>(count));
  }
  for (const auto& [queue, age] : stats.oldest_ready_by_queue) {
    metrics.queue_oldest_age.With({QueueName(queue)}).Set(absl::ToDoubleSeconds(age));
  }
  metrics.workers_live.Set(stats.live_workers);
  metrics.oldest_xmin_age.Set(absl::ToDoubleSeconds(stats.oldest_xmin_age));
}

}  // namespace capstan::storage
