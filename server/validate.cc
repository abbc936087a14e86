#include "server/validate.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "server/errors.h"
#include "server/proto_time.h"
#include "server/validate_fields.h"

namespace capstan::server {
namespace {

std::string StableBytes(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);  // maps in order of their keys
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

// What does not need the catalog.
void CheckEnvelope(const v1::ExecuteActionRequest& request, Violations& violations) {
  CheckSubmitFields(request, violations);
  if (!v1::Execution::OnConflict_IsValid(request.on_conflict())) {
    violations.Add("on_conflict", Cat("got ", static_cast<int>(request.on_conflict()),
                                      ", want ON_CONFLICT_WAIT, ON_CONFLICT_REJECT or "
                                      "ON_CONFLICT_COALESCE"));
  }
  if (request.has_max_retries() &&
      (request.max_retries() < 0 || request.max_retries() > kMaxRetries)) {
    violations.Add("max_retries", Cat("got ", request.max_retries(), ", want 0 to ", kMaxRetries));
  }
}

void CheckOverrides(const v1::ExecuteActionRequest& request,
                    const catalog::ActionDefinition& action, Violations& violations) {
  std::string known;
  std::set<std::string> names;
  for (const auto* uses : {&action.preconditions, &action.postconditions}) {
    for (const catalog::ConditionUse& use : *uses) {
      if (names.insert(use.name).second) Append(&known, known.empty() ? "" : ", ", use.name);
    }
  }
  for (const auto& [name, required] : request.condition_overrides()) {
    if (names.contains(name)) continue;
    violations.Add(
        "condition_overrides",
        Cat("got ", Quote(name), ", want ",
            known.empty() ? "nothing: the action has no conditions" : "one of: ", known));
  }
}

absl::Status UnknownAction(const v1::ExecuteActionRequest& request,
                           const catalog::Catalog& catalog) {
  return InvalidField("action",
                      Cat("got ", Quote(request.action()), ", want one of: ", catalog.KnownNames()),
                      "UNKNOWN_ACTION");
}

}  // namespace

absl::StatusOr<CheckedAction> CheckExecuteAction(const v1::ExecuteActionRequest& request,
                                                 const catalog::Catalog& catalog) {
  CheckedAction checked;
  checked.action = catalog.Find(request.action());
  if (checked.action == nullptr) return UnknownAction(request, catalog);

  Violations violations;
  CheckEnvelope(request, violations);
  CheckOverrides(request, *checked.action, violations);
  absl::Duration requested = absl::ZeroDuration();
  if (request.has_timeout() && !IsValid(request.timeout())) {
    violations.Add("timeout",
                   "got a Duration out of range, want seconds and nanos as in "
                   "google.protobuf.Duration");
  } else if (request.has_timeout()) {
    requested = FromProto(request.timeout());
  }
  catalog::RequestCheck found =
      catalog::CheckRequest(*checked.action, request.parameters(), requested);
  for (const catalog::FieldViolation& violation : found.violations)
    violations.Add(violation.field, violation.description);
  CAPSTAN_RETURN_IF_ERROR(violations.ToStatus());

  if (request.priority() != 0) checked.priority = request.priority();
  if (request.has_max_retries()) checked.max_retries = request.max_retries();
  checked.request_id = absl::AsciiStrToLower(request.request_id());
  checked.timeout = found.timeout;
  checked.target = std::move(found.target);
  return checked;
}

std::string RequestHash(const v1::ExecuteActionRequest& request) {
  v1::ExecuteActionRequest body = request;
  body.clear_request_id();
  body.clear_wait_until();
  return Sha256(StableBytes(body));
}

std::string MessageHash(const google::protobuf::Message& body) {
  return Sha256(Cat(body.GetTypeName(), "\n", StableBytes(body)));
}

absl::Status CheckBatch(const v1::BatchExecuteActionsRequest& request) {
  if (request.requests_size() >= 1 && request.requests_size() <= kMaxBatchRequests) {
    return absl::OkStatus();
  }
  return InvalidField(
      "requests", Cat("got ", request.requests_size(), " items, want 1 to ", kMaxBatchRequests));
}

absl::StatusOr<ExecutionId> CheckExecutionName(std::string_view name) {
  const std::optional<ExecutionId> id = ParseExecutionName(name);
  if (id) return *id;
  return InvalidField("name", Cat("got ", Quote(name), ", want executions/{uuid}"));
}

absl::StatusOr<std::int32_t> CheckAfterSeq(std::int64_t after_seq) {
  if (after_seq < 0) {
    return InvalidField("after_seq", Cat("got ", after_seq, ", want 0 or more"));
  }
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  return static_cast<std::int32_t>(std::min(after_seq, kMost));
}

absl::StatusOr<int> CheckPageSize(std::int32_t page_size, int default_size) {
  if (page_size < 0) {
    return InvalidField("page_size", Cat("got ", page_size, ", want 0 or more"));
  }
  return page_size == 0 ? default_size : std::min<int>(page_size, kMaxPageSize);
}

absl::StatusOr<std::string> CheckRequestId(const std::string& request_id) {
  if (request_id.empty() || ExecutionId::Parse(request_id)) {
    return absl::AsciiStrToLower(request_id);
  }
  return InvalidField("request_id", Cat("got ", Quote(request_id), ", want a UUID or nothing"));
}

absl::Status CheckReason(const std::string& reason) {
  if (!reason.empty() && reason.size() <= kMaxReasonBytes) return absl::OkStatus();
  return InvalidField("reason",
                      Cat("got ", reason.empty() ? "nothing" : Cat(reason.size(), " bytes"),
                          ", want 1 to ", kMaxReasonBytes, " bytes"));
}

absl::Status CheckCancel(const v1::CancelExecutionRequest& request) {
  if (request.reason().size() <= kMaxReasonBytes) return absl::OkStatus();
  return InvalidField(
      "reason", Cat("got ", request.reason().size(), " bytes, want at most ", kMaxReasonBytes));
}

absl::Status CheckCancelAll(const v1::CancelExecutionsRequest& request) {
  Violations violations;
  if (request.parent().empty() || request.parent().size() > kMaxParentNameBytes) {
    violations.Add("parent", Cat("got ", Quote(request.parent()), ", want 1 to ",
                                 kMaxParentNameBytes, " bytes"));
  }
  if (request.reason().size() > kMaxReasonBytes) {
    violations.Add("reason",
                   Cat("got ", request.reason().size(), " bytes, want at most ", kMaxReasonBytes));
  }
  return violations.ToStatus();
}

absl::Status CheckReadLog(const v1::ReadLogRequest& request) {
  if (request.offset() >= 0) return absl::OkStatus();
  return InvalidField("offset", Cat("got ", request.offset(), ", want 0 or more"));
}

}  // namespace capstan::server
