#include "server/submission.h"

#include "capstan/v1/event.pb.h"
#include "core/target_name.h"
#include "core/telemetry/span_names.h"
#include "core/text.h"
#include "server/audit_text.h"
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
  accepted.set_on_conflict(request.on_conflict() == v1::Execution::ON_CONFLICT_UNSPECIFIED
                               ? v1::Execution::ON_CONFLICT_WAIT
                               : request.on_conflict());
  accepted.set_max_retries(checked.max_retries);
  *accepted.mutable_condition_overrides() = request.condition_overrides();
  accepted.set_retry_of(submission.links.retry_of);
  accepted.set_rollback_of(submission.links.rollback_of);
  if (submission.links.expected.fields_size() > 0) {
    *accepted.mutable_expected() = submission.links.expected;
  }

  storage::NewExecution execution;
  execution.caller = std::string(submission.caller);
  execution.request_id = checked.request_id;
  execution.request_hash =
      submission.links.request_hash.empty() ? RequestHash(request) : submission.links.request_hash;
  execution.priority = static_cast<std::int16_t>(checked.priority);
  execution.action = checked.action->name;
  execution.parent_name = request.parent().name();
  execution.parent_step = request.parent().step();
  execution.labels = {request.labels().begin(), request.labels().end()};
  execution.accepted = event.SerializeAsString();
  execution.audit = AuditText({{"kind", "submit"},
                               {"caller", execution.caller},
                               {"action", execution.action},
                               {"target", TargetKey(checked.target)},
                               {"event_sha256", Sha256Hex(execution.accepted)}});
  return execution;
}

void CountSubmit(const telemetry::ServerMetrics& metrics,
                 const absl::StatusOr<storage::SubmitResult>& result) {
  if (result.ok()) {
    (result->deduplicated ? metrics.submits_existing : metrics.submits_created).Increment();
  } else if (absl::IsResourceExhausted(result.status())) {
    metrics.submits_overloaded.Increment();
  } else if (absl::IsInvalidArgument(result.status()) || absl::IsAlreadyExists(result.status())) {
    metrics.submits_refused.Increment();
  } else {
    metrics.submits_failed.Increment();
  }
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

void Store(const Parts& parts, std::shared_ptr<telemetry::Span> span,
           storage::NewExecution execution, SubmitDone done) {
  parts.submitter.Submit(std::move(execution), [&parts, span, done = std::move(done)](
                                                   absl::StatusOr<storage::SubmitResult> result) {
    CountSubmit(parts.metrics, result);
    if (!result.ok()) {
      span->SetError(result.status());
      span->End();
      return done(SubmitError(result.status()));
    }
    span->SetAttribute(telemetry::kAttributeExecution, result->id.ToString());
    span->End();
    if (!result->deduplicated) parts.hub.Submitted(result->id);
    done(std::move(result));
  });
}

void CheckAndSubmit(const Parts& parts, Rpc& rpc, const v1::ExecuteActionRequest& request,
                    const Links& links, SubmitDone done) {
  const absl::StatusOr<CheckedAction> checked = CheckExecuteAction(request, parts.catalog);
  if (!checked.ok()) {
    CountSubmit(parts.metrics, checked.status());
    return done(checked.status());
  }
  auto span = std::make_shared<telemetry::Span>(parts.tracer.StartSpan(
      telemetry::kSpanSubmit, {.parent = rpc.span().context(),
                               .attributes = {{telemetry::kAttributeAction, request.action()}}}));
  storage::NewExecution execution =
      MakeExecution({.request = request,
                     .checked = *checked,
                     .caller = rpc.caller(),
                     .caller_trace = rpc.caller_trace(),
                     .span = rpc.span().context(),
                     .queue_deadline = parts.submitter.DatabaseNow() + parts.options.queue_deadline,
                     .links = links});
  Store(parts, std::move(span), std::move(execution), std::move(done));
}

}  // namespace capstan::server
