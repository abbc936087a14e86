// What the readers of facts share. Internal to facts.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/kubernetes/client.h"
#include "worker/kubernetes/facts.h"
#include "worker/kubernetes/json_fields.h"

namespace capstan::kubernetes {

// One reader a kind; errors and shapes as facts.h says.
absl::StatusOr<Json> ReadDeploymentFact(Client& client, const FactTarget& target,
                                        const CallOptions& options);
absl::StatusOr<Json> ReadWorkloadFact(Client& client, const FactTarget& target,
                                      const CallOptions& options);
absl::StatusOr<Json> ReadPodFact(Client& client, const FactTarget& target,
                                 const CallOptions& options);
absl::StatusOr<Json> ReadConfigMapFact(Client& client, const FactTarget& target,
                                       const CallOptions& options);
absl::StatusOr<Json> ReadSecretFact(Client& client, const FactTarget& target,
                                    const CallOptions& options);
absl::StatusOr<Json> ReadNodeFact(Client& client, const FactTarget& target,
                                  const CallOptions& options);

// The cluster without a target: what may be kept for a moment.
struct ClusterSnapshot {
  Json fact;  // all but other_schedulable_nodes
  std::set<std::string> schedulable_nodes;
};
absl::StatusOr<ClusterSnapshot> ReadClusterSnapshot(Client& client, const CallOptions& options);
Json ClusterFactFor(const ClusterSnapshot& snapshot, const FactTarget& target);

// The object, or nothing when there is none.
absl::StatusOr<std::optional<Json>> Find(Client& client, Resource resource,
                                         std::string_view name_space, std::string_view name,
                                         const CallOptions& options);

// A fact that says "not found": kind, namespace, name, and the namespace_* fields for a target with
// a namespace, which is read.
absl::StatusOr<Json> NotFoundFact(Client& client, std::string_view kind, const FactTarget& target,
                                  const CallOptions& options);

// Turns it into one that says "found", with uid, resource_version, labels and generation.
void SetFound(const Json& object, Json* fact);

// The object at `path`, an empty one when there is none.
Json ObjectField(const Json& object, FieldPath path);

// What a pod may use; amounts add up.
struct Amounts {
  int64_t cpu_milli = 0;
  int64_t memory_bytes = 0;

  Amounts& operator+=(const Amounts& other);
  Json ToJson() const;
};
// {"cpu": "100m", "memory": "1Gi"}; what is missing is 0. INTERNAL when it is no quantity.
absl::StatusOr<Amounts> AmountsOf(const Json& quantities);
// What the scheduler counts: the larger of all containers together and of each init container.
absl::StatusOr<Amounts> RequestsOf(const Json& pod_spec);

bool IsReadyNode(const Json& node);
bool IsReadyPod(const Json& pod);
bool IsFinishedPod(const Json& pod);
bool IsTerminating(const Json& object);
// Null when no controller owns it.
const Json* ControllerOf(const Json& object);

// A label selector of the API (matchLabels, matchExpressions). An empty one matches everything,
// null nothing.
bool MatchesSelector(const Json& selector, const Json& labels);
// The same for a list request.
std::string SelectorText(const Json& selector);

}  // namespace capstan::kubernetes
