// What the store counts. Both programs have one: the server's shows the feed, the workers' show
// leases.
#pragma once

#include "core/telemetry/metrics.h"

namespace capstan::telemetry {

struct StoreMetrics {
  explicit StoreMetrics(MetricsRegistry& registry);

  // Label statement: the name of a file in storage/queries. Keep the handle beside the prepared
  // statement.
  HistogramFamily statement_duration;
  // Labels statement and code (ABORTED, UNAVAILABLE, …).
  CounterFamily statement_errors;
  // Label combiner: submit or commit. Items gathered into one transaction, and how long that
  // took.
  HistogramFamily flush_items;
  HistogramFamily flush_duration;
  // Label combiner. Items that wait for its next flush.
  GaugeFamily flush_queue;
  // Label code. Transactions sent again, after ABORTED (serialization failure 40001 or deadlock
  // 40P01) or UNAVAILABLE (lost connection).
  CounterFamily retries;
  Counter reconnects;  // connections made anew after one broke

  Gauge
      feed_lag;  // seconds between the newest change in the database and what this process has seen
  Gauge
      oldest_xmin_age;  // seconds since the oldest transaction that still holds back the feed began

  // Label queue. Executions ready to be claimed, and seconds since the oldest of them became due.
  GaugeFamily queue_depth;
  GaugeFamily queue_oldest_age;

  Gauge workers_live;
  Counter workers_reaped;    // workers this process marked dead
  Counter lease_takeovers;   // leases this process took from dead workers
  Counter executions_swept;  // executions found with neither lease nor parked row; anything but 0
                             // is a bug
};

}  // namespace capstan::telemetry
