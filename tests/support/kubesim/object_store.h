// The simulated etcd: objects, one growing resourceVersion, and the history that watches read.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/clock.h"
#include "tests/support/kubesim/change_signal.h"
#include "tests/support/kubesim/json.h"
#include "tests/support/kubesim/resource.h"

namespace capstan::kubesim {

struct ObjectKey {
  const Resource* resource = nullptr;
  std::string namespace_name;  // "" for cluster-scoped kinds
  std::string name;

  friend bool operator<(const ObjectKey& a, const ObjectKey& b) {
    return std::tie(a.resource, a.namespace_name, a.name) <
           std::tie(b.resource, b.namespace_name, b.name);
  }
};

using Object = std::shared_ptr<const Json>;

struct Change {
  enum class Type { kAdded, kModified, kDeleted };
  int64_t revision = 0;
  Type type = Type::kAdded;
  ObjectKey key;
  Object object;    // for kDeleted the last state, with the deletion's resourceVersion
  Object previous;  // null for kAdded
};

// Thread-safe. Signals after every change.
class ObjectStore {
 public:
  // `observer` sees every change in order, under the store's lock: it must not call the store.
  ObjectStore(Clock& clock, ChangeSignal& signal, size_t history_limit,
              std::function<void(const Change&)> observer);

  // Sets uid, resourceVersion, creationTimestamp, generation, apiVersion and kind. Null when the
  // name is taken.
  Object Create(const ObjectKey& key, Json object);
  // What Create() would store; nothing is stored. Null when the name is taken.
  Object PreviewCreate(const ObjectKey& key, Json object);

  // Null when there is none.
  Object Get(const ObjectKey& key) const;

  struct Snapshot {
    int64_t revision = 0;
    std::vector<Object> objects;  // by namespace and name
  };
  // "" is every namespace.
  Snapshot List(const Resource& resource, const std::string& namespace_name) const;
  // Objects whose ownerReferences name this uid.
  std::vector<std::pair<ObjectKey, Object>> Dependents(const std::string& owner_uid) const;
  bool UidExists(const std::string& uid) const;

  // Edits a copy under the lock. `edit` returns false to leave the object alone. An edit that
  // changes nothing is no change: same resourceVersion, no event. An object whose deletionTimestamp
  // is set and whose finalizers are gone is removed (a pod only once deletionGracePeriodSeconds is
  // 0). Returns the state after the edit (the last one when it was removed), null when there is no
  // object.
  Object Edit(const ObjectKey& key, const std::function<bool(Json&)>& edit);
  // The same, storing nothing.
  Object PreviewEdit(const ObjectKey& key, const std::function<bool(Json&)>& edit) const;
  // Removes whatever its finalizers say. Null when there was none, or `only_if` said no.
  Object Remove(const ObjectKey& key, const std::function<bool(const Json&)>& only_if = nullptr);

  int64_t Revision() const;

  struct Changes {
    bool expired = false;  // `since` is older than the kept history
    int64_t revision = 0;  // everything up to here is included
    std::vector<Change> changes;
  };
  Changes Since(int64_t since, const Resource& resource, const std::string& namespace_name) const;
  // Every kept change of this resource, oldest first.
  std::vector<Change> History(const Resource& resource, const std::string& namespace_name) const;
  bool Expired(int64_t revision) const;
  void Compact();

 private:
  Object Stamp(const ObjectKey& key, Json object) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Record(Change change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Index(const ObjectKey& key, const Json& object, bool add) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Object RemoveLocked(std::map<ObjectKey, Object>::iterator it) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string NewUid() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Clock& clock_;
  ChangeSignal& signal_;
  const size_t history_limit_;
  const std::function<void(const Change&)> observer_;

  mutable absl::Mutex mu_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mu_);
  int64_t revision_ ABSL_GUARDED_BY(mu_) = 1;
  int64_t compacted_ ABSL_GUARDED_BY(mu_) = 0;  // history after this revision is kept
  std::map<ObjectKey, Object> objects_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::set<ObjectKey>> by_owner_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> uids_ ABSL_GUARDED_BY(mu_);
  std::deque<Change> history_ ABSL_GUARDED_BY(mu_);
};

// RFC 3339 with seconds, as metadata timestamps are.
std::string Timestamp(absl::Time time);

// Null Json when a step is missing: At(pod, {"status", "phase"}).
const Json& At(const Json& object, std::initializer_list<const char*> path);
// "" when it is missing or not a string.
std::string TextAt(const Json& object, std::initializer_list<const char*> path);
int64_t NumberAt(const Json& object, std::initializer_list<const char*> path, int64_t fallback = 0);
bool IsBeingDeleted(const Json& object);
bool HasFinalizer(const Json& object, std::string_view finalizer);
void AddFinalizer(Json& object, std::string_view finalizer);
void RemoveFinalizer(Json& object, std::string_view finalizer);

}  // namespace capstan::kubesim
