// Spans, exported over OTLP gRPC when an endpoint is configured and costing next to nothing
// otherwise.
//
//   Span span = tracer.StartSpan(kSpanPolicy, {.parent = context,
//                                              .attributes = {{kAttributeAction, action}}});
//   …
//   span.SetAttribute(kAttributeDecision, "deny");
//   store(FormatTraceparent(span.context()));
//
// With tracing off a span's context is its parent's, so a caller's trace id still reaches the
// store, the log and Jobs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/telemetry/trace_context.h"

namespace capstan::telemetry {

class SpanRecorder;

struct SpanAttribute {
  SpanAttribute(std::string_view k, std::string_view v) : key(k), value(std::string(v)) {}
  SpanAttribute(std::string_view k, const std::string& v) : key(k), value(v) {}
  SpanAttribute(std::string_view k, const char* v) : key(k), value(std::string(v)) {}
  SpanAttribute(std::string_view k, bool v) : key(k), value(v) {}
  SpanAttribute(std::string_view k, double v) : key(k), value(v) {}
  SpanAttribute(std::string_view k, int v) : key(k), value(static_cast<int64_t>(v)) {}
  SpanAttribute(std::string_view k, int64_t v) : key(k), value(v) {}
  std::string key;
  std::variant<std::string, int64_t, double, bool> value;
};

enum class SpanKind { kInternal, kServer, kClient, kProducer, kConsumer };

struct SpanOptions {
  SpanKind kind = SpanKind::kInternal;
  // Invalid: the span begins a new trace.
  TraceContext parent = {};
  std::vector<SpanAttribute> attributes = {};
  // Other places this work comes from, such as the attempt before. Invalid ones are left out.
  std::vector<TraceContext> links = {};
  // When it began, for work that is only known about afterwards (a wait in a queue). InfinitePast:
  // now.
  absl::Time start = absl::InfinitePast();
};

// One piece of work; ends when destroyed, if not before. Movable. Used by one thread at a time.
class Span {
 public:
  Span();  // no span: every call does nothing
  ~Span();
  Span(Span&&) noexcept;
  Span& operator=(Span&&) noexcept;

  void SetAttribute(std::string_view key, std::string_view value);
  void SetAttribute(std::string_view key, const char* value);
  void SetAttribute(std::string_view key, int64_t value);
  void SetAttribute(std::string_view key, bool value);

  // Marks the span as failed, with the code's name in error.type. OK does nothing. For work that
  // went wrong, not for answers: a policy denial is not an error.
  void SetError(const absl::Status& status);

  // Ends the span now, or at `when`. Later calls on it do nothing.
  void End();
  void End(absl::Time when);

  // Where this span is in its trace: the parent for work it causes.
  const TraceContext& context() const { return context_; }

 private:
  friend class Tracer;
  class Impl;
  Span(TraceContext context, std::unique_ptr<Impl> impl);
  TraceContext context_;
  std::unique_ptr<Impl> impl_;
};

struct TracingOptions {
  // service.name of the spans, unless OTEL_SERVICE_NAME says otherwise.
  std::string service_name = {};
  std::string service_version = {};
  // service.instance.id: the worker's id, for example. Empty: left out.
  std::string instance_id = {};
  // http(s)://host:port. Empty: from OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or
  // OTEL_EXPORTER_OTLP_ENDPOINT, else off.
  std::string otlp_endpoint = {};
  // Share of the traces begun here that are kept; a parent's decision is followed.
  // OTEL_TRACES_SAMPLER wins.
  double sample_ratio = 1;
};

// Reads one environment variable; nullopt when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment ProcessEnvironment();

// Thread-safe. Made once by main.cc and borrowed by everything that makes spans; must outlive the
// spans.
class Tracer {
 public:
  // Tracing off.
  Tracer();
  // Sends what is still buffered, for at most three seconds, and as much again when a batch is on
  // its way to a collector that does not answer.
  ~Tracer();

  // INVALID_ARGUMENT: an OTEL_ variable or an option has a value that means nothing; refuse to
  // start. Besides OpenTelemetry's exporter variables, OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER
  // (otlp or none), OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG and
  // OTEL_BSP_{SCHEDULE_DELAY,MAX_QUEUE_SIZE,MAX_EXPORT_BATCH_SIZE} are honoured.
  static absl::StatusOr<std::unique_ptr<Tracer>> Create(
      const TracingOptions& options, const Environment& environment = ProcessEnvironment());

  // Every span goes to `recorder` when it ends. For tests.
  static std::unique_ptr<Tracer> CreateRecording(SpanRecorder& recorder);

  bool enabled() const { return impl_ != nullptr; }

  Span StartSpan(std::string_view name, SpanOptions options = {}) const;

  // Sends what is buffered and waits for it, at most `timeout`. False: it was not all sent.
  bool Flush(absl::Duration timeout) const;

 private:
  class Impl;
  explicit Tracer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace capstan::telemetry
