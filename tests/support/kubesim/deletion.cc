#include "tests/support/kubesim/deletion.h"

#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

constexpr int64_t kDefaultGraceSeconds = 30;

std::string BrokenPrecondition(const Json& object, const DeleteOptions& options) {
  const std::string uid = TextAt(object, {"metadata", "uid"});
  if (!options.uid.empty() && options.uid != uid) {
    return Cat("Precondition failed: UID in precondition: ", options.uid,
               ", UID in object meta: ", uid);
  }
  const std::string version = TextAt(object, {"metadata", "resourceVersion"});
  if (!options.resource_version.empty() && options.resource_version != version) {
    return Cat("Precondition failed: ResourceVersion in precondition: ", options.resource_version,
               ", ResourceVersion in object meta: ", version);
  }
  return "";
}

// A pod that no kubelet runs any more, or never did, goes at once.
int64_t PodGrace(const Json& pod, const DeleteOptions& options) {
  const std::string phase = TextAt(pod, {"status", "phase"});
  if (phase == "Succeeded" || phase == "Failed" || TextAt(pod, {"spec", "nodeName"}).empty()) {
    return 0;
  }
  return options.grace_seconds.value_or(
      NumberAt(pod, {"spec", "terminationGracePeriodSeconds"}, kDefaultGraceSeconds));
}

void MarkDeleted(Json& object, absl::Time now, const ObjectKey& key, const DeleteOptions& options) {
  Json& metadata = object["metadata"];
  if (!IsBeingDeleted(object)) metadata["deletionTimestamp"] = Timestamp(now);
  if (key.resource->kind == "Pod") {
    int64_t grace = PodGrace(object, options);
    const Json& already = At(object, {"metadata", "deletionGracePeriodSeconds"});
    if (!already.is_number() || grace < already.get<int64_t>()) {
      metadata["deletionGracePeriodSeconds"] = grace;
    }
    return;
  }
  metadata["deletionGracePeriodSeconds"] = 0;
  if (options.propagation == Propagation::kForeground) AddFinalizer(object, kForegroundFinalizer);
  if (options.propagation == Propagation::kOrphan) AddFinalizer(object, kOrphanFinalizer);
}

void LetGoOfDependents(ObjectStore& store, const std::string& owner_uid) {
  for (const auto& [key, object] : store.Dependents(owner_uid)) {
    store.Edit(key, [&](Json& dependent) {
      Json kept = Json::array();
      for (const Json& owner : dependent["metadata"]["ownerReferences"]) {
        if (TextAt(owner, {"uid"}) != owner_uid) kept.push_back(owner);
      }
      dependent["metadata"]["ownerReferences"] = kept;
      return true;
    });
  }
}

}  // namespace

DeleteResult DeleteObject(ObjectStore& store, absl::Time now, const ObjectKey& key,
                          const DeleteOptions& options) {
  DeleteResult result;
  result.object = store.Edit(key, [&](Json& object) {
    result.conflict = BrokenPrecondition(object, options);
    if (!result.conflict.empty()) return false;
    MarkDeleted(object, now, key, options);
    return true;
  });
  if (result.object == nullptr) return result;
  if (!result.conflict.empty()) {
    result.outcome = DeleteResult::Outcome::kConflict;
    return result;
  }
  const std::string uid = TextAt(*result.object, {"metadata", "uid"});
  if (options.propagation == Propagation::kOrphan && key.resource->kind != "Pod") {
    LetGoOfDependents(store, uid);
    store.Edit(key, [&](Json& object) {
      if (TextAt(object, {"metadata", "uid"}) != uid) return false;
      RemoveFinalizer(object, kOrphanFinalizer);
      return true;
    });
  }
  result.outcome =
      store.UidExists(uid) ? DeleteResult::Outcome::kMarked : DeleteResult::Outcome::kGone;
  return result;
}

}  // namespace capstan::kubesim
