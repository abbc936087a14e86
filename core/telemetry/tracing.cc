#include "core/telemetry/tracing.h"

#include <opentelemetry/sdk/resource/resource.h>
#include <opentelemetry/sdk/trace/batch_span_processor_factory.h>
#include <opentelemetry/sdk/trace/batch_span_processor_options.h>
#include <opentelemetry/sdk/trace/simple_processor_factory.h>
#include <opentelemetry/sdk/trace/tracer_provider.h>
#include <opentelemetry/trace/trace_state.h>

#include <atomic>
#include <chrono>
#include <utility>

#include "core/status_macros.h"
#include "core/telemetry/otlp_exporter.h"
#include "core/telemetry/recording_exporter.h"
#include "core/telemetry/span_recorder.h"
#include "core/telemetry/tracing_settings.h"

namespace capstan::telemetry {
namespace {

namespace otel = ::opentelemetry;
namespace trace_api = ::opentelemetry::trace;
namespace trace_sdk = ::opentelemetry::sdk::trace;

constexpr char kScope[] = "capstan";
constexpr absl::Duration kFlushAtEnd = absl::Seconds(3);

otel::nostd::string_view ToOtel(std::string_view text) { return {text.data(), text.size()}; }

trace_api::SpanContext ToOtel(const TraceContext& context) {
  if (!context.IsValid()) return trace_api::SpanContext::GetInvalid();
  return trace_api::SpanContext(trace_api::TraceId(context.trace_id),
                                trace_api::SpanId(context.span_id),
                                trace_api::TraceFlags(context.flags), /*is_remote=*/true,
                                trace_api::TraceState::FromHeader(ToOtel(context.tracestate)));
}

TraceContext FromOtel(const trace_api::SpanContext& from) {
  TraceContext context;
  from.trace_id().CopyBytesTo(context.trace_id);
  from.span_id().CopyBytesTo(context.span_id);
  context.flags = from.trace_flags().flags();
  context.tracestate = from.trace_state()->ToHeader();
  return context;
}

trace_api::SpanKind ToOtel(SpanKind kind) {
  switch (kind) {
    case SpanKind::kInternal:
      return trace_api::SpanKind::kInternal;
    case SpanKind::kServer:
      return trace_api::SpanKind::kServer;
    case SpanKind::kClient:
      return trace_api::SpanKind::kClient;
    case SpanKind::kProducer:
      return trace_api::SpanKind::kProducer;
    case SpanKind::kConsumer:
      return trace_api::SpanKind::kConsumer;
  }
  return trace_api::SpanKind::kInternal;
}

otel::common::AttributeValue ToOtel(const SpanAttribute& attribute) {
  if (const auto* text = std::get_if<std::string>(&attribute.value)) return ToOtel(*text);
  if (const auto* number = std::get_if<int64_t>(&attribute.value)) return *number;
  if (const auto* real = std::get_if<double>(&attribute.value)) return *real;
  return std::get<bool>(attribute.value);
}

// A moment as the two clocks of the SDK show it: it computes durations from the steady one.
struct Moment {
  std::chrono::system_clock::time_point system;
  std::chrono::steady_clock::time_point steady;
};

Moment MomentOf(absl::Time time) {
  const auto system = absl::ToChronoTime(time);
  const auto ago = std::chrono::system_clock::now() - system;
  return {system, std::chrono::steady_clock::now() -
                      std::chrono::duration_cast<std::chrono::steady_clock::duration>(ago)};
}

otel::sdk::resource::Resource MakeResource(const TracingSettings& settings) {
  otel::sdk::resource::ResourceAttributes attributes;
  for (const auto& [key, value] : settings.resource) attributes[key] = value;
  return otel::sdk::resource::Resource::Create(attributes);
}

}  // namespace

class Span::Impl {
 public:
  explicit Impl(otel::nostd::shared_ptr<trace_api::Span> span) : span_(std::move(span)) {}

  trace_api::Span& otel() { return *span_; }

