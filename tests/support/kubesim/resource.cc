#include "tests/support/kubesim/resource.h"
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

constexpr Resource kResources[] = {
    {.group = "admissionregistration.k8s.io",
     .version = "v1",
     .plural = "validatingadmissionpolicies",
     .singular = "validatingadmissionpolicy",
     .kind = "ValidatingAdmissionPolicy",
     .namespaced = false},
    {.group = "admissionregistration.k8s.io",
     .version = "v1",
     .plural = "validatingadmissionpolicybindings",
     .singular = "validatingadmissionpolicybinding",
     .kind = "ValidatingAdmissionPolicyBinding",
     .namespaced = false},
    {.group = "",
     .version = "v1",
     .plural = "namespaces",
     .singular = "namespace",
     .kind = "Namespace",
     .namespaced = false,
     .has_status = true},
    {.group = "",
     .version = "v1",
     .plural = "nodes",
     .singular = "node",
     .kind = "Node",
     .namespaced = false,
     .has_status = true},
    {.group = "",
     .version = "v1",
     .plural = "pods",
     .singular = "pod",
     .kind = "Pod",
     .has_status = true,
     .has_log = true,
     .has_eviction = true},
    {.group = "",
     .version = "v1",
     .plural = "serviceaccounts",
     .singular = "serviceaccount",
     .kind = "ServiceAccount"},
    {.group = "",
     .version = "v1",
     .plural = "configmaps",
     .singular = "configmap",
     .kind = "ConfigMap"},
    {.group = "", .version = "v1", .plural = "secrets", .singular = "secret", .kind = "Secret"},
    {.group = "", .version = "v1", .plural = "events", .singular = "event", .kind = "Event"},
    {.group = "",
     .version = "v1",
     .plural = "resourcequotas",
     .singular = "resourcequota",
     .kind = "ResourceQuota",
     .has_status = true},
    {.group = "batch",
     .version = "v1",
     .plural = "jobs",
     .singular = "job",
     .kind = "Job",
     .has_status = true},
    {.group = "apps",
     .version = "v1",
     .plural = "deployments",
     .singular = "deployment",
     .kind = "Deployment",
     .has_status = true,
     .has_scale = true},
    {.group = "apps",
     .version = "v1",
     .plural = "replicasets",
     .singular = "replicaset",
     .kind = "ReplicaSet",
     .has_status = true},
    {.group = "apps",
     .version = "v1",
     .plural = "statefulsets",
     .singular = "statefulset",
     .kind = "StatefulSet",
     .has_status = true},
    {.group = "apps",
     .version = "v1",
     .plural = "daemonsets",
     .singular = "daemonset",
     .kind = "DaemonSet",
     .has_status = true},
    {.group = "policy",
     .version = "v1",
     .plural = "poddisruptionbudgets",
     .singular = "poddisruptionbudget",
     .kind = "PodDisruptionBudget",
     .has_status = true},
    {.group = "autoscaling",
     .version = "v2",
     .plural = "horizontalpodautoscalers",
     .singular = "horizontalpodautoscaler",
     .kind = "HorizontalPodAutoscaler",
     .has_status = true},
    {.group = "events.k8s.io",
     .version = "v1",
     .plural = "events",
     .singular = "event",
     .kind = "Event"},
};

}  // namespace

absl::Span<const Resource> AllResources() { return kResources; }

const Resource* FindResource(std::string_view group, std::string_view version,
                             std::string_view plural) {
  for (const Resource& resource : kResources) {
    if (resource.group == group && resource.version == version && resource.plural == plural) {
      return &resource;
    }
  }
  return nullptr;
}

const Resource* FindResource(std::string_view plural) {
  for (const Resource& resource : kResources) {
    if (resource.plural == plural || QualifiedName(resource) == plural) return &resource;
  }
  return nullptr;
}

std::string ApiVersion(const Resource& resource) {
  return resource.group.empty() ? std::string(resource.version)
                                : Cat(resource.group, "/", resource.version);
}

std::string QualifiedName(const Resource& resource) {
  return resource.group.empty() ? std::string(resource.plural)
                                : Cat(resource.plural, ".", resource.group);
}

}  // namespace capstan::kubesim
