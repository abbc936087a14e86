#include "core/telemetry/recording_exporter.h"

#include <opentelemetry/sdk/trace/span_data.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace capstan::telemetry {
namespace {

namespace otel = ::opentelemetry;
namespace trace_api = ::opentelemetry::trace;
namespace trace_sdk = ::opentelemetry::sdk::trace;

TraceContext ContextOf(const trace_api::SpanContext& from) {
  TraceContext context;
  from.trace_id().CopyBytesTo(context.trace_id);
  from.span_id().CopyBytesTo(context.span_id);
  context.flags = from.trace_flags().flags();
  context.tracestate = from.trace_state()->ToHeader();
  return context;
}

SpanKind KindOf(trace_api::SpanKind kind) {
  switch (kind) {
    case trace_api::SpanKind::kInternal:
      return SpanKind::kInternal;
    case trace_api::SpanKind::kServer:
      return SpanKind::kServer;
    case trace_api::SpanKind::kClient:
      return SpanKind::kClient;
    case trace_api::SpanKind::kProducer:
      return SpanKind::kProducer;
    case trace_api::SpanKind::kConsumer:
      return SpanKind::kConsumer;
  }
  return SpanKind::kInternal;
}

std::string TextOf(const otel::sdk::common::OwnedAttributeValue& value) {
  if (const auto* text = otel::nostd::get_if<std::string>(&value)) return *text;
  if (const auto* number = otel::nostd::get_if<int64_t>(&value)) return absl::StrCat(*number);
  if (const auto* real = otel::nostd::get_if<double>(&value)) return absl::StrCat(*real);
  if (const auto* flag = otel::nostd::get_if<bool>(&value)) return *flag ? "true" : "false";
  return "(list)";
}

RecordedSpan Convert(const trace_sdk::SpanData& data) {
  RecordedSpan span;
  span.name = std::string(data.GetName().data(), data.GetName().size());
  span.kind = KindOf(data.GetSpanKind());
  span.context = ContextOf(data.GetSpanContext());
  std::array<uint8_t, 8> parent;
  data.GetParentSpanId().CopyBytesTo(parent);
  span.parent_span_id = absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(parent.data()), parent.size()));
  for (const auto& link : data.GetLinks()) span.links.push_back(ContextOf(link.GetSpanContext()));
  for (const auto& [key, value] : data.GetAttributes()) span.attributes[key] = TextOf(value);
  span.start = absl::FromUnixNanos(data.GetStartTime().time_since_epoch().count());
  span.duration = absl::Nanoseconds(data.GetDuration().count());
  span.error = data.GetStatus() == trace_api::StatusCode::kError;
  span.error_message = std::string(data.GetDescription().data(), data.GetDescription().size());
  return span;
}

class RecordingExporter final : public trace_sdk::SpanExporter {
 public:
  explicit RecordingExporter(SpanRecorder& recorder) : recorder_(recorder) {}

  std::unique_ptr<trace_sdk::Recordable> MakeRecordable() noexcept override {
    return std::make_unique<trace_sdk::SpanData>();
  }

  otel::sdk::common::ExportResult Export(
      const otel::nostd::span<std::unique_ptr<trace_sdk::Recordable>>& spans) noexcept override {
    for (const auto& span : spans) {
      recorder_.Add(Convert(static_cast<const trace_sdk::SpanData&>(*span)));
    }
    return otel::sdk::common::ExportResult::kSuccess;
  }

  bool ForceFlush(std::chrono::microseconds) noexcept override { return true; }
  bool Shutdown(std::chrono::microseconds) noexcept override { return true; }

 private:
  SpanRecorder& recorder_;
};

}  // namespace

std::unique_ptr<trace_sdk::SpanExporter> MakeRecordingExporter(SpanRecorder& recorder) {
  return std::make_unique<RecordingExporter>(recorder);
}

}  // namespace capstan::telemetry
