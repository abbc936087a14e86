// Facts of a node.
#include <compare>
#include <set>

#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/facts_reader.h"

namespace capstan::kubernetes {
namespace {

constexpr std::string_view kControlPlaneLabels[] = {"node-role.kubernetes.io/control-plane",
                                                    "node-role.kubernetes.io/master"};
constexpr std::string_view kMirrorAnnotation = "kubernetes.io/config.mirror";

bool IsControlPlane(const Json& node) {
  for (std::string_view label : kControlPlaneLabels) {
    if (FindField(node, {"metadata", "labels", label}) != nullptr) return true;
  }
  return false;
}

bool HasEmptyDir(const Json& pod) {
  for (const Json& volume : ArrayField(pod, {"spec", "volumes"})) {
    if (volume.contains("emptyDir")) return true;
  }
  return false;
}

Json PodOnNode(const Json& pod) {
  const Json* owner = ControllerOf(pod);
  const std::string owner_kind = owner == nullptr ? "" : StringField(*owner, {"kind"});
  return {{"namespace", StringField(pod, {"metadata", "namespace"})},
          {"name", StringField(pod, {"metadata", "name"})},
          {"owner_kind", owner_kind},
          {"owner_name", owner == nullptr ? "" : StringField(*owner, {"name"})},
          {"daemon_set", owner_kind == "DaemonSet"},
          {"mirror", FindField(pod, {"metadata", "annotations", kMirrorAnnotation}) != nullptr},
          {"empty_dir", HasEmptyDir(pod)},
          {"finished", IsFinishedPod(pod)},
          {"terminating", IsTerminating(pod)}};
}

// Whether a drain leaves the pod where it is: `described` by PodOnNode.
bool Stays(const Json& described) {
  return BoolField(described, {"daemon_set"}) || BoolField(described, {"mirror"}) ||
         BoolField(described, {"finished"});
}

Json BlockingBudgets(const std::vector<Json>& budgets, const std::vector<Json>& pods) {
  Json blocking = Json::array();
  for (const Json& budget : budgets) {
    const std::string name_space = StringField(budget, {"metadata", "namespace"});
    const Json* selector = FindField(budget, {"spec", "selector"});
    if (selector == nullptr) continue;
    int64_t covered = 0;
    for (const Json& pod : pods) {
      if (StringField(pod, {"metadata", "namespace"}) == name_space && !Stays(PodOnNode(pod)) &&
          MatchesSelector(*selector, ObjectField(pod, {"metadata", "labels"}))) {
        ++covered;
      }
    }
    const int64_t allowed = IntField(budget, {"status", "disruptionsAllowed"});
    if (covered <= allowed) continue;
    blocking.push_back({{"namespace", name_space},
                        {"name", StringField(budget, {"metadata", "name"})},
                        {"disruptions_allowed", allowed},
                        {"pods", covered}});
  }
  return blocking;
}

Json Taints(const Json& node) {
  Json taints = Json::array();
  for (const Json& taint : ArrayField(node, {"spec", "taints"})) {
    taints.push_back({{"key", StringField(taint, {"key"})},
                      {"value", StringField(taint, {"value"})},
                      {"effect", StringField(taint, {"effect"})}});
  }
  return taints;
}

struct Owner {
  std::string name_space;
  std::string kind;
  std::string name;

