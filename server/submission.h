// From a checked request to what the store keeps.
#pragma once

#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "capstan/v1/execution_service.pb.h"
#include "core/telemetry/trace_context.h"
#include "server/validate.h"
#include "storage/submitter.h"

namespace capstan::server {

struct Submission {
  const v1::ExecuteActionRequest& request;
  const CheckedAction& checked;
  std::string_view caller;
  telemetry::TraceContext caller_trace;  // as sent: gives the correlation id; invalid: none
  telemetry::TraceContext span;          // of the call: parent of what the workers do
  absl::Time queue_deadline;             // database time
};

// Event 1 holds the request as it was sent, with the values in force and the target.
storage::NewExecution MakeExecution(const Submission& submission);

// What the caller is told when the store refuses: ALREADY_EXISTS names the other execution.
absl::Status SubmitError(const absl::Status& status);

}  // namespace capstan::server
