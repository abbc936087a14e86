// The exporter behind Tracer::Create. Internal to this folder: it shows OpenTelemetry's headers.
#pragma once

#include <opentelemetry/sdk/trace/exporter.h>

#include <atomic>
#include <memory>

#include "core/telemetry/tracing_settings.h"

namespace capstan::telemetry {

// Sends spans over OTLP gRPC. While *closing is true it drops them at once: a collector that does
// not answer must not hold up the end of the program batch by batch.
std::unique_ptr<opentelemetry::sdk::trace::SpanExporter> MakeOtlpExporter(
    const TracingSettings& settings, std::shared_ptr<const std::atomic<bool>> closing);

// Lets OpenTelemetry write its complaints as our log lines instead of text on standard error.
void SendOtelComplaintsToLog();

}  // namespace capstan::telemetry
