#include "worker/kubernetes/api_error.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "core/text.h"
#include "nlohmann/json.hpp"
#include "worker/kubernetes/json_fields.h"

namespace capstan::kubernetes {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kPayloadUrl = "capstan.dev/kubernetes.ApiError";
constexpr size_t kMaxRawBodyBytes = 256;

std::string Clipped(std::string text, size_t limit) {
  if (text.size() > limit) text.resize(limit);
  return text;
}

absl::StatusCode CodeFor(int http_code, std::string_view reason, bool is_write) {
  switch (http_code) {
    case 400:
    case 413:
    case 415:
    case 422:
      return absl::StatusCode::kInvalidArgument;
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 409:
      return reason == "AlreadyExists" ? absl::StatusCode::kAlreadyExists
                                       : absl::StatusCode::kAborted;
    case 410:
      return absl::StatusCode::kOutOfRange;
    case 429:
      return absl::StatusCode::kResourceExhausted;
    default:
      break;
  }
  if (http_code >= 400 && http_code < 500) return absl::StatusCode::kFailedPrecondition;
  return is_write ? absl::StatusCode::kUnknown : absl::StatusCode::kUnavailable;
}

}  // namespace

std::optional<ApiError> ApiErrorOf(const absl::Status& status) {
  const auto payload = status.GetPayload(std::string(kPayloadUrl));
  if (!payload.has_value()) return std::nullopt;

  const Json json = Json::parse(std::string(*payload), nullptr, false);
  ApiError error;
  error.http_code = static_cast<int>(IntField(json, {"code"}));
  error.reason = StringField(json, {"reason"});
  error.message = StringField(json, {"message"});
  error.outcome_unknown = BoolField(json, {"outcome_unknown"});
  if (FindField(json, {"retry_after_ms"}) != nullptr) {
    error.retry_after = absl::Milliseconds(IntField(json, {"retry_after_ms"}));
  }
  for (const Json& cause : ArrayField(json, {"causes"})) {
    error.causes.push_back({StringField(cause, {"reason"}), StringField(cause, {"field"}),
                            StringField(cause, {"message"})});
  }
  return error;
}

absl::Status MakeApiStatus(absl::StatusCode code, std::string_view what, const ApiError& error) {
  Json json = {{"code", error.http_code},
               {"reason", error.reason},
               {"message", error.message},
               {"outcome_unknown", error.outcome_unknown},
               {"causes", Json::array()}};
  if (error.retry_after.has_value()) {
    json["retry_after_ms"] = absl::ToInt64Milliseconds(*error.retry_after);
  }
  for (const ApiError::Cause& cause : error.causes) {
    json["causes"].push_back(
        {{"reason", cause.reason}, {"field", cause.field}, {"message", cause.message}});
  }

  std::string message = Cat(what, ": ");
  if (error.http_code != 0) Append(&message, "HTTP ", error.http_code, " ");
  if (!error.reason.empty()) Append(&message, error.reason, ": ");
  Append(&message, error.message);
  absl::Status status(code, message);
  // Bytes that are no UTF-8 may come from anywhere; a payload must not throw over them.
  status.SetPayload(std::string(kPayloadUrl),
                    absl::Cord(json.dump(-1, ' ', false, Json::error_handler_t::replace)));
  return status;
}

absl::Status StatusFromResponse(std::string_view what, int http_code, std::string_view body,
                                std::string_view retry_after_header, bool is_write) {
  const Json json = Json::parse(body, nullptr, false);
  ApiError error;
  error.http_code = http_code;
  if (StringField(json, {"kind"}) == "Status") {
    error.reason = StringField(json, {"reason"});
    error.message = Clipped(StringField(json, {"message"}), kMaxErrorMessageBytes);
    for (const Json& cause : ArrayField(json, {"details", "causes"})) {
      if (error.causes.size() == kMaxCauses) break;
      error.causes.push_back({StringField(cause, {"reason"}), StringField(cause, {"field"}),
                              Clipped(StringField(cause, {"message"}), kMaxErrorMessageBytes)});
    }
    if (int64_t seconds = IntField(json, {"details", "retryAfterSeconds"}); seconds > 0) {
      error.retry_after = absl::Seconds(seconds);
    }
  } else {
    error.message = Clipped(std::string(body), kMaxRawBodyBytes);
  }
  if (int64_t seconds; absl::SimpleAtoi(AbslView(retry_after_header), &seconds) && seconds >= 0) {
    error.retry_after = absl::Seconds(seconds);
  }

  const absl::StatusCode code = CodeFor(http_code, error.reason, is_write);
  error.outcome_unknown = code == absl::StatusCode::kUnknown;
  return MakeApiStatus(code, what, error);
}

}  // namespace capstan::kubernetes