 private:
  otel::nostd::shared_ptr<trace_api::Span> span_;
};

Span::Span() = default;
Span::Span(TraceContext context, std::unique_ptr<Impl> impl)
    : context_(std::move(context)), impl_(std::move(impl)) {}
Span::~Span() { End(); }
Span::Span(Span&&) noexcept = default;
Span& Span::operator=(Span&& other) noexcept {
  if (this == &other) return *this;
  End();
  context_ = std::move(other.context_);
  impl_ = std::move(other.impl_);
  return *this;
}

void Span::SetAttribute(std::string_view key, std::string_view value) {
  if (impl_ != nullptr) impl_->otel().SetAttribute(ToOtel(key), ToOtel(value));
}
void Span::SetAttribute(std::string_view key, const char* value) {
  SetAttribute(key, std::string_view(value));
}
void Span::SetAttribute(std::string_view key, int64_t value) {
  if (impl_ != nullptr) impl_->otel().SetAttribute(ToOtel(key), value);
}
void Span::SetAttribute(std::string_view key, bool value) {
  if (impl_ != nullptr) impl_->otel().SetAttribute(ToOtel(key), value);
}

void Span::SetError(const absl::Status& status) {
  if (impl_ == nullptr || status.ok()) return;
  SetAttribute("error.type", absl::StatusCodeToString(status.code()));
  impl_->otel().SetStatus(trace_api::StatusCode::kError,
                          {status.message().data(), status.message().size()});
}

void Span::End() {
  if (impl_ == nullptr) return;
  impl_->otel().End();
  impl_.reset();
}

void Span::End(absl::Time when) {
  if (impl_ == nullptr) return;
  trace_api::EndSpanOptions options;
  options.end_steady_time = otel::common::SteadyTimestamp(MomentOf(when).steady);
  impl_->otel().End(options);
  impl_.reset();
}

class Tracer::Impl {
 public:
  Impl(std::unique_ptr<trace_sdk::SpanProcessor> processor,
       const otel::sdk::resource::Resource& resource, std::unique_ptr<trace_sdk::Sampler> sampler,
       std::shared_ptr<std::atomic<bool>> closing)
      : closing_(std::move(closing)),
        provider_(std::move(processor), resource, std::move(sampler)),
        tracer_(provider_.GetTracer(kScope)) {}

  ~Impl() {
    Flush(kFlushAtEnd);
    *closing_ = true;
  }

  bool Flush(absl::Duration timeout) {
    return provider_.ForceFlush(absl::ToChronoMicroseconds(timeout));
  }

  otel::nostd::shared_ptr<trace_api::Span> Start(std::string_view name, const SpanOptions& from) {
    trace_api::StartSpanOptions options;
    options.kind = ToOtel(from.kind);
    // An invalid parent would mean "the span current on this thread"; nothing here sets one.
    options.parent = ToOtel(from.parent);
    if (from.start != absl::InfinitePast()) {
      const Moment start = MomentOf(from.start);
      options.start_system_time = otel::common::SystemTimestamp(start.system);
      options.start_steady_time = otel::common::SteadyTimestamp(start.steady);
    }
    std::vector<std::pair<otel::nostd::string_view, otel::common::AttributeValue>> attributes;
    for (const SpanAttribute& attribute : from.attributes) {
      attributes.emplace_back(ToOtel(attribute.key), ToOtel(attribute));
    }
    using LinkAttributes = std::vector<std::pair<std::string, std::string>>;
    std::vector<std::pair<trace_api::SpanContext, LinkAttributes>> links;
    for (const TraceContext& link : from.links) {
      if (link.IsValid()) links.emplace_back(ToOtel(link), LinkAttributes{});
    }
    return tracer_->StartSpan(ToOtel(name), attributes, links, options);
  }

 private:
  const std::shared_ptr<std::atomic<bool>> closing_;  // shared with the exporter
  trace_sdk::TracerProvider provider_;
  otel::nostd::shared_ptr<trace_api::Tracer> tracer_;
};

Tracer::Tracer() = default;
Tracer::Tracer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tracer::~Tracer() = default;

absl::StatusOr<std::unique_ptr<Tracer>> Tracer::Create(const TracingOptions& options,
                                                       const Environment& environment) {
  CAPSTAN_ASSIGN_OR_RETURN(TracingSettings settings, ReadTracingSettings(options, environment));
  if (!settings.enabled) return std::make_unique<Tracer>();
  SendOtelComplaintsToLog();
  auto closing = std::make_shared<std::atomic<bool>>(false);
  trace_sdk::BatchSpanProcessorOptions batch;
  batch.max_queue_size = settings.max_queue_size;
  batch.max_export_batch_size = settings.max_export_batch_size;
  batch.schedule_delay_millis = absl::ToChronoMilliseconds(settings.schedule_delay);
  return std::unique_ptr<Tracer>(new Tracer(std::make_unique<Impl>(
      trace_sdk::BatchSpanProcessorFactory::Create(MakeOtlpExporter(settings, closing), batch),
      MakeResource(settings), MakeSampler(settings), closing)));
}

std::unique_ptr<Tracer> Tracer::CreateRecording(SpanRecorder& recorder) {
  TracingSettings settings;
  return std::unique_ptr<Tracer>(new Tracer(std::make_unique<Impl>(
      trace_sdk::SimpleSpanProcessorFactory::Create(MakeRecordingExporter(recorder)),
      MakeResource(settings), MakeSampler(settings), std::make_shared<std::atomic<bool>>(false))));
}

Span Tracer::StartSpan(std::string_view name, SpanOptions options) const {
  if (impl_ == nullptr) return Span(std::move(options.parent), nullptr);
  auto span = impl_->Start(name, options);
  TraceContext context = FromOtel(span->GetContext());
  return Span(std::move(context), std::make_unique<Span::Impl>(std::move(span)));
}

bool Tracer::Flush(absl::Duration timeout) const {
  return impl_ == nullptr || impl_->Flush(timeout);
}

}  // namespace capstan::telemetry
