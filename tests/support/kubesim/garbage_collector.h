// Removes what a deleted object owned, and finishes foreground deletions.
#pragma once

#include "core/clock.h"
#include "tests/support/kubesim/object_store.h"

namespace capstan::kubesim {

// Used by the controller thread only.
class GarbageCollector {
 public:
  GarbageCollector(ObjectStore& store, Clock& clock);

  // An object is gone: its dependents follow.
  void OnDeleted(const Json& owner);
  // An object that waits for its dependents: deletes them, and lets it go when none is left.
  void Reconcile(const ObjectKey& key);

 private:
  void DeleteDependent(const ObjectKey& key, bool owner_gone);

  ObjectStore& store_;
  Clock& clock_;
};

}  // namespace capstan::kubesim
