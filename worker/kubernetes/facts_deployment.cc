// Facts of a Deployment.
#include "worker/kubernetes/facts_reader.h"

#include <utility>

#include "core/status_macros.h"

namespace capstan::kubernetes {
namespace {

Json StatusFacts(const Json& deployment) {
  return {{"observed_generation", IntField(deployment, {"status", "observedGeneration"})},
          {"replicas", IntField(deployment, {"status", "replicas"})},
          {"updated_replicas", IntField(deployment, {"status", "updatedReplicas"})},
          {"ready_replicas", IntField(deployment, {"status", "readyReplicas"})},
          {"available_replicas", IntField(deployment, {"status", "availableReplicas"})},
          {"unavailable_replicas", IntField(deployment, {"status", "unavailableReplicas"})}};
}

Json ConditionFacts(const Json& deployment) {
  Json facts = Json::array();
  for (const Json& condition : ArrayField(deployment, {"status", "conditions"})) {
    facts.push_back({{"type", StringField(condition, {"type"})},
                     {"status", StringField(condition, {"status"})},
                     {"reason", StringField(condition, {"reason"})},
                     {"message", StringField(condition, {"message"})}});
  }
  return facts;
}

Json ContainerFacts(const Json& deployment) {
  Json facts = Json::array();
  for (const Json& container : ArrayField(deployment, {"spec", "template", "spec", "containers"})) {
    facts.push_back(
        {{"name", StringField(container, {"name"})}, {"image", StringField(container, {"image"})}});
  }
  return facts;
}

Json AutoscalerFacts(const std::vector<Json>& autoscalers, std::string_view deployment) {
  for (const Json& autoscaler : autoscalers) {
    if (StringField(autoscaler, {"spec", "scaleTargetRef", "kind"}) != "Deployment" ||
        StringField(autoscaler, {"spec", "scaleTargetRef", "name"}) != deployment) {
      continue;
    }
    return {{"present", true},
            {"name", StringField(autoscaler, {"metadata", "name"})},
            {"min_replicas", IntField(autoscaler, {"spec", "minReplicas"}, 1)},  // API default
            {"max_replicas", IntField(autoscaler, {"spec", "maxReplicas"})}};
  }
  return {{"present", false}};
}

}  // namespace

absl::StatusOr<Json> ReadDeploymentFact(Client& client, const FactTarget& target,
                                        const CallOptions& options) {
  CAPSTAN_ASSIGN_OR_RETURN(Json fact, NotFoundFact(client, "Deployment", target, options));
  CAPSTAN_ASSIGN_OR_RETURN(const std::optional<Json> deployment,
                           Find(client, kDeployments, target.name_space, target.name, options));
  if (!deployment) return fact;
  CAPSTAN_ASSIGN_OR_RETURN(
      const ListResult autoscalers,
      client.List({.resource = kHorizontalPodAutoscalers, .name_space = target.name_space},
                  options));

  SetFound(*deployment, &fact);
  fact["replicas"] = IntField(*deployment, {"spec", "replicas"}, 1);  // API default
  fact["paused"] = BoolField(*deployment, {"spec", "paused"});
  fact["revision"] =
      StringField(*deployment, {"metadata", "annotations", "deployment.kubernetes.io/revision"});
  fact["status"] = StatusFacts(*deployment);
  fact["conditions"] = ConditionFacts(*deployment);
  fact["containers"] = ContainerFacts(*deployment);
  fact["images"] = Json::object();
  for (const Json& container : fact["containers"]) {
    fact["images"][container["name"].get<std::string>()] = container["image"];
  }
  fact["selector"] = ObjectField(*deployment, {"spec", "selector", "matchLabels"});
  const Json pod_spec = ObjectField(*deployment, {"spec", "template", "spec"});
  fact["service_account"] = StringField(pod_spec, {"serviceAccountName"});
  fact["node_selector"] = ObjectField(pod_spec, {"nodeSelector"});
  fact["image_pull_secrets"] = Json::array();
  for (const Json& secret : ArrayField(pod_spec, {"imagePullSecrets"})) {
    fact["image_pull_secrets"].push_back(StringField(secret, {"name"}));
  }
  fact["hpa"] = AutoscalerFacts(autoscalers.items, target.name);
  return fact;
}

}  // namespace capstan::kubernetes
