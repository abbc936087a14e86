#include "tests/support/kubesim/disruption.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>
#include <vector>

#include "tests/support/kubesim/deletion.h"
#include "tests/support/kubesim/scheduler.h"
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

bool IsFinished(const Json& pod) {
  const std::string phase = TextAt(pod, {"status", "phase"});
  return phase == "Succeeded" || phase == "Failed";
}

bool Selects(const Json& budget, const Json& pod) {
  const Json& wanted = At(budget, {"spec", "selector", "matchLabels"});
  if (!wanted.is_object()) return At(budget, {"spec", "selector"}).is_object();
  for (const auto& [key, value] : wanted.items()) {
    if (At(pod, {"metadata", "labels", key.c_str()}) != value) return false;
  }
  return true;
}

// The scale of the controllers that own these pods.
int64_t ScaleOf(const ObjectStore& store, const std::string& namespace_name,
                const std::vector<Object>& pods) {
  std::set<std::pair<std::string, std::string>> owners;
  for (const Object& pod : pods) {
    const Json& references = At(*pod, {"metadata", "ownerReferences"});
    if (!references.is_array() || references.empty()) continue;
    owners.emplace(TextAt(references[0], {"kind"}), TextAt(references[0], {"name"}));
  }
  int64_t scale = 0;
  for (const auto& [kind, name] : owners) {
    for (const Resource& resource : AllResources()) {
      if (resource.kind != kind) continue;
      Object owner = store.Get({&resource, namespace_name, name});
      if (owner != nullptr) scale += NumberAt(*owner, {"spec", "replicas"}, 1);
    }
  }
  return scale;
}

// "50%" of `total`, rounded up, or the number itself.
int64_t CountOf(const Json& amount, int64_t total) {
  if (amount.is_number_integer()) return amount.get<int64_t>();
  const std::string text = amount.is_string() ? amount.get<std::string>() : "0";
  int64_t number = std::strtoll(text.c_str(), nullptr, 10);
  return text.ends_with("%") ? (number * total + 99) / 100 : number;
}

struct Health {
  int64_t expected = 0;
  int64_t desired = 0;
  int64_t current = 0;
  Json disrupted = Json::object();  // evicted, and not yet seen to go

  int64_t Allowed() const { return expected <= 0 ? 0 : std::max<int64_t>(0, current - desired); }
};

Health HealthOf(const ObjectStore& store, const std::string& namespace_name, const Json& budget) {
  std::vector<Object> pods;
  for (const Object& pod : store.List(*FindResource("pods"), namespace_name).objects) {
    if (Selects(budget, *pod) && !IsFinished(*pod)) pods.push_back(pod);
  }
  Health health;
  const Json& max_unavailable = At(budget, {"spec", "maxUnavailable"});
  const Json& min_available = At(budget, {"spec", "minAvailable"});
  if (!max_unavailable.is_null()) {
    health.expected = ScaleOf(store, namespace_name, pods);
    health.desired =
        std::max<int64_t>(0, health.expected - CountOf(max_unavailable, health.expected));
  } else {
    health.expected = min_available.is_string() ? ScaleOf(store, namespace_name, pods)
                                                : static_cast<int64_t>(pods.size());
    health.desired = min_available.is_null() ? 1 : CountOf(min_available, health.expected);
  }
  for (const Object& pod : pods) {
    const std::string name = TextAt(*pod, {"metadata", "name"});
    const Json& evicted = At(budget, {"status", "disruptedPods", name.c_str()});
    if (IsBeingDeleted(*pod)) continue;
    if (!evicted.is_null()) {
      health.disrupted[name] = evicted;
    } else if (IsTrueCondition(*pod, "Ready")) {
      ++health.current;
    }
  }
  return health;
}

ApiReply TooManyDisruptions(const ObjectKey& pod, const Json& budget) {
  const std::string why =
      Cat("The disruption budget ", TextAt(budget, {"metadata", "name"}), " needs ",
          NumberAt(budget, {"status", "desiredHealthy"}), " healthy pods and has ",
          NumberAt(budget, {"status", "currentHealthy"}), " currently");
  return StatusReply(
      429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.",
      {{"name", pod.name},
       {"kind", "pods"},
       {"causes", Json::array({{{"reason", "DisruptionBudget"}, {"message", why}}})}});
}