  friend auto operator<=>(const Owner&, const Owner&) = default;
};

// Of the pods that a drain evicts, from what was captured before it.
std::set<Owner> OwnersOf(const Json& pods) {
  std::set<Owner> owners;
  for (const Json& pod : pods) {
    if (Stays(pod)) continue;
    owners.insert({StringField(pod, {"namespace"}), StringField(pod, {"owner_kind"}),
                   StringField(pod, {"owner_name"})});
  }
  return owners;
}

// An owner that is gone (a newer rollout has replaced it) wants nothing.
absl::StatusOr<Json> Unready(Client& client, const std::set<Owner>& owners,
                             const CallOptions& options) {
  Json unready = Json::array();
  for (const Owner& owner : owners) {
    const bool replica_set = owner.kind == "ReplicaSet";
    if (!replica_set && owner.kind != "StatefulSet") continue;
    CAPSTAN_ASSIGN_OR_RETURN(const std::optional<Json> set,
                             Find(client, replica_set ? kReplicaSets : kStatefulSets,
                                  owner.name_space, owner.name, options));
    if (!set) continue;
    if (IntField(*set, {"status", "readyReplicas"}) < IntField(*set, {"spec", "replicas"}, 1)) {
      unready.push_back(Cat(owner.name_space, "/", owner.name));
    }
  }
  return unready;
}

struct NodesSeen {
  int64_t total = 0;
  int64_t ready = 0;
  int64_t control_plane = 0;
  std::set<std::string> schedulable;
  Amounts allocatable;  // of the schedulable ones
};

absl::StatusOr<NodesSeen> Look(const std::vector<Json>& nodes) {
  NodesSeen seen;
  for (const Json& node : nodes) {
    ++seen.total;
    if (IsControlPlane(node)) ++seen.control_plane;
    if (!IsReadyNode(node)) continue;
    ++seen.ready;
    if (BoolField(node, {"spec", "unschedulable"})) continue;
    seen.schedulable.insert(StringField(node, {"metadata", "name"}));
    CAPSTAN_ASSIGN_OR_RETURN(const Amounts allocatable,
                             AmountsOf(ObjectField(node, {"status", "allocatable"})));
    seen.allocatable += allocatable;
  }
  return seen;
}

}  // namespace

absl::StatusOr<Json> ReadNodeFact(Client& client, const FactTarget& target,
                                  const CallOptions& options) {
  CAPSTAN_ASSIGN_OR_RETURN(Json fact, NotFoundFact(client, "Node", {.name = target.name}, options));
  CAPSTAN_ASSIGN_OR_RETURN(const std::optional<Json> node,
                           Find(client, kNodes, "", target.name, options));
  if (!node) return fact;
  CAPSTAN_ASSIGN_OR_RETURN(
      const ListResult pods,
      client.List({.resource = kPods, .field_selector = Cat("spec.nodeName=", target.name)},
                  options));
  CAPSTAN_ASSIGN_OR_RETURN(const ListResult budgets,
                           client.List({.resource = kPodDisruptionBudgets}, options));

  SetFound(*node, &fact);
  fact["unschedulable"] = BoolField(*node, {"spec", "unschedulable"});
  fact["ready"] = IsReadyNode(*node);
  fact["control_plane"] = IsControlPlane(*node);
  fact["taints"] = Taints(*node);
  fact["pods"] = Json::array();
  for (const Json& pod : pods.items) fact["pods"].push_back(PodOnNode(pod));
  fact["blocking_budgets"] = BlockingBudgets(budgets.items, pods.items);
  if (!target.captured.contains("pods")) return fact;
  CAPSTAN_ASSIGN_OR_RETURN(
      fact["evicted_unready"],
      Unready(client, OwnersOf(ArrayField(target.captured, {"pods"})), options));
  return fact;
}

absl::StatusOr<ClusterSnapshot> ReadClusterSnapshot(Client& client, const CallOptions& options) {
  CAPSTAN_ASSIGN_OR_RETURN(const ListResult nodes, client.List({.resource = kNodes}, options));
  CAPSTAN_ASSIGN_OR_RETURN(
      const ListResult pods,
      client.List(
          {.resource = kPods, .field_selector = "status.phase!=Succeeded,status.phase!=Failed"},
          options));
  CAPSTAN_ASSIGN_OR_RETURN(NodesSeen seen, Look(nodes.items));
  Amounts requested;
  for (const Json& pod : pods.items) {
    if (!seen.schedulable.contains(StringField(pod, {"spec", "nodeName"}))) continue;
    CAPSTAN_ASSIGN_OR_RETURN(const Amounts requests, RequestsOf(ObjectField(pod, {"spec"})));
    requested += requests;
  }
  const Amounts free = {seen.allocatable.cpu_milli - requested.cpu_milli,
                        seen.allocatable.memory_bytes - requested.memory_bytes};
  ClusterSnapshot snapshot;
  snapshot.fact = {{"total_nodes", seen.total},
                   {"ready_nodes", seen.ready},
                   {"schedulable_nodes", seen.schedulable.size()},
                   {"control_plane_nodes", seen.control_plane},
                   {"allocatable", seen.allocatable.ToJson()},
                   {"requested", requested.ToJson()},
                   {"free", free.ToJson()}};
  snapshot.schedulable_nodes = std::move(seen.schedulable);
  return snapshot;
}

Json ClusterFactFor(const ClusterSnapshot& snapshot, const FactTarget& target) {
  Json fact = snapshot.fact;
  const bool is_one = target.name_space.empty() && snapshot.schedulable_nodes.contains(target.name);
  fact["other_schedulable_nodes"] = snapshot.schedulable_nodes.size() - (is_one ? 1 : 0);
  return fact;
}

}  // namespace capstan::kubernetes
