// What a worker counts. Made once by the worker's main.cc and borrowed by its parts.
#pragma once

#include <string>

#include "absl/types/span.h"
#include "capstan/v1/execution.pb.h"
#include "core/telemetry/metrics.h"

namespace capstan::telemetry {

// Values of the label outcome.
inline constexpr std::string_view kOutcomeSucceeded = "succeeded";
inline constexpr std::string_view kOutcomeCancelled = "cancelled";
// "policy_denied" for FAILURE_REASON_POLICY_DENIED.
std::string OutcomeOf(v1::Execution::FailureReason reason);

struct WorkerMetrics {
  // `actions`: names of the actions in the catalog; their series are made at 0.
  WorkerMetrics(MetricsRegistry& registry, absl::Span<const std::string> actions);

  // Labels action, and outcome (above).
  CounterFamily executions;
  // Label action. From submission to the terminal event.
  HistogramFamily execution_duration;
  // From submission (or wake) to the claim.
  Histogram queue_wait;

  Gauge leases_held;      // leases this worker holds
  Gauge executions_held;  // executions of those leases
  Counter leases_lost;    // leases a heartbeat no longer listed, or all of them when this worker
                          // fenced itself
  Counter writes_fenced;  // commits refused because the execution is no longer this worker's

  // Label decision: allow, deny, error. Errors deny too.
  CounterFamily policy_evaluations;
  Counter policy_allowed;
  Counter policy_denied;
  Counter policy_errors;
  Histogram policy_duration;
  Counter policy_reload_failures;  // changed bundles that did not compile or failed their tests
  InfoMetric policy_info;          // label digest: the bundles in use

  // Labels condition and result (passed, failed, error).
  CounterFamily conditions;
  Gauge conditions_embedded;  // 1 while those of this build stand in for the catalog's
  // Label reason. Executions that became BLOCKED.
  CounterFamily executions_blocked;

  // Labels workflow and outcome. Tasks that reached their end.
  CounterFamily tasks;
  // Labels step_kind (llm, command, check, gate) and status (complete, continue, …).
  CounterFamily iterations;
  // Labels model and kind (input, output, cache_creation, cache_read). As billed.
  CounterFamily model_tokens;
  // Label model. As billed, in US dollars.
  CounterFamily model_cost;

  // Most of a project's budget was spent, or a task went beyond it, as tasks noticed.
  Counter budget_warnings;

  // Labels verb (get, list, watch, create, patch, delete, log) and code (the HTTP status, or "none"
  // without an answer). The verbs with the statuses that Kubernetes answers are made at 0.
  CounterFamily kubernetes_requests;

  Histogram job_create_duration;      // creating the suspended Job
  Histogram job_arm_duration;         // the patch that starts it
  Histogram job_completion_duration;  // from armed to finished
  Gauge jobs_in_flight;
  Counter log_copy_failures;  // Jobs whose log could not be copied in full
  Counter cleanup_failures;   // finished Jobs that could not be deleted
};

}  // namespace capstan::telemetry
