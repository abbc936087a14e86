// One call: who made it, its span and its metrics, from the handler until its status is known.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/telemetry/tracing.h"
#include "server/errors.h"
#include "server/parts.h"

namespace capstan::server {

// Used by one thread at a time.
class Rpc {
 public:
  // `method` is the full name, "capstan.v1.ExecutionService/GetExecution".
  Rpc(const Parts& parts, std::string_view method, const grpc::CallbackServerContext& context);

  // Who calls: the identity in the client's certificate, otherwise "anonymous", or in development
  // "unauthenticated:NAME" (ServiceOptions::development_identity).
  const std::string& caller() const { return caller_; }
  // The caller's place in its trace, as sent; invalid when none was.
  const telemetry::TraceContext& caller_trace() const { return caller_trace_; }
  telemetry::Span& span() { return span_; }

  // Counts the call and ends its span; later calls do nothing.
  void Finish(const absl::Status& status);

 private:
  const Parts& parts_;
  const std::string_view method_;
  const absl::Duration start_;
  std::string caller_;
  telemetry::TraceContext caller_trace_;
  telemetry::Span span_;
  bool finished_ = false;
};

// Answers a unary call: counts it, then sends the status.
inline void Answer(grpc::ServerUnaryReactor* reactor, Rpc& rpc, const absl::Status& status) {
  rpc.Finish(status);
  reactor->Finish(ToGrpcStatus(status));
}

// True: the server drains, and the call was answered so.
inline bool Refused(const Parts& parts, grpc::ServerUnaryReactor* reactor, Rpc& rpc) {
  const absl::Status admitted = parts.streams.Admit();
  if (!admitted.ok()) Answer(reactor, rpc, admitted);
  return !admitted.ok();
}

// A unary call whose work blocks on the store: runs `work`, an absl::Status(Rpc&), on the pool.
template <class Work>
grpc::ServerUnaryReactor* AnswerOnPool(const Parts& parts, std::string_view method,
                                       grpc::CallbackServerContext* context, Work work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto rpc = std::make_shared<Rpc>(parts, method, *context);
  if (Refused(parts, reactor, *rpc)) return reactor;
  const bool queued = parts.pool.TrySubmit([=]() mutable {
    const absl::Status status =
        context->IsCancelled() ? absl::CancelledError("the caller left") : work(*rpc);
    Answer(reactor, *rpc, status);
  });
  if (!queued) {
    Answer(reactor, *rpc,
           Error(absl::StatusCode::kResourceExhausted, "OVERLOADED", "too many calls wait"));
  }
  return reactor;
}

}  // namespace capstan::server
