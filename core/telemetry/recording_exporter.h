// The exporter behind Tracer::CreateRecording. Internal to this folder: it shows OpenTelemetry's
// headers.
#pragma once

#include <opentelemetry/sdk/trace/exporter.h>

#include <memory>

#include "core/telemetry/span_recorder.h"

namespace capstan::telemetry {

// `recorder` must outlive the exporter.
std::unique_ptr<opentelemetry::sdk::trace::SpanExporter> MakeRecordingExporter(
    SpanRecorder& recorder);

}  // namespace capstan::telemetry
