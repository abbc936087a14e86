// What the API server counts. Made once by the server's main.cc and borrowed by its services.
#pragma once

#include <string>

#include "absl/types/span.h"
#include "core/telemetry/metrics.h"

namespace capstan::telemetry {

struct ServerMetrics {
  // `rpc_methods`: full names ("capstan.v1.ExecutionService/ExecuteAction") of the methods served;
  // their series with status OK are made at 0.
  ServerMetrics(MetricsRegistry& registry, absl::Span<const std::string> rpc_methods);

  // Labels rpc_method and rpc_response_status_code (OK, INVALID_ARGUMENT, …). Streams count when
  // they end.
  HistogramFamily rpc_duration;

  // Label outcome. Submitted items by what became of them; BatchExecuteActions counts each item.
  CounterFamily submits;
  Counter submits_created;
  Counter submits_existing;    // the request_id was known: the same execution was returned
  Counter submits_refused;     // invalid, or the request_id was used for another request
  Counter submits_overloaded;  // the queue was full
  Counter submits_failed;      // the database did not answer, or could not

  Gauge watch_streams;      // open streams of updates
  Counter watch_updates;    // messages sent on them
  Counter watch_fallbacks;  // readers that fell behind their buffer and were sent to the store
  Gauge draining;           // 1 from SIGTERM on
};

}  // namespace capstan::telemetry
