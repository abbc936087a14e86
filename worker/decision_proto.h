// Decisions of policy, asked for and as the API shows them.
#pragma once

#include "capstan/v1/execution.pb.h"
#include "core/telemetry/tracing.h"
#include "core/telemetry/worker_metrics.h"
#include "worker/policy/policy_engine.h"

namespace capstan::worker {

v1::PolicyDecision ToProto(const policy::Decision& decision);

// One evaluation, with its span (a child of `trace`) and its metrics.
policy::Decision EvaluatePolicy(policy::PolicyEngine& engine, const policy::PolicyInput& input,
                                const telemetry::Tracer& tracer, telemetry::WorkerMetrics& metrics,
                                const telemetry::TraceContext& trace);

}  // namespace capstan::worker
