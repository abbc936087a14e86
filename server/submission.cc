#include "server/submission.h"

#include "capstan/v1/event.pb.h"
#include "core/text.h"
#include "server/errors.h"
#include "server/proto_time.h"
#include "storage/errors.h"

namespace capstan::server {

storage::NewExecution MakeExecution(const Submission& submission) {
  const v1::ExecuteActionRequest& request = submission.request;
  const CheckedAction& checked = submission.checked;

  v1::ExecutionEvent event;
  event.set_causation_id("request");
  // Without a trace the correlation id is the execution's own, which is put in when it is read.
  if (submission.caller_trace.IsValid()) {
    event.set_correlation_id(submission.caller_trace.TraceIdHex());
  }
  v1::Accepted& accepted = *event.mutable_accepted();
  accepted.set_action(checked.action->name);
  *accepted.mutable_parameters() = request.parameters();
  accepted.set_dry_run(request.dry_run());
  *accepted.mutable_timeout() = ToProto(checked.timeout);
  accepted.set_priority(checked.priority);
  *accepted.mutable_labels() = request.labels();
  if (request.has_parent()) *accepted.mutable_parent() = request.parent();
  *accepted.mutable_target() = checked.target;
  accepted.set_caller(std::string(submission.caller));
  accepted.set_request_id(checked.request_id);
  accepted.set_traceparent(telemetry::FormatTraceparent(submission.span));
  accepted.set_tracestate(submission.span.tracestate);
  *accepted.mutable_queue_deadline() = ToProto(submission.queue_deadline);

  storage::NewExecution execution;
  execution.caller = std::string(submission.caller);
  execution.request_id = checked.request_id;
  execution.request_hash = RequestHash(request);
  execution.priority = static_cast<std::int16_t>(checked.priority);
  execution.action = checked.action->name;
  execution.parent_name = request.parent().name();
  execution.parent_step = request.parent().step();
  execution.labels = {request.labels().begin(), request.labels().end()};
  execution.accepted = event.SerializeAsString();
  return execution;
}

absl::Status SubmitError(const absl::Status& status) {
  if (absl::IsAlreadyExists(status)) {
    ErrorMetadata metadata;
    std::string message = "request_id: was used with another request";
    if (const auto existing = storage::ExistingExecution(status)) {
      metadata["execution"] = ExecutionName(*existing);
      Append(&message, ", by ", ExecutionName(*existing));
    }
    return Error(absl::StatusCode::kAlreadyExists, "REQUEST_ID_REUSED", message, metadata);
  }
  if (absl::IsResourceExhausted(status)) {
    return Error(absl::StatusCode::kResourceExhausted, "SUBMIT_QUEUE_FULL",
                 std::string(status.message()));
  }
  return status;
}

}  // namespace capstan::server
