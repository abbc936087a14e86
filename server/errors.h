// The errors that callers of the API see. Inside the server an error is an absl::Status whose
// payloads are the google.rpc details; here they are made, and turned into what gRPC sends.
//
// Every error carries one ErrorInfo (domain "capstan.dev", a reason in UPPER_SNAKE_CASE). What the
// store returns without one gets it on the way out.
#pragma once

#include <grpcpp/support/status.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "google/rpc/status.pb.h"

namespace capstan::server {

inline constexpr std::string_view kErrorDomain = "capstan.dev";
// When a caller may come back after UNAVAILABLE or RESOURCE_EXHAUSTED.
inline constexpr absl::Duration kRetryDelay = absl::Seconds(1);

using ErrorMetadata = std::map<std::string, std::string>;

// An error with its ErrorInfo; UNAVAILABLE and RESOURCE_EXHAUSTED also get a RetryInfo.
absl::Status Error(absl::StatusCode code, std::string_view reason, std::string_view message,
                   const ErrorMetadata& metadata = {});

// What is wrong with a request, field by field.
class Violations {
 public:
  // `field` is a path ("requests[3].labels"), `description` says "got X, want Y".
  void Add(std::string_view field, std::string_view description);
  bool empty() const { return fields_.empty(); }

  // OK when there are none, otherwise INVALID_ARGUMENT: the message holds each as "field:
  // description", the details a BadRequest with all of them (at most kMaxReported).
  absl::Status ToStatus(std::string_view reason = "INVALID_REQUEST") const;

  static constexpr size_t kMaxReported = 20;

 private:
  struct Field {
    std::string field;
    std::string description;
  };
  std::vector<Field> fields_;
  size_t unreported_ = 0;
};

// One violation as a Status.
absl::Status InvalidField(std::string_view field, std::string_view description,
                          std::string_view reason = "INVALID_REQUEST");

absl::Status ExecutionNotFound(std::string_view name);
// The server goes away; the same call succeeds on another one.
absl::Status Draining();
// The database has been away for too long; another server may reach it, or this one later.
absl::Status StoreAway();

// With all details; what has no ErrorInfo yet gets one by its code.
google::rpc::Status ToRpcStatus(const absl::Status& status);
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace capstan::server
