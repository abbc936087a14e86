#include "worker/kubernetes/facts.h"

#include <utility>

#include "core/status_macros.h"
#include "worker/kubernetes/json_fields.h"

namespace capstan::kubernetes {
namespace {

Json ObjectAt(const Json& object, FieldPath path) {
  const Json* field = FindField(object, path);
  return field != nullptr && field->is_object() ? *field : Json::object();
}

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

absl::StatusOr<Json> ReadDeploymentFacts(Client& client, std::string_view name_space,
                                         std::string_view name, const CallOptions& options) {
  Json facts = {
      {"kind", "Deployment"}, {"namespace", name_space},  {"name", name},
      {"found", false},       {"namespace_found", false}, {"namespace_labels", Json::object()},
      {"namespace_phase", ""}};
  absl::StatusOr<Json> scope = client.Get(kNamespaces, "", name_space, options);
  if (!scope.ok() && !absl::IsNotFound(scope.status())) return scope.status();
  if (scope.ok()) {
    facts["namespace_found"] = true;
    facts["namespace_labels"] = ObjectAt(*scope, {"metadata", "labels"});
    facts["namespace_phase"] = StringField(*scope, {"status", "phase"});
  }

  absl::StatusOr<Json> deployment = client.Get(kDeployments, name_space, name, options);
  if (absl::IsNotFound(deployment.status())) return facts;
  CAPSTAN_RETURN_IF_ERROR(deployment.status());
  CAPSTAN_ASSIGN_OR_RETURN(
      const ListResult autoscalers,
      client.List({.resource = kHorizontalPodAutoscalers, .name_space = std::string(name_space)},
                  options));

  facts["found"] = true;
  facts["uid"] = StringField(*deployment, {"metadata", "uid"});
  facts["resource_version"] = StringField(*deployment, {"metadata", "resourceVersion"});
  facts["generation"] = IntField(*deployment, {"metadata", "generation"});
  facts["labels"] = ObjectAt(*deployment, {"metadata", "labels"});
  facts["replicas"] = IntField(*deployment, {"spec", "replicas"}, 1);  // API default
  facts["paused"] = BoolField(*deployment, {"spec", "paused"});
  facts["status"] = StatusFacts(*deployment);
  facts["conditions"] = ConditionFacts(*deployment);
  facts["containers"] = ContainerFacts(*deployment);
  facts["hpa"] = AutoscalerFacts(autoscalers.items, name);
  return facts;
}

}  // namespace capstan::kubernetes
