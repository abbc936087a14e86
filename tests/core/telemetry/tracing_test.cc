#include "core/telemetry/tracing.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h>

#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/telemetry/span_names.h"
#include "core/telemetry/span_recorder.h"
#include "tests/support/status_matchers.h"

namespace capstan::telemetry {
namespace {

namespace otlp = ::opentelemetry::proto::collector::trace::v1;

using ::capstan::testing::StatusIs;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr char kCaller[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

Environment Variables(std::map<std::string, std::string> variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

class RecordingTest : public ::testing::Test {
 protected:
  RecordedSpan OnlySpan() {
    std::vector<RecordedSpan> spans = recorder_.Spans();
    EXPECT_THAT(spans, SizeIs(1));
    return spans.empty() ? RecordedSpan{} : spans[0];
  }

  SpanRecorder recorder_;
  std::unique_ptr<Tracer> tracer_ = Tracer::CreateRecording(recorder_);
};

TEST_F(RecordingTest, ASpanContinuesItsParentsTrace) {
  const TraceContext caller = ParseTraceparent(kCaller, "vendor=value");

  Span span = tracer_->StartSpan(kSpanSubmit, {.kind = SpanKind::kServer, .parent = caller});
  const TraceContext context = span.context();
  span.End();

  RecordedSpan recorded = OnlySpan();
  EXPECT_EQ(recorded.name, "submit");
  EXPECT_EQ(recorded.kind, SpanKind::kServer);
  EXPECT_EQ(recorded.context, context);
  EXPECT_EQ(recorded.context.trace_id, caller.trace_id);
  EXPECT_EQ(recorded.context.tracestate, "vendor=value");
  EXPECT_NE(recorded.context.span_id, caller.span_id);
  EXPECT_EQ(recorded.parent_span_id, caller.SpanIdHex());
}

TEST_F(RecordingTest, ASpanWithoutAParentBeginsATrace) {
  Span span = tracer_->StartSpan(kSpanClaim);

  EXPECT_TRUE(span.context().IsValid());
  EXPECT_TRUE(span.context().IsSampled());
  span.End();
  EXPECT_EQ(OnlySpan().parent_span_id, "0000000000000000");
}

TEST_F(RecordingTest, ACallersDecisionNotToSampleIsFollowed) {
  const TraceContext caller =
      ParseTraceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");

  Span span = tracer_->StartSpan(kSpanClaim, {.parent = caller});
  EXPECT_EQ(span.context().trace_id, caller.trace_id);
  EXPECT_FALSE(span.context().IsSampled());
  span.End();

  EXPECT_THAT(recorder_.Spans(), SizeIs(0));
}

TEST_F(RecordingTest, AttributesOfEveryTypeAreKept) {
  {
    Span span = tracer_->StartSpan(
        kSpanPolicy,
        {.attributes = {{kAttributeAction, "Scale"}, {"ratio", 0.5}, {"replicas", 3}}});
    span.SetAttribute(kAttributeDecision, "deny");
    span.SetAttribute("dry_run", true);
    span.SetAttribute("number", int64_t{7});
  }

  const std::map<std::string, std::string> attributes = OnlySpan().attributes;
  EXPECT_THAT(attributes, Contains(Pair("capstan.action", "Scale")));
  EXPECT_THAT(attributes, Contains(Pair("ratio", "0.5")));
  EXPECT_THAT(attributes, Contains(Pair("replicas", "3")));
  EXPECT_THAT(attributes, Contains(Pair("capstan.policy.decision", "deny")));
  EXPECT_THAT(attributes, Contains(Pair("dry_run", "true")));
  EXPECT_THAT(attributes, Contains(Pair("number", "7")));
}

TEST_F(RecordingTest, LinksNameOtherTracesAndInvalidOnesAreLeftOut) {
  const TraceContext earlier = ParseTraceparent(kCaller);

  tracer_->StartSpan(kSpanClaim, {.links = {earlier, TraceContext{}}}).End();

  RecordedSpan recorded = OnlySpan();
  EXPECT_THAT(recorded.links, ElementsAre(earlier));
  EXPECT_NE(recorded.context.trace_id, earlier.trace_id);
}

TEST_F(RecordingTest, AWaitKnownOnlyAfterwardsKeepsItsTimes) {
  const absl::Time submitted = absl::Now() - absl::Seconds(90);

  Span span = tracer_->StartSpan(kSpanQueueWait, {.start = submitted});
  span.End(submitted + absl::Seconds(60));

  RecordedSpan recorded = OnlySpan();
  EXPECT_LT(absl::AbsDuration(recorded.start - submitted), absl::Microseconds(1));
  EXPECT_LT(absl::AbsDuration(recorded.duration - absl::Seconds(60)), absl::Milliseconds(500));
}

TEST_F(RecordingTest, AnErrorMarksTheSpan) {
  Span span = tracer_->StartSpan(kSpanJobCreate);
  span.SetError(absl::OkStatus());
  span.SetError(absl::UnavailableError("no answer"));
  span.End();

  RecordedSpan recorded = OnlySpan();
  EXPECT_TRUE(recorded.error);
  EXPECT_EQ(recorded.error_message, "no answer");
  EXPECT_THAT(recorded.attributes, Contains(Pair("error.type", "UNAVAILABLE")));
}

TEST_F(RecordingTest, ASpanEndsOnceAndWhenItGoesAway) {
  {
    Span span = tracer_->StartSpan(kSpanFacts);
    Span moved = std::move(span);
    moved.End();
    moved.End();
    moved.SetAttribute("late", "value");
  }
  {
    Span forgotten = tracer_->StartSpan(kSpanFacts);
  }
  Span replaced = tracer_->StartSpan(kSpanFacts);
  replaced = Span();

  EXPECT_THAT(recorder_.Spans(), SizeIs(3));
}

TEST_F(RecordingTest, WaitForReturnsTheSpansOfAName) {
  tracer_->StartSpan(kSpanFacts).End();
  tracer_->StartSpan(kSpanPolicy).End();

  EXPECT_THAT(recorder_.WaitFor(kSpanPolicy, 1, absl::Seconds(10)), SizeIs(1));
  EXPECT_THAT(recorder_.WaitFor(kSpanPolicy, 2, absl::ZeroDuration()), SizeIs(1));
}

TEST(TracingOffTest, IsOffWithoutAnEndpoint) {
  absl::StatusOr<std::unique_ptr<Tracer>> tracer =
      Tracer::Create({.service_name = "capstan-server"}, Variables({}));

  ASSERT_OK(tracer);
  EXPECT_FALSE((*tracer)->enabled());
}

TEST(TracingOffTest, TheCallersContextStillPassesThrough) {
  Tracer tracer;
  const TraceContext caller = ParseTraceparent(kCaller, "vendor=value");

  Span span = tracer.StartSpan(kSpanSubmit, {.parent = caller});
  span.SetAttribute("key", "value");
  span.SetError(absl::InternalError("x"));

  EXPECT_EQ(span.context(), caller);
  EXPECT_FALSE(tracer.StartSpan(kSpanSubmit).context().IsValid());
}

TEST(TracingOffTest, TheStandardSwitchesTurnItOff) {
  const TracingOptions options = {.otlp_endpoint = "http://127.0.0.1:1"};

  EXPECT_FALSE((*Tracer::Create(options, Variables({{"OTEL_SDK_DISABLED", "true"}})))->enabled());
  EXPECT_FALSE(
      (*Tracer::Create(options, Variables({{"OTEL_TRACES_EXPORTER", "none"}})))->enabled());
}

TEST(TracingOptionsTest, VariablesThatMeanNothingAreRefused) {
  const TracingOptions options = {.service_name = "capstan-server"};
  constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

  EXPECT_THAT(Tracer::Create(options, Variables({{"OTEL_TRACES_SAMPLER", "sometimes"}})),
              StatusIs(kInvalid, HasSubstr("OTEL_TRACES_SAMPLER: got \"sometimes\"")));
  EXPECT_THAT(Tracer::Create(options, Variables({{"OTEL_TRACES_SAMPLER", "traceidratio"},
                                                 {"OTEL_TRACES_SAMPLER_ARG", "2"}})),
              StatusIs(kInvalid, HasSubstr("OTEL_TRACES_SAMPLER_ARG")));
  EXPECT_THAT(Tracer::Create(options, Variables({{"OTEL_BSP_SCHEDULE_DELAY", "soon"}})),
              StatusIs(kInvalid, HasSubstr("OTEL_BSP_SCHEDULE_DELAY")));
  EXPECT_THAT(Tracer::Create(options, Variables({{"OTEL_TRACES_EXPORTER", "zipkin"}})),
              StatusIs(kInvalid, HasSubstr("otlp or none")));
  EXPECT_THAT(Tracer::Create({.sample_ratio = -1}, Variables({})),
              StatusIs(kInvalid, HasSubstr("tracing.sample_ratio")));
}

// A collector that keeps what it is sent.
class Collector final : public otlp::TraceService::Service {
 public:
  Collector() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }

  ~Collector() override { server_->Shutdown(); }

  std::string endpoint() const { return absl::StrCat("http://127.0.0.1:", port_); }

  std::vector<otlp::ExportTraceServiceRequest> requests() {
    absl::MutexLock lock(&mu_);
    return requests_;
  }

 private:
  grpc::Status Export(grpc::ServerContext*, const otlp::ExportTraceServiceRequest* request,
                      otlp::ExportTraceServiceResponse*) override {
    absl::MutexLock lock(&mu_);
    requests_.push_back(*request);
    return grpc::Status::OK;
  }

  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  absl::Mutex mu_;
  std::vector<otlp::ExportTraceServiceRequest> requests_ ABSL_GUARDED_BY(mu_);
};

TEST(TracingExportTest, SpansReachACollectorOverOtlp) {
  Collector collector;
  absl::StatusOr<std::unique_ptr<Tracer>> tracer =
      Tracer::Create({.service_name = "capstan-worker",
                      .service_version = "1.2.3",
                      .instance_id = "w1",
                      .otlp_endpoint = collector.endpoint()},
                     Variables({}));
  ASSERT_OK(tracer);

  Span span = (*tracer)->StartSpan(kSpanPolicy, {.parent = ParseTraceparent(kCaller)});
  span.End();
  EXPECT_TRUE((*tracer)->Flush(absl::Seconds(30)));

  ASSERT_THAT(collector.requests(), SizeIs(1));
  const auto resource_spans = collector.requests()[0].resource_spans(0);
  EXPECT_THAT(resource_spans.resource().ShortDebugString(), HasSubstr("capstan-worker"));
  EXPECT_THAT(resource_spans.resource().ShortDebugString(), HasSubstr("1.2.3"));
  const auto& exported = resource_spans.scope_spans(0).spans(0);
  EXPECT_EQ(exported.name(), "policy");
  EXPECT_EQ(exported.trace_id(),
            std::string(span.context().trace_id.begin(), span.context().trace_id.end()));
}

TEST(TracingExportTest, WhatIsBufferedIsSentWhenTheTracerGoes) {
  Collector collector;
  absl::StatusOr<std::unique_ptr<Tracer>> tracer =
      Tracer::Create({.otlp_endpoint = collector.endpoint()}, Variables({}));
  ASSERT_OK(tracer);
  (*tracer)->StartSpan(kSpanPolicy).End();

  tracer->reset();

  EXPECT_THAT(collector.requests(), SizeIs(1));
}

TEST(TracingExportTest, ACollectorThatIsAwayIsALogLineAndNothingElse) {
  absl::StatusOr<std::unique_ptr<Tracer>> tracer =
      Tracer::Create({.otlp_endpoint = "http://127.0.0.1:1"}, Variables({}));
  ASSERT_OK(tracer);
  ::testing::internal::CaptureStderr();

  (*tracer)->StartSpan(kSpanPolicy).End();
  tracer->reset();

  const std::string output = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(output, ::testing::StartsWith("{\"time\":"));
  EXPECT_THAT(output, HasSubstr("\"message\":\"OpenTelemetry complains\""));
  EXPECT_THAT(output, HasSubstr("127.0.0.1:1"));
}

TEST(TracingExportTest, TheSamplerVariableWinsOverTheConfiguration) {
  Collector collector;
  absl::StatusOr<std::unique_ptr<Tracer>> tracer =
      Tracer::Create({.otlp_endpoint = collector.endpoint(), .sample_ratio = 1},
                     Variables({{"OTEL_TRACES_SAMPLER", "parentbased_traceidratio"},
                                {"OTEL_TRACES_SAMPLER_ARG", "0"}}));
  ASSERT_OK(tracer);

  (*tracer)->StartSpan(kSpanPolicy).End();
  (*tracer)->StartSpan(kSpanFacts, {.parent = ParseTraceparent(kCaller)}).End();
  EXPECT_TRUE((*tracer)->Flush(absl::Seconds(30)));

  ASSERT_THAT(collector.requests(), SizeIs(1));
  const auto request = collector.requests()[0];
  EXPECT_EQ(request.resource_spans(0).scope_spans(0).spans_size(), 1);
  EXPECT_EQ(request.resource_spans(0).scope_spans(0).spans(0).name(), "facts");
}

}  // namespace
}  // namespace capstan::telemetry
