#include "core/telemetry/store_metrics.h"

namespace capstan::telemetry {

StoreMetrics::StoreMetrics(MetricsRegistry& registry)
    : statement_duration(registry.AddHistogramFamily("capstan_store_statement_duration_seconds",
                                                     "Time of one SQL statement, by its file name.",
                                                     {"statement"}, ShortSeconds())),
      statement_errors(registry.AddCounterFamily("capstan_store_statement_errors_total",
                                                 "SQL statements that failed.",
                                                 {"statement", "code"})),
      flush_items(registry.AddHistogramFamily("capstan_store_flush_items",
                                              "Items gathered into one transaction.", {"combiner"},
                                              Counts())),
      flush_duration(registry.AddHistogramFamily("capstan_store_flush_duration_seconds",
                                                 "Time of one such transaction.", {"combiner"},
                                                 ShortSeconds())),
      flush_queue(registry.AddGaugeFamily(
          "capstan_store_flush_queue", "Items that wait for the next transaction.", {"combiner"})),
      retries(registry.AddCounterFamily(
          "capstan_store_retries_total",
          "Transactions sent again: ABORTED after a serialization failure or deadlock, UNAVAILABLE "
          "after a lost connection.",
          {"code"})),
      reconnects(registry.AddCounter("capstan_store_reconnects_total",
                                     "Connections to Postgres made again after they broke.")),
      feed_lag(registry.AddGauge(
          "capstan_store_feed_lag_seconds",
          "Age of the oldest change in the last round of the feed when it was delivered.")),
      oldest_xmin_age(registry.AddGauge(
          "capstan_store_oldest_xmin_age_seconds",
          "Age of the oldest open transaction of the Postgres cluster: it holds back the feed.")),
      queue_depth(registry.AddGaugeFamily("capstan_queue_depth",
                                          "Executions that are due and not claimed.", {"queue"})),
      queue_oldest_age(registry.AddGaugeFamily(
          "capstan_queue_oldest_age_seconds",
          "How long the oldest of them has been due; 0 when there is none.", {"queue"})),
      workers_live(registry.AddGauge("capstan_workers_live", "Workers with a fresh heartbeat.")),
      workers_reaped(registry.AddCounter("capstan_workers_reaped_total",
                                         "Workers that this process marked dead.")),
      lease_takeovers(registry.AddCounter("capstan_lease_takeovers_total",
                                          "Leases that this process took from dead workers.")),
      executions_swept(registry.AddCounter(
          "capstan_executions_swept_total",
          "Executions found with neither lease nor parked row; anything but 0 is a bug.")) {
  for (const char* combiner : {"submit", "commit"}) {
    flush_items.With({combiner});
    flush_duration.With({combiner});
    flush_queue.With({combiner});
  }
  for (const char* code : {"ABORTED", "UNAVAILABLE"}) retries.With({code});
}

}  // namespace capstan::telemetry
