// Facts of one pod.
#include <algorithm>

#include "core/status_macros.h"
#include "worker/kubernetes/facts_reader.h"

namespace capstan::kubernetes {
namespace {

// Ready pods of the controller but for the one with this uid.
absl::StatusOr<int64_t> ReadyOthers(Client& client, const std::string& name_space,
                                    const std::string& owner_uid, const std::string& uid,
                                    const CallOptions& options) {
  CAPSTAN_ASSIGN_OR_RETURN(const ListResult pods,
                           client.List({.resource = kPods, .name_space = name_space}, options));
  return std::count_if(pods.items.begin(), pods.items.end(), [&](const Json& pod) {
    const Json* owner = ControllerOf(pod);
    return owner != nullptr && StringField(*owner, {"uid"}) == owner_uid &&
           StringField(pod, {"metadata", "uid"}) != uid && IsReadyPod(pod) && !IsTerminating(pod);
  });
}

}  // namespace

absl::StatusOr<Json> ReadPodFact(Client& client, const FactTarget& target,
                                 const CallOptions& options) {
  CAPSTAN_ASSIGN_OR_RETURN(Json fact, NotFoundFact(client, "Pod", target, options));
  CAPSTAN_ASSIGN_OR_RETURN(const std::optional<Json> pod,
                           Find(client, kPods, target.name_space, target.name, options));
  // After the change these are of the pod that was deleted, also when another one has its name.
  std::string owner_uid = StringField(target.captured, {"owner", "uid"});
  std::string uid = StringField(target.captured, {"uid"});
  if (pod) {
    SetFound(*pod, &fact);
    fact["phase"] = StringField(*pod, {"status", "phase"});
    fact["node"] = StringField(*pod, {"spec", "nodeName"});
    fact["ready"] = IsReadyPod(*pod);
    fact["images"] = Json::array();
    for (const Json& container : ArrayField(*pod, {"spec", "containers"})) {
      fact["images"].push_back(StringField(container, {"image"}));
    }
    fact["owner"] = nullptr;
    if (const Json* owner = ControllerOf(*pod)) {
      fact["owner"] = {{"kind", StringField(*owner, {"kind"})},
                       {"name", StringField(*owner, {"name"})},
                       {"uid", StringField(*owner, {"uid"})}};
      if (owner_uid.empty()) owner_uid = StringField(*owner, {"uid"});
    }
    if (uid.empty()) uid = StringField(*pod, {"metadata", "uid"});
    fact["owner_ready_others"] = 0;
  }
  if (owner_uid.empty()) return fact;
  CAPSTAN_ASSIGN_OR_RETURN(fact["owner_ready_others"],
                           ReadyOthers(client, target.name_space, owner_uid, uid, options));
  return fact;
}

}  // namespace capstan::kubernetes
