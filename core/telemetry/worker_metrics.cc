#include "core/telemetry/worker_metrics.h"

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "capstan/v1/execution.pb.h"

namespace capstan::telemetry {
namespace {

std::vector<std::string> Outcomes() {
  std::vector<std::string> outcomes = {std::string(kOutcomeSucceeded),
                                       std::string(kOutcomeCancelled)};
  const auto* reasons = v1::Execution::FailureReason_descriptor();
  for (int i = 1; i < reasons->value_count(); ++i) {
    outcomes.push_back(
        OutcomeOf(static_cast<v1::Execution::FailureReason>(reasons->value(i)->number())));
  }
  return outcomes;
}

// A verb of the Kubernetes API with its HTTP status for "done", and the statuses it may answer with
// instead. What else a server or proxy may say begins with its first answer.
struct Verb {
  std::string_view name;
  std::string_view done;
};
constexpr Verb kVerbs[] = {{"get", "200"},   {"list", "200"},   {"watch", "200"}, {"create", "201"},
                           {"patch", "200"}, {"delete", "200"}, {"log", "200"}};
constexpr std::string_view kRefusals[] = {"400", "401", "403", "404", "409", "410",
                                          "422", "429", "500", "503", "none"};

}  // namespace

std::string OutcomeOf(v1::Execution::FailureReason reason) {
  const std::string name = v1::Execution::FailureReason_Name(reason);
  return absl::AsciiStrToLower(absl::StripPrefix(name, "FAILURE_REASON_"));
}

WorkerMetrics::WorkerMetrics(MetricsRegistry& registry, absl::Span<const std::string> actions)
    : executions(registry.AddCounterFamily(
          "capstan_executions_total",
          "Executions that reached their end, by action and outcome (a failure by its reason).",
          {"action", "outcome"})),
      execution_duration(registry.AddHistogramFamily("capstan_execution_duration_seconds",
                                                     "Time from submission to the end.", {"action"},
                                                     LongSeconds())),
      queue_wait(registry.AddHistogram("capstan_queue_wait_seconds",
                                       "Time an execution was due before a worker claimed it.",
                                       ShortSeconds())),
      leases_held(registry.AddGauge("capstan_worker_leases_held", "Leases this worker holds.")),
      executions_held(registry.AddGauge("capstan_worker_executions_held",
                                        "Executions this worker holds by its leases.")),
      leases_lost(registry.AddCounter(
          "capstan_worker_leases_lost_total",
          "Leases this worker found taken from it, or gave up because its heartbeat failed.")),
      writes_fenced(registry.AddCounter(
          "capstan_worker_writes_fenced_total",
          "Commits refused because the execution no longer belonged to this worker.")),
      policy_evaluations(registry.AddCounterFamily("capstan_policy_evaluations_total",
                                                   "Policy evaluations; errors deny too.",
                                                   {"decision"})),
      policy_allowed(policy_evaluations.With({"allow"})),
      policy_denied(policy_evaluations.With({"deny"})),
      policy_errors(policy_evaluations.With({"error"})),
      policy_duration(registry.AddHistogram("capstan_policy_evaluation_duration_seconds",
                                            "Time of one policy evaluation.", ShortSeconds())),
      policy_reload_failures(registry.AddCounter(
          "capstan_policy_reload_failures_total",
          "Changed policy bundles that were refused; the last good ones stay in use.")),
      policy_info(registry.AddInfo("capstan_policy_info",
                                   "Always 1; the digest of the policy bundles in use.", "digest")),
      conditions(registry.AddCounterFamily("capstan_condition_evaluations_total",
                                           "Answers of pre- and postconditions.",
                                           {"condition", "result"})),
      conditions_embedded(registry.AddGauge(
          "capstan_conditions_embedded",
          "1 while the conditions of this build stand in for the catalog's, which could not be "
          "loaded.")),
      executions_blocked(registry.AddCounterFamily("capstan_executions_blocked_total",
                                                   "Executions that became BLOCKED, by reason.",
                                                   {"reason"})),
      tasks(registry.AddCounterFamily(
          "capstan_tasks_total",
          "Tasks that reached their end, by workflow and outcome (a failure by its reason).",
          {"workflow", "outcome"})),
      iterations(registry.AddCounterFamily("capstan_task_iterations_total",
                                           "Iterations of steps that ended, by kind and status.",
                                           {"step_kind", "status"})),
      model_tokens(registry.AddCounterFamily("capstan_model_tokens_total",
                                             "Tokens that were billed, by model and kind.",
                                             {"model", "kind"})),
      model_cost(registry.AddCounterFamily("capstan_model_cost_usd_total",
                                           "What was billed, in US dollars, by model.", {"model"})),
      budget_warnings(registry.AddCounter(
          "capstan_project_budget_warnings_total",
          "Times that most of a project's budget was found spent, or a task went beyond it.")),
      kubernetes_requests(registry.AddCounterFamily(
          "capstan_kubernetes_requests_total",
          "Requests to the Kubernetes API by verb and HTTP status (none: no answer).",
          {"verb", "code"})),
      job_create_duration(registry.AddHistogram("capstan_job_create_duration_seconds",
                                                "Time to create a suspended Job.", ShortSeconds())),
      job_arm_duration(registry.AddHistogram("capstan_job_arm_duration_seconds",
                                             "Time of the patch that starts a Job.",
                                             ShortSeconds())),
      job_completion_duration(registry.AddHistogram("capstan_job_completion_duration_seconds",
                                                    "Time from starting a Job to its end.",
                                                    LongSeconds())),
      jobs_in_flight(registry.AddGauge("capstan_jobs_in_flight",
                                       "Jobs that this worker follows and that have not ended.")),
      log_copy_failures(registry.AddCounter("capstan_log_copy_failures_total",
                                            "Jobs whose log could not be copied in full.")),
      cleanup_failures(registry.AddCounter("capstan_job_cleanup_failures_total",
                                           "Ended Jobs that could not be deleted.")) {
  const std::vector<std::string> outcomes = Outcomes();
  for (const std::string& action : actions) {
    execution_duration.With({action});
    for (const std::string& outcome : outcomes) executions.With({action, outcome});
  }
  for (const Verb& verb : kVerbs) {
    kubernetes_requests.With({verb.name, verb.done});
    for (std::string_view code : kRefusals) kubernetes_requests.With({verb.name, code});
  }
  const auto* blocks = v1::Execution::BlockReason_descriptor();
  for (int i = 1; i < blocks->value_count(); ++i) {
    executions_blocked.With(
        {absl::AsciiStrToLower(absl::StripPrefix(blocks->value(i)->name(), "BLOCK_REASON_"))});
  }
}

}  // namespace capstan::telemetry
