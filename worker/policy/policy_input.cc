#include "worker/policy/policy_input.h"

namespace capstan::policy {

nlohmann::json ToJson(const PolicyInput& input) {
  const PolicyInput::TargetResource& target = input.target_resource;
  return {
      {"api_version", kInputApiVersion},
      {"action", input.action},
      {"parameters", input.parameters},
      {"caller", input.caller},
      {"dry_run", input.dry_run},
      {"evaluation_time",
       absl::FormatTime(absl::RFC3339_full, input.evaluation_time, absl::UTCTimeZone())},
      {"target_resource",
       {{"kind", target.kind},
        {"name", target.name},
        {"namespace", target.namespace_name},
        {"labels", nlohmann::json(target.labels)}}},
      {"metadata",
       {{"execution_name", input.metadata.execution_name},
        {"execution_namespace", input.metadata.execution_namespace}}},
      {"facts", input.facts},
  };
}

}  // namespace capstan::policy
