// From a request to a stored execution.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "capstan/v1/execution_service.pb.h"
#include "core/telemetry/trace_context.h"
#include "server/rpc.h"
#include "server/validate.h"
#include "storage/types.h"

namespace capstan::server {

// What makes an execution another one's successor.
struct Links {
  std::string retry_of = {};
  std::string rollback_of = {};
  google::protobuf::Struct expected = {};  // captured facts that must still hold
  // Instead of RequestHash(), for requests of another kind.
  std::string request_hash = {};
};

struct Submission {
  const v1::ExecuteActionRequest& request;
  const CheckedAction& checked;
  std::string_view caller;
  telemetry::TraceContext caller_trace;  // as sent: gives the correlation id; invalid: none
  telemetry::TraceContext span;          // of the call: parent of what the workers do
  absl::Time queue_deadline;             // database time
  const Links& links;
};

// Event 1 holds the request as it was sent, with the values in force and the target.
storage::NewExecution MakeExecution(const Submission& submission);

// What the caller is told when the store refuses: ALREADY_EXISTS names the other execution.
absl::Status SubmitError(const absl::Status& status);

// One more submit of this result, in the metrics.
void CountSubmit(const telemetry::ServerMetrics& metrics,
                 const absl::StatusOr<storage::SubmitResult>& result);

using SubmitDone = std::function<void(absl::StatusOr<storage::SubmitResult>)>;

// Stores an execution. `done` is called on the flush thread after the commit, when local watchers
// have been told; `span` ends with it.
void Store(const Parts& parts, std::shared_ptr<telemetry::Span> span,
           storage::NewExecution execution, SubmitDone done);

// Checks and stores one request; `done` is called at once when it is refused, otherwise on the
// flush thread after the commit, when local watchers have been told.
void CheckAndSubmit(const Parts& parts, Rpc& rpc, const v1::ExecuteActionRequest& request,
                    const Links& links, SubmitDone done);

}  // namespace capstan::server
