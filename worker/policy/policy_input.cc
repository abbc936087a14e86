#include "worker/policy/policy_input.h"

#include <exception>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace capstan::policy {
namespace {

nlohmann::json ToJson(const PolicyInput::ClusterState& state) {
  nlohmann::json document = {{"concurrent_actions", state.concurrent_actions}};
  if (state.other_clusters_draining.has_value()) {
    document["other_clusters_draining"] = *state.other_clusters_draining;
  }
  return document;
}

nlohmann::json ToJson(const std::vector<PolicyInput::RunningAction>& actions) {
  nlohmann::json document = nlohmann::json::array();
  for (const PolicyInput::RunningAction& running : actions) {
    document.push_back({{"action", running.action}, {"execution_name", running.execution_name}});
  }
  return document;
}

nlohmann::json ToJson(const PolicyInput::Account& account) {
  nlohmann::json rights = nlohmann::json::array();
  for (const PolicyInput::Account::Right& right : account.rights) {
    rights.push_back({{"scope", right.scope},
                      {"api_groups", right.api_groups},
                      {"resources", right.resources},
                      {"verbs", right.verbs}});
  }
  return {{"name", account.name}, {"namespace", account.name_space}, {"rights", rights}};
}

void AddOptional(const PolicyInput& input, nlohmann::json& document) {
  if (input.account.has_value()) document["account"] = ToJson(*input.account);
  if (input.environment.has_value()) document["environment"] = *input.environment;
  if (const auto& info = input.cluster_info; info.has_value()) {
    document["cluster_info"] = {{"name", info->name},
                                {"total_nodes", info->total_nodes},
                                {"available_nodes", info->available_nodes}};
  }
  if (input.cluster_state.has_value()) document["cluster_state"] = ToJson(*input.cluster_state);
  if (const auto& rate = input.rate_limit_state; rate.has_value()) {
    document["rate_limit_state"] = {{"count", rate->count},
                                    {"max_count", rate->max_count},
                                    {"window_seconds", rate->window_seconds}};
  }
  if (input.running_actions.has_value()) {
    document["running_actions"] = ToJson(*input.running_actions);
  }
  if (input.prior_dry_run.has_value()) document["prior_dry_run"] = *input.prior_dry_run;
  if (const auto& approval = input.approval; approval.has_value()) {
    document["approval"] = {{"approved", approval->approved},
                            {"approvers", nlohmann::json(approval->approvers)}};
  }
}

}  // namespace

nlohmann::json ToJson(const PolicyInput& input) {
  const PolicyInput::TargetResource& target = input.target_resource;
  nlohmann::json document = {
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
  AddOptional(input, document);
  return document;
}

absl::StatusOr<std::string> ToJsonText(const PolicyInput& input) {
  try {
    return ToJson(input).dump();
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("the policy input cannot be written as JSON: ", error.what()));
  }
}

}  // namespace capstan::policy
