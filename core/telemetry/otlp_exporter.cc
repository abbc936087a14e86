#include "core/telemetry/otlp_exporter.h"

#include <opentelemetry/exporters/otlp/otlp_grpc_exporter_factory.h>
#include <opentelemetry/exporters/otlp/otlp_grpc_exporter_options.h>
#include <opentelemetry/sdk/common/global_log_handler.h>

#include <chrono>
#include <utility>

#include "core/log.h"

namespace capstan::telemetry {
namespace {

namespace otel = ::opentelemetry;
namespace trace_sdk = ::opentelemetry::sdk::trace;

class ClosingExporter final : public trace_sdk::SpanExporter {
 public:
  ClosingExporter(std::unique_ptr<trace_sdk::SpanExporter> exporter,
                  std::shared_ptr<const std::atomic<bool>> closing)
      : exporter_(std::move(exporter)), closing_(std::move(closing)) {}

  std::unique_ptr<trace_sdk::Recordable> MakeRecordable() noexcept override {
    return exporter_->MakeRecordable();
  }

  otel::sdk::common::ExportResult Export(
      const otel::nostd::span<std::unique_ptr<trace_sdk::Recordable>>& spans) noexcept override {
    if (*closing_) return otel::sdk::common::ExportResult::kFailure;
    return exporter_->Export(spans);
  }

  bool ForceFlush(std::chrono::microseconds timeout) noexcept override {
    return exporter_->ForceFlush(timeout);
  }

  bool Shutdown(std::chrono::microseconds timeout) noexcept override {
    return exporter_->Shutdown(timeout);
  }

 private:
  const std::unique_ptr<trace_sdk::SpanExporter> exporter_;
  const std::shared_ptr<const std::atomic<bool>> closing_;
};

class LogComplaints final : public otel::sdk::common::internal_log::LogHandler {
 public:
  void Handle(otel::sdk::common::internal_log::LogLevel level, const char*, int,
              const char* message, const otel::sdk::common::AttributeMap&) noexcept override {
    using otel::sdk::common::internal_log::LogLevel;
    const bool serious = level == LogLevel::Error || level == LogLevel::Warning;
    Log(serious ? Level::kWarning : Level::kDebug, "OpenTelemetry complains",
        {{"complaint", message == nullptr ? "" : message}});
  }
};

}  // namespace

std::unique_ptr<trace_sdk::SpanExporter> MakeOtlpExporter(
    const TracingSettings& settings, std::shared_ptr<const std::atomic<bool>> closing) {
  otel::exporter::otlp::OtlpGrpcExporterOptions options;  // reads OTEL_EXPORTER_OTLP_*
  if (!settings.otlp_endpoint.empty()) {
    options.endpoint = settings.otlp_endpoint;
    options.use_ssl_credentials = settings.otlp_endpoint.rfind("https://", 0) == 0;
  }
  if (!settings.export_timeout_from_environment) {
    options.timeout = absl::ToChronoMilliseconds(kExportTimeout);
  }
  return std::make_unique<ClosingExporter>(
      otel::exporter::otlp::OtlpGrpcExporterFactory::Create(options), std::move(closing));
}

void SendOtelComplaintsToLog() {
  otel::sdk::common::internal_log::GlobalLogHandler::SetLogHandler(
      otel::nostd::shared_ptr<otel::sdk::common::internal_log::LogHandler>(new LogComplaints));
}

}  // namespace capstan::telemetry
