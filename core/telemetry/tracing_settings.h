// What the options of tracing and OpenTelemetry's environment variables amount to. The SDK reads
// only some of these variables itself; the others are read here. Internal to this folder.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/telemetry/tracing.h"

namespace opentelemetry {
inline namespace v1 {
namespace sdk::trace {
class Sampler;
}  // namespace sdk::trace
}  // namespace v1
}  // namespace opentelemetry

namespace capstan::telemetry {

// Longest a batch may take to send, unless OTEL_EXPORTER_OTLP_TIMEOUT says otherwise.
inline constexpr absl::Duration kExportTimeout = absl::Seconds(3);

struct TracingSettings {
  bool enabled = false;
  std::string otlp_endpoint;  // empty: the SDK takes it from the environment
  bool export_timeout_from_environment = false;
  std::map<std::string, std::string> resource;
  bool follow_parent = true;
  double ratio = 1;
  size_t max_queue_size = 2048;
  size_t max_export_batch_size = 512;
  absl::Duration schedule_delay = absl::Seconds(5);
};

// INVALID_ARGUMENT: a variable or option has a value that means nothing.
absl::StatusOr<TracingSettings> ReadTracingSettings(const TracingOptions& options,
                                                    const Environment& environment);

std::unique_ptr<opentelemetry::sdk::trace::Sampler> MakeSampler(const TracingSettings& settings);

}  // namespace capstan::telemetry
