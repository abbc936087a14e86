#include "tests/support/kubesim/deployment_controller.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <vector>

#include "tests/support/kubesim/admission.h"
#include "tests/support/kubesim/deletion.h"
#include "tests/support/kubesim/scheduler.h"
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

constexpr int kNameSuffixLength = 5;
constexpr char kHashLabel[] = "pod-template-hash";
constexpr char kRevision[] = "deployment.kubernetes.io/revision";

std::string HashOf(const Json& pod_template) {
  char text[11];
  std::snprintf(text, sizeof(text), "%010zx",
                std::hash<std::string>()(pod_template.dump()) & size_t{0xffffffffff});
  return text;
}

void SetCount(Json& status, const char* key, int64_t count) {
  status.erase(key);
  if (count != 0) status[key] = count;  // the real server leaves zeros out
}

Json Condition(const Json& before, const char* type, bool value, const std::string& reason,
               const std::string& message, absl::Time now) {
  Json condition = {{"type", type},
                    {"status", value ? "True" : "False"},
                    {"reason", reason},
                    {"message", message}};
  const Json& known = At(before, {"conditions"});
  for (size_t i = 0; known.is_array() && i < known.size(); ++i) {
    if (known[i]["type"] == type && known[i]["status"] == condition["status"] &&
        known[i]["reason"] == reason) {
      return known[i];
    }
  }
  condition["lastUpdateTime"] = Timestamp(now);
  condition["lastTransitionTime"] = Timestamp(now);
  return condition;
}

void Remove(ObjectStore& store, absl::Time now, const ObjectKey& key) {
  DeleteObject(store, now, key, DeleteOptions());
}

}  // namespace

DeploymentController::DeploymentController(ObjectStore& store, Clock& clock, Timers& timers)
    : store_(store), clock_(clock), timers_(timers), random_(std::random_device{}()) {}

void DeploymentController::Reconcile(const ObjectKey& key) {
  Object deployment = store_.Get(key);
  if (deployment == nullptr || IsBeingDeleted(*deployment)) return;
  const std::string uid = TextAt(*deployment, {"metadata", "uid"});
  const Json& spec = At(*deployment, {"spec"});
  int64_t wanted = NumberAt(spec, {"replicas"}, 1);
  const std::string hash = HashOf(At(spec, {"template"}));

  std::vector<ObjectKey> current;
  std::vector<ObjectKey> old;
  int64_t ready_current = 0;
  int64_t ready = 0;
  for (const auto& [pod_key, pod] : store_.Dependents(uid)) {
    if (pod_key.resource->kind != "Pod" || IsBeingDeleted(*pod)) continue;
    bool is_current = At(*pod, {"metadata", "labels", kHashLabel}) == hash;
    (is_current ? current : old).push_back(pod_key);
    if (!IsTrueCondition(*pod, "Ready")) continue;
    ++ready;
    ready_current += is_current ? 1 : 0;
  }
  bool paused = At(spec, {"paused"}) == true;
  int64_t present =
      static_cast<int64_t>(current.size()) + (paused ? static_cast<int64_t>(old.size()) : 0);
  for (; present < wanted; ++present) CreatePod(key, *deployment, hash);
  for (; static_cast<int64_t>(current.size()) > wanted; current.pop_back()) {
    Remove(store_, clock_.Now(), current.back());
  }
  // As many old pods stay as new ones are not ready yet.
  while (!paused &&
         static_cast<int64_t>(old.size()) > std::max<int64_t>(0, wanted - ready_current)) {
    Remove(store_, clock_.Now(), old.back());
    old.pop_back();
  }

  bool complete =
      ready_current >= wanted && old.empty() && static_cast<int64_t>(current.size()) == wanted;
  const std::string looks =
      Cat(hash, " ", wanted, " ", current.size(), " ", old.size(), " ", ready);
  if (last_seen_[uid] != looks || complete) {
    last_seen_[uid] = looks;
    progressed_[uid] = clock_.BootTime();
  }
  absl::Duration due =
      progressed_[uid] + absl::Seconds(NumberAt(spec, {"progressDeadlineSeconds"}, 600));
  bool late = !complete && clock_.BootTime() >= due;
  if (!complete && !late) timers_.Add(due, key);

  const std::string set = Cat(key.name, "-", hash);
  Json status = At(*deployment, {"status"});
  Json progressing =
      complete
          ? Condition(status, "Progressing", true, "NewReplicaSetAvailable",
                      Cat("ReplicaSet \"", set, "\" has successfully progressed."), clock_.Now())
      : late ? Condition(status, "Progressing", false, "ProgressDeadlineExceeded",
                         Cat("ReplicaSet \"", set, "\" has timed out progressing."), clock_.Now())
             : Condition(status, "Progressing", true, "ReplicaSetUpdated",
                         Cat("ReplicaSet \"", set, "\" is progressing."), clock_.Now());
  bool available = ready >= wanted - wanted / 4;
  status["conditions"] =
      Json::array({Condition(status, "Available", available,
                             available ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
                             available ? "Deployment has minimum availability."
                                       : "Deployment does not have minimum availability.",
                             clock_.Now()),
                   std::move(progressing)});
  status["observedGeneration"] = NumberAt(*deployment, {"metadata", "generation"});
  SetCount(status, "replicas", static_cast<int64_t>(current.size() + old.size()));
  SetCount(status, "updatedReplicas", static_cast<int64_t>(current.size()));
  SetCount(status, "readyReplicas", ready);
  SetCount(status, "availableReplicas", ready);
  SetCount(status, "unavailableReplicas", std::max<int64_t>(0, wanted - ready));
  if (auto& revision = revisions_[uid]; revision.first != hash) {
    revision = {hash, revision.second + 1};
  }
  const std::string revision = std::to_string(revisions_[uid].second);
  store_.Edit(key, [&](Json& edited) {
    if (TextAt(edited, {"metadata", "uid"}) != uid) return false;
    edited["status"] = status;
    edited["metadata"]["annotations"][kRevision] = revision;
    return true;
  });
}

void DeploymentController::CreatePod(const ObjectKey& key, const Json& deployment,
                                     const std::string& hash) {
  constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string name = Cat(key.name, "-", hash, "-");
  for (int i = 0; i < kNameSuffixLength; ++i) name += kAlphabet[random_() % kAlphabet.size()];
  const Json& pod_template = At(deployment, {"spec", "template"});
  Json pod = {
      {"metadata", At(pod_template, {"metadata"}).is_object() ? At(pod_template, {"metadata"})
                                                              : Json::object()},
      {"spec", At(pod_template, {"spec"})}};
  Json& metadata = pod["metadata"];
  metadata["name"] = name;
  metadata["labels"][kHashLabel] = hash;
  metadata["ownerReferences"] = Json::array({{{"apiVersion", "apps/v1"},
                                              {"kind", "Deployment"},
                                              {"name", key.name},
                                              {"uid", TextAt(deployment, {"metadata", "uid"})},
                                              {"controller", true},
                                              {"blockOwnerDeletion", true}}});
  ApplyDefaults(*FindResource("pods"), pod);
  store_.Create({FindResource("pods"), key.namespace_name, name}, std::move(pod));
}

}  // namespace capstan::kubesim
