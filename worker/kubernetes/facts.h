// What policy, conditions and plans may know about a target, read from the cluster and never taken
// from a caller.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "worker/kubernetes/client.h"

namespace capstan::kubernetes {

// Facts of one Deployment:
//   {"found": true,
//    "kind": "Deployment", "namespace": "shop", "name": "web",
//    "uid": "…", "resource_version": "…", "generation": 3,
//    "labels": {…},
//    "namespace_found": true, "namespace_labels": {…}, "namespace_phase": "Active",
//    "replicas": 3, "paused": false,
//    "status": {"observed_generation": 3, "replicas": 3, "updated_replicas": 3, "ready_replicas":
//    3,
//               "available_replicas": 3, "unavailable_replicas": 0},
//    "conditions": [{"type": "Available", "status": "True", "reason": "…", "message": "…"}],
//    "containers": [{"name": "main", "image": "…"}],
//    "hpa": {"present": true, "name": "web", "min_replicas": 2, "max_replicas": 10}}
// Without the Deployment: found is false, and only kind, namespace, name and the namespace_* fields
// are there. Without an autoscaler: "hpa": {"present": false}.
//
// Three reads, each bounded by `options`. NOT_FOUND is never returned. Any error means that the
// facts are not known: deny or try again, do not take it for absence. PERMISSION_DENIED: our
// account may not read one of the three kinds; the message says which.
absl::StatusOr<Json> ReadDeploymentFacts(Client& client, std::string_view name_space,
                                         std::string_view name, const CallOptions& options = {});

}  // namespace capstan::kubernetes
