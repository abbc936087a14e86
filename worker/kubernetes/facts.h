// What policy, conditions and plans may know about a target, read from the cluster and never taken
// from a caller.
//
// Each fact is one JSON object. The first fact of an action is that of its target and has
//   {"found": true, "kind": "Deployment", "namespace": "shop", "name": "web", "uid": "…",
//    "resource_version": "…", "generation": 3, "labels": {…}},
// generation only for kinds that have one, namespace "" for cluster-scoped kinds. Those of
// namespaced kinds also have {"namespace_found": true, "namespace_labels": {…}, "namespace_phase":
// "Active"}. Without the object found is false, and only kind, namespace, name and the namespace_*
// fields are there.
//
// deployment:
//   {"replicas": 3, "paused": false, "revision": "4",
//    "status": {"observed_generation": 3, "replicas": 3, "updated_replicas": 3,
//               "ready_replicas": 3, "available_replicas": 3, "unavailable_replicas": 0},
//    "conditions": [{"type": "Available", "status": "True", "reason": "…", "message": "…"}],
//    "containers": [{"name": "main", "image": "…"}], "images": {"main": "…"},
//    "selector": {…}, "service_account": "web", "node_selector": {…},
//    "image_pull_secrets": ["…"],
//    "hpa": {"present": true, "name": "web", "min_replicas": 2, "max_replicas": 10}}
//   Without an autoscaler: "hpa": {"present": false}. selector is matchLabels.
// workload, of the pods of a Deployment (those its selector matches):
//   {"found": true,
//    "pods": [{"name": "web-1", "phase": "Running", "ready": true, "restarts": 0,
//              "terminating": false, "waiting_reason": "", "terminated_reason": "",
//              "oom_killed": false, "images": ["…"], "node": "n1"}],
//    "running_pods": 3, "ready_pods": 3,
//    "crash_looping": 0, "image_pull_failing": 0, "oom_killed": 0,
//    "per_pod": {"cpu_milli": 100, "memory_bytes": 268435456},
//    "matching_nodes": 2, "ready_matching_nodes": 2}
//   Pods that are being deleted are listed and not counted. per_pod is what the template requests.
//   Nodes match by node_selector. For a target of kind ConfigMap the pods are those of its
//   namespace that use it, without per_pod and nodes.
// pod:
//   {"phase": "Running", "node": "n1", "ready": true, "images": ["…"],
//    "owner": {"kind": "ReplicaSet", "name": "web-5d", "uid": "…"}, "owner_ready_others": 2}
//   owner is null without a controller. owner_ready_others counts its ready pods with another uid;
//   it is also there when the pod is gone and `captured` has the owner that it had.
// config_map:
//   {"immutable": false, "size_bytes": 12, "keys": ["a"], "data_sha256": "…",
//    "restore_patch": "[…]"}
//   data_sha256 is over the canonical JSON of {"binaryData": …, "data": …}. restore_patch is a JSON
//   Patch that puts both back byte for byte, "" when larger than kMaxRestorePatchBytes.
// secret:
//   {"found": true, "readable": false, "uid": "", …}
//   Secrets are never read.
// node:
//   {"unschedulable": false, "ready": true, "control_plane": false,
//    "taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}],
//    "pods": [{"namespace": "shop", "name": "web-1", "owner_kind": "ReplicaSet",
//              "owner_name": "web-5d", "daemon_set": false, "mirror": false, "empty_dir": false,
//              "finished": false, "terminating": false}],
//    "blocking_budgets": [{"namespace": "shop", "name": "web", "disruptions_allowed": 0,
//                          "pods": 2}],
//    "evicted_unready": ["shop/web-5d"]}
//   Blocking are budgets with more pods on the node than disruptions they allow. evicted_unready is
//   only there when `captured` has the pods of before: the ReplicaSets and StatefulSets of those
//   that a drain evicts, with fewer ready pods than they want.
// cluster:
//   {"total_nodes": 3, "ready_nodes": 3, "schedulable_nodes": 2, "other_schedulable_nodes": 1,
//    "control_plane_nodes": 1, "allocatable": {"cpu_milli": 4000, "memory_bytes": 8589934592},
//    "requested": {…}, "free": {…}}
//   Schedulable is ready and not cordoned. "other" leaves out the node of the target's name, for
//   targets without a namespace. The amounts are those of the schedulable nodes.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "worker/kubernetes/client.h"

namespace capstan::kubernetes {

// The object that an action changes.
struct FactTarget {
  std::string name_space = {};  // empty for cluster-scoped kinds
  std::string name = {};
  // What was captured before the change, when this reads what came of it: what cannot be found out
  // from an object that is gone.
  Json captured = Json::object();
  std::string kind = {};  // of the object; needed where a fact is of more than one kind (workload)
};

// What becomes of a restore_patch: one argument of a program, and Linux takes none of 128 KiB.
inline constexpr size_t kMaxRestorePatchBytes = 120 << 10;

// Reads one fact: deployment, workload, pod, config_map, secret, node or cluster; INVALID_ARGUMENT
// for another. Several reads, all within `options.timeout`. NOT_FOUND is never returned. Any error
// means that the fact is not known: deny or try again, do not take it for absence.
// PERMISSION_DENIED: our account may not read one of the kinds; the message says which. INTERNAL:
// an object holds what no API server lets in (a quantity that is none).
absl::StatusOr<Json> ReadFact(Client& client, std::string_view fact, const FactTarget& target,
                              const CallOptions& options = {});

}  // namespace capstan::kubernetes
