#include "tests/support/otlp/span_receiver.h"

#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/status_macros.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"

namespace capstan::testing {
namespace {

namespace otlp = opentelemetry::proto::collector::trace::v1;

std::string ServiceOf(const opentelemetry::proto::trace::v1::ResourceSpans& of_process) {
  for (const auto& attribute : of_process.resource().attributes()) {
    if (attribute.key() == "service.name") return attribute.value().string_value();
  }
  return "";
}

}  // namespace

class SpanReceiver::Service : public otlp::TraceService::Service {
 public:
  Service() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    CAPSTAN_CHECK(server_ != nullptr && port_ != 0);
  }

  grpc::Status Export(grpc::ServerContext* context, const otlp::ExportTraceServiceRequest* request,
                      otlp::ExportTraceServiceResponse* response) override {
    absl::MutexLock lock(&mu_);
    text_ += request->DebugString();
    for (const auto& of_process : request->resource_spans()) {
      for (const auto& scope : of_process.scope_spans()) {
        for (const auto& span : scope.spans()) {
          spans_.push_back(
              {ServiceOf(of_process), span.name(), span.trace_id(),
               absl::Nanoseconds(span.end_time_unix_nano() - span.start_time_unix_nano())});
        }
      }
    }
    return grpc::Status::OK;
  }

  int port() const { return port_; }
  std::vector<ReceivedSpan> Spans() {
    absl::MutexLock lock(&mu_);
    return spans_;
  }
  std::string Text() {
    absl::MutexLock lock(&mu_);
    return text_;
  }

 private:
  int port_ = 0;
  absl::Mutex mu_;
  std::vector<ReceivedSpan> spans_ ABSL_GUARDED_BY(mu_);
  std::string text_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<grpc::Server> server_;  // last: its calls use what is above
};

SpanReceiver::SpanReceiver() : service_(std::make_unique<Service>()) {}

SpanReceiver::~SpanReceiver() = default;

std::string SpanReceiver::Endpoint() const {
  return absl::StrCat("http://127.0.0.1:", service_->port());
}

std::vector<ReceivedSpan> SpanReceiver::Spans() const { return service_->Spans(); }

std::string SpanReceiver::Text() const { return service_->Text(); }

}  // namespace capstan::testing
