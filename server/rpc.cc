#include "server/rpc.h"

#include <grpcpp/security/auth_context.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

#include "core/telemetry/span_names.h"

namespace capstan::server {
namespace {

std::string Metadata(const grpc::CallbackServerContext& context, const char* key) {
  const auto it = context.client_metadata().find(key);
  if (it == context.client_metadata().end()) return "";
  return std::string(it->second.data(), it->second.size());
}

constexpr std::size_t kMaxCallerBytes = 253;

// For development: who the caller says it is.
std::string ClaimedCaller(const grpc::CallbackServerContext& context) {
  const std::string claimed = Metadata(context, "capstan-caller");
  const bool plain =
      !claimed.empty() && claimed.size() <= kMaxCallerBytes &&
      std::all_of(claimed.begin(), claimed.end(), [](char c) { return absl::ascii_isgraph(c); });
  return plain ? absl::StrCat("unauthenticated:", claimed) : "anonymous";
}

// The URI of the certificate (its identity by convention), otherwise whatever gRPC takes for one.
std::string CallerOf(const Parts& parts, const grpc::CallbackServerContext& context) {
  constexpr char kAnonymous[] = "anonymous";
  const auto auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) {
    return parts.options.development_identity ? ClaimedCaller(context) : kAnonymous;
  }
  for (const grpc::string_ref& uri : auth->FindPropertyValues("x509_uri")) {
    return std::string(uri.data(), uri.size());
  }
  for (const grpc::string_ref& identity : auth->GetPeerIdentity()) {
    return std::string(identity.data(), identity.size());
  }
  return kAnonymous;
}

// FAILED_PRECONDITION and so on, as OpenTelemetry's conventions spell gRPC codes.
std::string CodeName(const absl::Status& status) { return absl::StatusCodeToString(status.code()); }

}  // namespace

Rpc::Rpc(const Parts& parts, std::string_view method, const grpc::CallbackServerContext& context)
    : parts_(parts),
      method_(method),
      start_(parts.clock.BootTime()),
      caller_(CallerOf(parts, context)),
      caller_trace_(telemetry::ParseTraceparent(Metadata(context, "traceparent"),
                                                Metadata(context, "tracestate"))),
      span_(parts.tracer.StartSpan(method,
                                   {.kind = telemetry::SpanKind::kServer,
                                    .parent = caller_trace_,
                                    .attributes = {{telemetry::kAttributeRpcSystem, "grpc"},
                                                   {telemetry::kAttributeRpcMethod, method}}})) {}

void Rpc::Finish(const absl::Status& status) {
  if (finished_) return;
  finished_ = true;
  const std::string code = CodeName(status);
  parts_.metrics.rpc_duration.With({method_, code}).Observe(parts_.clock.BootTime() - start_);
  span_.SetAttribute(telemetry::kAttributeRpcStatus, code);
  // What a caller did wrong, or left, is no failure of the server.
  if (absl::IsInternal(status) || absl::IsUnavailable(status)) span_.SetError(status);
  span_.End();
}

}  // namespace capstan::server
