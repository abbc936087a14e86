#include "tests/support/kubesim/garbage_collector.h"

#include "tests/support/kubesim/deletion.h"

namespace capstan::kubesim {

GarbageCollector::GarbageCollector(ObjectStore& store, Clock& clock)
    : store_(store), clock_(clock) {}

void GarbageCollector::DeleteDependent(const ObjectKey& key, bool owner_gone) {
  if (owner_gone) {
    // Nobody is left to count the pod.
    store_.Edit(key, [](Json& dependent) {
      RemoveFinalizer(dependent, kJobTrackingFinalizer);
      return true;
    });
  }
  DeleteObject(store_, clock_.Now(), key, DeleteOptions());
}

void GarbageCollector::OnDeleted(const Json& owner) {
  for (const auto& [key, dependent] : store_.Dependents(TextAt(owner, {"metadata", "uid"}))) {
    DeleteDependent(key, /*owner_gone=*/true);
  }
}

void GarbageCollector::Reconcile(const ObjectKey& key) {
  Object owner = store_.Get(key);
  if (owner == nullptr || !IsBeingDeleted(*owner) || !HasFinalizer(*owner, kForegroundFinalizer)) {
    return;
  }
  const std::string uid = TextAt(*owner, {"metadata", "uid"});
  auto dependents = store_.Dependents(uid);
  for (const auto& [dependent_key, dependent] : dependents) {
    if (!IsBeingDeleted(*dependent)) DeleteDependent(dependent_key, /*owner_gone=*/false);
  }
  if (!dependents.empty()) return;
  store_.Edit(key, [&](Json& object) {
    if (TextAt(object, {"metadata", "uid"}) != uid) return false;
    RemoveFinalizer(object, kForegroundFinalizer);
    return true;
  });
}

}  // namespace capstan::kubesim
