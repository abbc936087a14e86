#include "server/errors.h"

#include "absl/strings/match.h"
#include "core/text.h"
#include "google/rpc/error_details.pb.h"

namespace capstan::server {
namespace {

constexpr std::string_view kTypePrefix = "type.googleapis.com/";

template <class Detail>
std::string TypeUrl() {
  return Cat(std::string(kTypePrefix), Detail::descriptor()->full_name());
}

template <class Detail>
void Attach(absl::Status& status, const Detail& detail) {
  status.SetPayload(TypeUrl<Detail>(), absl::Cord(detail.SerializeAsString()));
}

constexpr std::string_view kDatabaseUnavailable = "DATABASE_UNAVAILABLE";

struct Default {
  absl::StatusCode code;
  std::string_view reason;
};

// Reasons of errors that come from below without one.
constexpr Default kDefaults[] = {
    {absl::StatusCode::kUnavailable, kDatabaseUnavailable},
    {absl::StatusCode::kResourceExhausted, "OVERLOADED"},
    {absl::StatusCode::kNotFound, "NOT_FOUND"},
    {absl::StatusCode::kOutOfRange, "POSITION_OUT_OF_RANGE"},
    {absl::StatusCode::kAlreadyExists, "REQUEST_ID_REUSED"},
    {absl::StatusCode::kInvalidArgument, "INVALID_REQUEST"},
    {absl::StatusCode::kFailedPrecondition, "STATE_FORBIDS"},
    {absl::StatusCode::kCancelled, "CANCELLED"},
    {absl::StatusCode::kDeadlineExceeded, "DEADLINE_EXCEEDED"},
};

std::string_view DefaultReason(absl::StatusCode code) {
  for (const Default& entry : kDefaults) {
    if (entry.code == code) return entry.reason;
  }
  return "INTERNAL";
}

bool MayRetry(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kResourceExhausted;
}

}  // namespace

absl::Status Error(absl::StatusCode code, std::string_view reason, std::string_view message,
                   const ErrorMetadata& metadata) {
  absl::Status status(code, AbslView(message));
  google::rpc::ErrorInfo info;
  info.set_domain(std::string(kErrorDomain));
  info.set_reason(std::string(reason));
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[key] = value;
  Attach(status, info);
  if (MayRetry(code)) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(absl::ToInt64Seconds(kRetryDelay));
    Attach(status, retry);
  }
  return status;
}

void Violations::Add(std::string_view field, std::string_view description) {
  if (fields_.size() == kMaxReported) {
    ++unreported_;
    return;
  }
  fields_.push_back({std::string(field), std::string(description)});
}

absl::Status Violations::ToStatus(std::string_view reason) const {
  if (fields_.empty()) return absl::OkStatus();
  std::string message;
  google::rpc::BadRequest bad_request;
  for (const Field& field : fields_) {
    Append(&message, message.empty() ? "" : "; ", field.field, ": ", field.description);
    auto* violation = bad_request.add_field_violations();
    violation->set_field(field.field);
    violation->set_description(field.description);
  }
  if (unreported_ > 0) Append(&message, "; and ", unreported_, " more");
  absl::Status status = Error(absl::StatusCode::kInvalidArgument, reason, message,
                              {{"field", fields_.front().field}});
  Attach(status, bad_request);
  return status;
}

absl::Status InvalidField(std::string_view field, std::string_view description,
                          std::string_view reason) {
  Violations violations;
  violations.Add(field, description);
  return violations.ToStatus(reason);
}

absl::Status ExecutionNotFound(std::string_view name) {
  absl::Status status = Error(absl::StatusCode::kNotFound, "EXECUTION_NOT_FOUND",
                              Cat("name: got ", name, ", want the name of a stored execution"),
                              {{"execution", std::string(name)}});
  google::rpc::ResourceInfo resource;
  resource.set_resource_type("capstan.v1.Execution");
  resource.set_resource_name(std::string(name));
  Attach(status, resource);
  return status;
}

absl::Status Draining() {
  return Error(absl::StatusCode::kUnavailable, "DRAINING",
               "this server is shutting down: send the same call again");
}

absl::Status StoreAway() {
  return Error(
      absl::StatusCode::kUnavailable, kDatabaseUnavailable,
      "the database is away: send the same call again, a stream with its last seq or cursor");
}

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status out;
  if (status.ok()) return out;
  absl::Status complete = status;
  if (!status.GetPayload(TypeUrl<google::rpc::ErrorInfo>())) {
    complete = Error(status.code(), DefaultReason(status.code()), std::string(status.message()));
    status.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) {
      complete.SetPayload(type, payload);
    });
  }
  out.set_code(static_cast<int>(complete.code()));
  out.set_message(std::string(complete.message()));
  complete.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) {
    if (!absl::StartsWith(type, AbslView(kTypePrefix))) return;  // for use inside the server
    auto* detail = out.add_details();
    detail->set_type_url(std::string(type));
    detail->set_value(std::string(payload));
  });
  return out;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const google::rpc::Status details = ToRpcStatus(status);
  return grpc::Status(static_cast<grpc::StatusCode>(details.code()), details.message(),
                      details.SerializeAsString());
}

}  // namespace capstan::server
