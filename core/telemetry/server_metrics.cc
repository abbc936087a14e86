#include "core/telemetry/server_metrics.h"

namespace capstan::telemetry {

ServerMetrics::ServerMetrics(MetricsRegistry& registry, absl::Span<const std::string> rpc_methods)
    : rpc_duration(registry.AddHistogramFamily(
          "rpc_server_call_duration_seconds",
          "Time from receiving a call to sending its status; a stream's whole life.",
          {"rpc_method", "rpc_response_status_code"}, ShortSeconds())),
      submits(registry.AddCounterFamily("capstan_server_submits_total",
                                        "Submitted executions by what became of the request.",
                                        {"outcome"})),
      submits_created(submits.With({"created"})),
      submits_existing(submits.With({"existing"})),
      submits_refused(submits.With({"refused"})),
      submits_overloaded(submits.With({"overloaded"})),
      submits_failed(submits.With({"failed"})),
      watch_streams(registry.AddGauge("capstan_server_watch_streams", "Open streams of updates.")),
      watch_updates(registry.AddCounter("capstan_server_watch_updates_total",
                                        "Messages sent on streams of updates.")),
      watch_fallbacks(registry.AddCounter(
          "capstan_server_watch_fallbacks_total",
          "Streams whose reader fell behind its buffer and was served from the store.")),
      draining(registry.AddGauge("capstan_server_draining",
                                 "1 while the server finishes its calls before it ends.")) {
  for (const std::string& method : rpc_methods) rpc_duration.With({method, "OK"});
}

}  // namespace capstan::telemetry
