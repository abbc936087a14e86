// Facts of the pods of a Deployment, or of those that use a ConfigMap.
#include <algorithm>

#include "core/status_macros.h"
#include "worker/kubernetes/facts_reader.h"

namespace capstan::kubernetes {
namespace {

constexpr std::string_view kImagePullReasons[] = {"ErrImagePull",      "ImagePullBackOff",
                                                  "InvalidImageName",  "ErrImageNeverPull",
                                                  "ImageInspectError", "RegistryUnavailable"};

// What the containers of a pod say, init containers first.
struct ContainersSeen {
  int64_t restarts = 0;
  std::string waiting_reason;     // of the first that waits for something
  std::string terminated_reason;  // of the first that ended, now or last time
  bool crash_looping = false;
  bool image_pull_failing = false;
  bool oom_killed = false;
};

void Look(const Json& status, ContainersSeen* seen) {
  seen->restarts += IntField(status, {"restartCount"});
  const std::string waiting = StringField(status, {"state", "waiting", "reason"});
  if (seen->waiting_reason.empty()) seen->waiting_reason = waiting;
  seen->crash_looping = seen->crash_looping || waiting == "CrashLoopBackOff";
  seen->image_pull_failing = seen->image_pull_failing ||
                             std::find(std::begin(kImagePullReasons), std::end(kImagePullReasons),
                                       waiting) != std::end(kImagePullReasons);
  for (std::string_view state : {"state", "lastState"}) {
    const std::string reason = StringField(status, {state, "terminated", "reason"});
    if (seen->terminated_reason.empty()) seen->terminated_reason = reason;
    seen->oom_killed = seen->oom_killed || reason == "OOMKilled";
  }
}

ContainersSeen SeenIn(const Json& pod) {
  ContainersSeen seen;
  for (std::string_view list : {"initContainerStatuses", "containerStatuses"}) {
    for (const Json& status : ArrayField(pod, {"status", list})) Look(status, &seen);
  }
  return seen;
}

void Count(bool holds, Json* counter) {
  if (holds) *counter = counter->get<int64_t>() + 1;
}

void AddPod(const Json& pod, Json* fact) {
  const ContainersSeen seen = SeenIn(pod);
  const bool terminating = IsTerminating(pod);
  Json images = Json::array();
  for (const Json& container : ArrayField(pod, {"spec", "containers"})) {
    images.push_back(StringField(container, {"image"}));
  }
  (*fact)["pods"].push_back({{"name", StringField(pod, {"metadata", "name"})},
                             {"phase", StringField(pod, {"status", "phase"})},
                             {"ready", IsReadyPod(pod)},
                             {"restarts", seen.restarts},
                             {"terminating", terminating},
                             {"waiting_reason", seen.waiting_reason},
                             {"terminated_reason", seen.terminated_reason},
                             {"oom_killed", seen.oom_killed},
                             {"images", std::move(images)},
                             {"node", StringField(pod, {"spec", "nodeName"})}});
  if (terminating) return;
  Count(StringField(pod, {"status", "phase"}) == "Running", &(*fact)["running_pods"]);
  Count(IsReadyPod(pod), &(*fact)["ready_pods"]);
  Count(seen.crash_looping, &(*fact)["crash_looping"]);
  Count(seen.image_pull_failing, &(*fact)["image_pull_failing"]);
  Count(seen.oom_killed, &(*fact)["oom_killed"]);
}

bool Names(const Json& object, FieldPath path, std::string_view name) {
  return StringField(object, path) == name;
}

bool VolumeUses(const Json& volume, std::string_view config_map) {
  if (Names(volume, {"configMap", "name"}, config_map)) return true;
  for (const Json& source : ArrayField(volume, {"projected", "sources"})) {
    if (Names(source, {"configMap", "name"}, config_map)) return true;
  }
  return false;
}

bool ContainerUses(const Json& container, std::string_view config_map) {
  for (const Json& source : ArrayField(container, {"envFrom"})) {
    if (Names(source, {"configMapRef", "name"}, config_map)) return true;
  }
  for (const Json& variable : ArrayField(container, {"env"})) {
    if (Names(variable, {"valueFrom", "configMapKeyRef", "name"}, config_map)) return true;
  }
  return false;
}

bool PodUses(const Json& pod, std::string_view config_map) {
  for (const Json& volume : ArrayField(pod, {"spec", "volumes"})) {
    if (VolumeUses(volume, config_map)) return true;
  }
  for (std::string_view list : {"initContainers", "containers"}) {
    for (const Json& container : ArrayField(pod, {"spec", list})) {
      if (ContainerUses(container, config_map)) return true;
    }
  }
  return false;
}

Json NoPods() {
  return {{"found", true},      {"pods", Json::array()},   {"running_pods", 0}, {"ready_pods", 0},
          {"crash_looping", 0}, {"image_pull_failing", 0}, {"oom_killed", 0}};
}

absl::StatusOr<Json> ReadUsers(Client& client, const FactTarget& target,
                               const CallOptions& options) {
  CAPSTAN_ASSIGN_OR_RETURN(
      const ListResult pods,
      client.List({.resource = kPods, .name_space = target.name_space}, options));
  Json fact = NoPods();
  for (const Json& pod : pods.items) {
    if (PodUses(pod, target.name) && !IsFinishedPod(pod)) AddPod(pod, &fact);
  }
  return fact;
}

}  // namespace

absl::StatusOr<Json> ReadWorkloadFact(Client& client, const FactTarget& target,
                                      const CallOptions& options) {
  if (target.kind == "ConfigMap") return ReadUsers(client, target, options);
  CAPSTAN_ASSIGN_OR_RETURN(const std::optional<Json> deployment,
                           Find(client, kDeployments, target.name_space, target.name, options));
  if (!deployment) return Json{{"found", false}};
  const Json selector = ObjectField(*deployment, {"spec", "selector"});
  const Json pod_spec = ObjectField(*deployment, {"spec", "template", "spec"});
  CAPSTAN_ASSIGN_OR_RETURN(const ListResult pods,
                           client.List({.resource = kPods,
                                        .name_space = target.name_space,
                                        .label_selector = SelectorText(selector)},
                                       options));
  CAPSTAN_ASSIGN_OR_RETURN(const ListResult nodes, client.List({.resource = kNodes}, options));
  CAPSTAN_ASSIGN_OR_RETURN(const Amounts per_pod, RequestsOf(pod_spec));

  Json fact = NoPods();
  fact["per_pod"] = per_pod.ToJson();
  fact["matching_nodes"] = 0;
  fact["ready_matching_nodes"] = 0;
  for (const Json& pod : pods.items) AddPod(pod, &fact);
  const Json node_selector = {{"matchLabels", ObjectField(pod_spec, {"nodeSelector"})}};
  for (const Json& node : nodes.items) {
    if (!MatchesSelector(node_selector, ObjectField(node, {"metadata", "labels"}))) continue;
    Count(true, &fact["matching_nodes"]);
    Count(IsReadyNode(node), &fact["ready_matching_nodes"]);
  }
  return fact;
}

}  // namespace capstan::kubernetes
