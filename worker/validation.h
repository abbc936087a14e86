// Everything that is found out before anything is launched, and what is checked afterwards: the
// catalog's word on the parameters, facts from the cluster, policy, conditions, the Job as it would
// be created, and the plan of it all. Nothing here decides, and nothing here writes to the store.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/catalog/catalog.h"
#include "core/catalog/runner_images.h"
#include "core/ids.h"
#include "core/machine/action_machine.h"
#include "core/telemetry/tracing.h"
#include "core/telemetry/worker_metrics.h"
#include "worker/kubernetes/client.h"
#include "worker/kubernetes/facts_cache.h"
#include "worker/policy/condition_set.h"
#include "worker/policy/policy_engine.h"

namespace capstan::worker {

struct ActionOptions {
  std::string actions_namespace = "capstan-actions";
  std::string installation = "capstan";
  catalog::RunnerImages images;
  // A launched Job without a running container after this long is given up.
  absl::Duration start_deadline = absl::Seconds(120);
  // The Jobs of executions that failed are left to the janitor, so that people can look at them.
  bool keep_failed_jobs = false;
  // For policy: what kind of place this is, such as "production"; empty: not said.
  std::string environment;
  // For policy: launches in one namespace.
  int rate_limit = 60;
  absl::Duration rate_window = absl::Hours(1);
  // The server-side dry run of the Job.
  absl::Duration dry_run_timeout = absl::Seconds(30);
};

// The error is of the infrastructure, and not an answer about this request.
bool IsInfrastructure(const absl::Status& status);

// What a validation found, with what has to be stored beside the machine's own answer.
struct Validation {
  machine::Validated input;
  std::string decision_input_json;
  std::string decision_result_json;
};

// What the store knows of others, for policy.
struct Surroundings {
  std::int64_t launches = 0;  // in the target's namespace, within options.rate_window
  bool prior_dry_run = false;
  std::int64_t changing = 0;                                // others that hold a target
  std::vector<policy::PolicyInput::RunningAction> running;  // on the target, not waited for
};

// Thread-safe; every call blocks for at most a few of the client's timeouts. Owned by
// ActionEffects.
class Validator {
 public:
  Validator(const catalog::Catalog& catalog, policy::PolicyEngine& policy,
            const policy::ConditionSet& conditions, kubernetes::Client& client, Clock& clock,
            const telemetry::Tracer& tracer, telemetry::WorkerMetrics& metrics,
            const ActionOptions& options);

  // `now` (database time) goes into the inputs of policy and conditions. `trace` is the span of the
  // claim, the parent of those made here.
  Validation Validate(const ExecutionId& id, const machine::Action& action,
                      const Surroundings& around, absl::Time now,
                      const telemetry::TraceContext& trace);

  // The captured facts as they are now, and what the postconditions say.
  machine::ReadBack ReadBack(const machine::Action& action, absl::Time now);

  bool asks_for_surroundings() const { return !options_.environment.empty(); }

 private:
  struct Facts {
    google::protobuf::Struct as_struct;  // {"deployment": {…}}, for capture
    nlohmann::json as_json;
    nlohmann::json target;  // of the target object: the first one
  };
  absl::StatusOr<Facts> ReadFacts(const catalog::ActionDefinition& definition,
                                  const v1::Target& target,
                                  const google::protobuf::Struct& captured);
  policy::Decision Decide(const ExecutionId& id, const catalog::ActionDefinition& definition,
                          const machine::Action& action, const nlohmann::json& parameters,
                          const v1::Target& target, const Facts& facts, const Surroundings& around,
                          absl::Time now, const telemetry::TraceContext& trace);
  std::vector<v1::ConditionResult> Evaluate(const std::vector<catalog::ConditionUse>& uses,
                                            v1::ConditionResult::Phase phase,
                                            const machine::Action& action,
                                            const nlohmann::json& parameters,
                                            const google::protobuf::Struct& before,
                                            const nlohmann::json& facts, absl::Time now);
  std::string TryJob(const std::string& rendered_job);

  const catalog::Catalog& catalog_;
  policy::PolicyEngine& policy_;
  const policy::ConditionSet& conditions_;
  kubernetes::Client& client_;
  kubernetes::FactsCache facts_;
  const telemetry::Tracer& tracer_;
  telemetry::WorkerMetrics& metrics_;
  const ActionOptions& options_;
};

// Names what is being asked for and by whom: the same caller, action and parameters.
std::string RequestKey(const v1::Accepted& request);

}  // namespace capstan::worker
