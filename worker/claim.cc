#include "worker/claim.h"

#include "absl/strings/ascii.h"
#include "core/machine/states.h"
#include "core/telemetry/span_names.h"

namespace capstan::worker {

telemetry::Span StartClaim(const telemetry::Tracer& tracer, Clock& clock,
                           telemetry::WorkerMetrics& metrics, const storage::HeldExecution& held,
                           const v1::Accepted& request, const WorkerId& worker) {
  const telemetry::TraceContext parent =
      telemetry::ParseTraceparent(request.traceparent(), request.tracestate());
  const absl::Time now = clock.Now();
  tracer.StartSpan(telemetry::kSpanQueueWait, {.parent = parent, .start = now - held.queue_wait})
      .End(now);
  metrics.queue_wait.Observe(held.queue_wait);
  const telemetry::SpanAttribute what =
      request.has_task()
          ? telemetry::SpanAttribute{telemetry::kAttributeWorkflow, request.task().workflow()}
          : telemetry::SpanAttribute{telemetry::kAttributeAction, request.action()};
  return tracer.StartSpan(telemetry::kSpanClaim,
                          {.kind = telemetry::SpanKind::kConsumer,
                           .parent = parent,
                           .attributes = {{telemetry::kAttributeExecution, ExecutionName(held.id)},
                                          what,
                                          {telemetry::kAttributeWorker, worker.ToString()}}});
}

void CountBlocked(telemetry::WorkerMetrics& metrics, v1::Execution::BlockReason reason) {
  metrics.executions_blocked
      .With({absl::AsciiStrToLower(std::string(machine::BlockReasonName(reason)))})
      .Increment();
}

}  // namespace capstan::worker
