// A failed call as text for people, with everything the server says about it. Pure.
#pragma once

#include <grpcpp/support/status.h>

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "google/rpc/status.pb.h"

namespace capstan::cli {

// UNAVAILABLE for 14.
std::string CodeName(grpc::StatusCode code);

// The details that came with the error; only code and message when it has none.
google::rpc::Status DetailsOf(const grpc::Status& status);

// When the server says to come back; nullopt when it does not say.
std::optional<absl::Duration> RetryDelayOf(const grpc::Status& status);

// "Error: INVALID_ARGUMENT INVALID_REQUEST", what is wrong field by field, and what to do.
std::string ErrorText(const grpc::Status& status, const std::string& address);

// {"error": {google.rpc.Status}} in one line.
std::string ErrorJson(const grpc::Status& status);

}  // namespace capstan::cli
