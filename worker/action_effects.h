// What the action machine asks for, done: each call does one effect against the catalog, the
// policies and the cluster and reports what came of it as the machine's next input. Nothing here
// decides, and nothing here writes to the store.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "core/catalog/catalog.h"
#include "core/catalog/runner_images.h"
#include "core/clock.h"
#include "core/ids.h"
#include "core/machine/action_machine.h"
#include "core/telemetry/tracing.h"
#include "core/telemetry/worker_metrics.h"
#include "worker/kubernetes/client.h"
#include "worker/kubernetes/job_launch.h"
#include "worker/validation.h"

namespace capstan::worker {

// Thread-safe; every call blocks for at most a few of the client's timeouts. Owned by main.cc.
// `trace` is the span of the claim, the parent of theirs.
class ActionEffects {
 public:
  ActionEffects(const catalog::Catalog& catalog, policy::PolicyEngine& policy,
                const policy::ConditionSet& conditions, kubernetes::Client& client, Clock& clock,
                const telemetry::Tracer& tracer, telemetry::WorkerMetrics& metrics,
                ActionOptions options);

  Validator& validator() { return validator_; }
  const ActionOptions& options() const { return options_; }

  // JobCreated or JobCreateFailed. `rendered_job` are the stored bytes.
  machine::Input CreateJob(const ExecutionId& id, const machine::Action& action,
                           const std::string& rendered_job, const telemetry::TraceContext& trace);

  machine::ArmResult ArmJob(const machine::Action& action, const telemetry::TraceContext& trace);

  // A consistent read of the Job and its pods, and what it means: JobEnded, JobGone, JobSuspended,
  // JobDidNotStart (only when `start_overdue`), or nothing while it runs. An error means that the
  // cluster could not be read.
  struct Look {
    std::optional<machine::Input> input;
    kubernetes::JobObservation job;
  };
  // `seen_pods` were seen before; they explain the end of a Job whose pod is gone.
  absl::StatusOr<Look> Observe(const machine::Action& action, bool start_overdue,
                               const std::vector<nlohmann::json>& seen_pods);

  // Removed, or JobEnded when it turns out to have finished.
  machine::Input RemoveJob(const ExecutionId& id, const machine::Action& action);

  // Deletes a finished execution's Job by uid. Failing is logged, counted and left to the janitor.
  void CleanUp(const machine::Action& action);

 private:
  machine::Input RemoveUnarmed(const kubernetes::JobObservation& job,
                               const machine::Action& action);
  machine::Input RemoveArmed(const kubernetes::JobRef& ref);

  const ActionOptions options_;
  Validator validator_;
  kubernetes::JobLauncher launcher_;
  const telemetry::Tracer& tracer_;
  telemetry::WorkerMetrics& metrics_;
  Clock& clock_;
};

// The Job of an action, by what is recorded of it.
kubernetes::JobRef JobRefOf(const machine::Action& action);

}  // namespace capstan::worker