// Uses one disruption of the budget up; the reply that refuses when it has none.
std::optional<ApiReply> UseBudget(ObjectStore& store, absl::Time now, const ObjectKey& pod_key,
                                  const Json& pod, const ObjectKey& budget_key, bool dry_run) {
  std::optional<ApiReply> refused;
  const auto use = [&](Json& budget) {
    const int64_t healthy = NumberAt(budget, {"status", "currentHealthy"});
    const int64_t desired = NumberAt(budget, {"status", "desiredHealthy"});
    const bool always = TextAt(budget, {"spec", "unhealthyPodEvictionPolicy"}) == "AlwaysAllow";
    // A pod that is not healthy itself may go while there are enough others.
    if (!IsTrueCondition(pod, "Ready") && (always || (desired > 0 && healthy >= desired))) {
      return false;
    }
    const int64_t allowed = NumberAt(budget, {"status", "disruptionsAllowed"});
    if (NumberAt(budget, {"status", "observedGeneration"}) <
            NumberAt(budget, {"metadata", "generation"}) ||
        allowed <= 0) {
      refused = TooManyDisruptions(pod_key, budget);
      return false;
    }
    budget["status"]["disruptionsAllowed"] = allowed - 1;
    budget["status"]["disruptedPods"][pod_key.name] = Timestamp(now);
    return true;
  };
  if (dry_run) {
    store.PreviewEdit(budget_key, use);
  } else {
    store.Edit(budget_key, use);
  }
  return refused;
}

}  // namespace

void ReconcileBudget(ObjectStore& store, const ObjectKey& key) {
  Object budget = store.Get(key);
  if (budget == nullptr) return;
  const Health health = HealthOf(store, key.namespace_name, *budget);
  const std::string uid = TextAt(*budget, {"metadata", "uid"});
  store.Edit(key, [&](Json& edited) {
    if (TextAt(edited, {"metadata", "uid"}) != uid) return false;
    Json& status = edited["status"];
    status["observedGeneration"] = NumberAt(edited, {"metadata", "generation"});
    status["expectedPods"] = health.expected;
    status["desiredHealthy"] = health.desired;
    status["currentHealthy"] = health.current;
    status["disruptionsAllowed"] = health.Allowed();
    if (health.disrupted.empty()) {
      status.erase("disruptedPods");
    } else {
      status["disruptedPods"] = health.disrupted;
    }
    return true;
  });
}

ApiReply EvictPod(ObjectStore& store, absl::Time now, const ObjectKey& key, const Json& eviction,
                  bool dry_run) {
  if (TextAt(eviction, {"metadata", "name"}) != key.name) {
    return BadRequest(Cat("name in URL does not match name in Eviction object: ", key.name));
  }
  Object pod = store.Get(key);
  if (pod == nullptr) return NotFound(*key.resource, key.name);
  DeleteOptions options;
  options.uid = TextAt(eviction, {"deleteOptions", "preconditions", "uid"});
  const Json& grace = At(eviction, {"deleteOptions", "gracePeriodSeconds"});
  if (grace.is_number_integer()) options.grace_seconds = grace.get<int64_t>();

  const bool counts =
      !IsFinished(*pod) && TextAt(*pod, {"status", "phase"}) != "Pending" && !IsBeingDeleted(*pod);
  std::vector<ObjectKey> budgets;
  const Resource& resource = *FindResource("poddisruptionbudgets");
  for (const Object& budget : store.List(resource, key.namespace_name).objects) {
    if (!counts || !Selects(*budget, *pod)) continue;
    budgets.push_back({&resource, key.namespace_name, TextAt(*budget, {"metadata", "name"})});
  }
  if (budgets.size() > 1) {
    return StatusReply(500, "InternalError",
                       "This pod has more than one PodDisruptionBudget, which the eviction "
                       "subresource does not support.");
  }
  for (const ObjectKey& budget : budgets) {
    if (auto refused = UseBudget(store, now, key, *pod, budget, dry_run)) return *refused;
  }
  ApiReply reply = StatusReply(201, "", "", nullptr);
  reply.body = {{"kind", "Status"},
                {"apiVersion", "v1"},
                {"metadata", Json::object()},
                {"status", "Success"},
                {"code", 201}};
  reply.uid = TextAt(*pod, {"metadata", "uid"});
  if (dry_run) return reply;
  DeleteResult result = DeleteObject(store, now, key, options);
  if (result.outcome == DeleteResult::Outcome::kNotFound) return NotFound(*key.resource, key.name);
  if (result.outcome == DeleteResult::Outcome::kConflict) {
    return Conflict(*key.resource, key.name, result.conflict);
  }
  reply.applied = true;
  return reply;
}

}  // namespace capstan::kubesim
