// What every execution that is taken up has in common.
#pragma once

#include "capstan/v1/event.pb.h"
#include "core/clock.h"
#include "core/ids.h"
#include "core/telemetry/tracing.h"
#include "core/telemetry/worker_metrics.h"
#include "storage/types.h"

namespace capstan::worker {

// The span of a claim, which ends when the worker lets go, in the trace of whoever submitted; and
// beside it the span and the metric of the wait for it.
telemetry::Span StartClaim(const telemetry::Tracer& tracer, Clock& clock,
                           telemetry::WorkerMetrics& metrics, const storage::HeldExecution& held,
                           const v1::Accepted& request, const WorkerId& worker);

// One more execution that became BLOCKED, in the metrics.
void CountBlocked(telemetry::WorkerMetrics& metrics, v1::Execution::BlockReason reason);

}  // namespace capstan::worker
