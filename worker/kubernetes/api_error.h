// What the API server said when it refused, and what is known when it said nothing. Every error of
// Client carries an ApiError as a payload; the absl code tells what to do, the payload tells why.
//
//   code                 from                                what to do
//   NOT_FOUND            404                                 the object is not there
//   ALREADY_EXISTS       409 AlreadyExists                   look at the object of that name
//   ABORTED              409 Conflict                        a precondition (uid, resourceVersion)
//   failed: read again OUT_OF_RANGE         410, ERROR event 410                list again
//   INVALID_ARGUMENT     400, 413, 415, 422                  our request is wrong, or a JSON Patch
//   test failed (422) UNAUTHENTICATED      401                                 credentials are bad
//   even after they were read again PERMISSION_DENIED    403                                 RBAC,
//   quota or admission refused: do not repeat RESOURCE_EXHAUSTED   429, or our own rate limit
//   nothing happened; come back after retry_after UNAVAILABLE          not sent, or a read that
//   failed     nothing happened; repeat later DEADLINE_EXCEEDED    time ran out before sending,
//   reads  nothing happened; repeat later CANCELLED            stop requested before sending
//   nothing happened UNKNOWN              a write was sent and not answered,  it may or may not
//   have happened, even later: read the
//                        or answered with 5xx                object again before deciding anything
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace capstan::kubernetes {

struct ApiError {
  struct Cause {
    std::string reason;
    std::string field;
    std::string message;
  };

  int http_code = 0;  // 0: no answer came
  std::string
      reason;  // Status.reason, e.g. "AlreadyExists", "NotFound"; empty when the body was no Status
  std::string message;
  std::vector<Cause> causes;                  // at most kMaxCauses
  std::optional<absl::Duration> retry_after;  // Retry-After header or details.retryAfterSeconds
  bool outcome_unknown = false;               // a write that may have been applied
};

inline constexpr size_t kMaxCauses = 16;
inline constexpr size_t kMaxErrorMessageBytes = 4096;

// The payload of an error made by Client; nullopt for any other status.
std::optional<ApiError> ApiErrorOf(const absl::Status& status);

// An error status of `code` that carries `error`; the message begins with `what` ("create
// jobs/default/x").
absl::Status MakeApiStatus(absl::StatusCode code, std::string_view what, const ApiError& error);

// Turns an answer other than 2xx into its status as the table above says. `body` is a Status object
// or anything; `retry_after_header` is the header's value (seconds) or empty; `is_write` makes 5xx
// UNKNOWN instead of UNAVAILABLE.
absl::Status StatusFromResponse(std::string_view what, int http_code, std::string_view body,
                                std::string_view retry_after_header, bool is_write);

}  // namespace capstan::kubernetes
