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
#include "worker/policy/policy_engine.h"

namespace capstan::worker {

struct ActionOptions {
  std::string actions_namespace = "capstan-actions";
  std::string installation = "capstan";
  catalog::RunnerImages images;
  // A launched Job without a running container after this long is given up.
  absl::Duration start_deadline = absl::Seconds(120);
};

// What a validation found, with what has to be stored beside the machine's own answer.
struct Validation {
  machine::Validated input;
  std::string decision_input_json;
  std::string decision_result_json;
};

// Thread-safe; every call blocks for at most a few of the client's timeouts. Owned by main.cc.
// `trace` is the span of the claim, the parent of theirs.
class ActionEffects {
 public:
  ActionEffects(const catalog::Catalog& catalog, policy::PolicyEngine& policy,
                kubernetes::Client& client, Clock& clock, const telemetry::Tracer& tracer,
                telemetry::WorkerMetrics& metrics, ActionOptions options);

  // Parameters by this worker's catalog, facts from the cluster, policy, and the Job as it would be
  // created. `now` (database time) goes into the policy input.
  Validation Validate(const ExecutionId& id, const machine::Action& action, absl::Time now,
                      const telemetry::TraceContext& trace);

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
  absl::StatusOr<Look> Observe(const machine::Action& action, bool start_overdue);

  machine::ReadBack ReadBack(const machine::Action& action);

  // Removed, or JobEnded when it turns out to have finished.
  machine::Input RemoveJob(const ExecutionId& id, const machine::Action& action);

  // Deletes a finished execution's Job by uid. Failing is logged, counted and left to the janitor.
  void CleanUp(const machine::Action& action);

 private:
  struct Facts {
    google::protobuf::Struct as_struct;  // {"deployment": {…}}, for capture
    nlohmann::json target;               // of the target object
  };
  absl::StatusOr<Facts> ReadFacts(const catalog::ActionDefinition& definition,
                                  const v1::Target& target);
  machine::Input RemoveUnarmed(const kubernetes::JobObservation& job,
                               const machine::Action& action);
  machine::Input RemoveArmed(const kubernetes::JobRef& ref);

  const catalog::Catalog& catalog_;
  policy::PolicyEngine& policy_;
  kubernetes::Client& client_;
  kubernetes::JobLauncher launcher_;
  const telemetry::Tracer& tracer_;
  telemetry::WorkerMetrics& metrics_;
  Clock& clock_;
  const ActionOptions options_;
};

// The Job of an action, by what is recorded of it.
kubernetes::JobRef JobRefOf(const machine::Action& action);

}  // namespace capstan::worker
