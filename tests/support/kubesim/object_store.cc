#include "tests/support/kubesim/object_store.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <utility>

namespace capstan::kubesim {
namespace {

bool MayGo(const ObjectKey& key, const Json& object) {
  if (!IsBeingDeleted(object)) return false;
  const Json& finalizers = At(object, {"metadata", "finalizers"});
  if (finalizers.is_array() && !finalizers.empty()) return false;
  return key.resource->kind != "Pod" ||
         NumberAt(object, {"metadata", "deletionGracePeriodSeconds"}, -1) == 0;
}

bool InScope(const ObjectKey& key, const Resource& resource, const std::string& namespace_name) {
  return key.resource == &resource &&
         (namespace_name.empty() || key.namespace_name == namespace_name);
}

}  // namespace

ObjectStore::ObjectStore(Clock& clock, ChangeSignal& signal, size_t history_limit,
                         std::function<void(const Change&)> observer)
    : clock_(clock),
      signal_(signal),
      history_limit_(history_limit),
      observer_(std::move(observer)),
      random_(std::random_device{}()) {}

std::string ObjectStore::NewUid() {
  uint64_t high = random_();
  uint64_t low = random_();
  char uid[37];
  std::snprintf(uid, sizeof(uid),
                "%08" PRIx64 "-%04" PRIx64 "-4%03" PRIx64 "-a%03" PRIx64 "-%012" PRIx64, high >> 32,
                (high >> 16) & 0xffff, high & 0xfff, low >> 52, low & 0xffffffffffff);
  return uid;
}

Object ObjectStore::Stamp(const ObjectKey& key, Json object) {
  object["apiVersion"] = ApiVersion(*key.resource);
  object["kind"] = key.resource->kind;
  Json& metadata = object["metadata"];
  metadata["name"] = key.name;
  if (key.resource->namespaced) metadata["namespace"] = key.namespace_name;
  metadata["uid"] = NewUid();
  metadata["creationTimestamp"] = Timestamp(clock_.Now());
  metadata["resourceVersion"] = std::to_string(revision_ + 1);
  if (object.contains("spec")) metadata["generation"] = 1;
  // The Job's selector and its pods' label are its uid, which only now exists.
  if (key.resource->kind == "Job" && object.contains("spec")) {
    Json& spec = object["spec"];
    const std::string uid = metadata["uid"];
    spec["selector"] = {{"matchLabels", {{"batch.kubernetes.io/controller-uid", uid}}}};
    Json& labels = spec["template"]["metadata"]["labels"];
    labels["batch.kubernetes.io/controller-uid"] = uid;
    labels["batch.kubernetes.io/job-name"] = key.name;
    labels["controller-uid"] = uid;
    labels["job-name"] = key.name;
  }
  return std::make_shared<const Json>(std::move(object));
}

void ObjectStore::Index(const ObjectKey& key, const Json& object, bool add) {
  const Json& owners = At(object, {"metadata", "ownerReferences"});
  if (!owners.is_array()) return;
  for (const Json& owner : owners) {
    const std::string uid = TextAt(owner, {"uid"});
    if (add) {
      by_owner_[uid].insert(key);
    } else if (auto entry = by_owner_.find(uid); entry != by_owner_.end()) {
      entry->second.erase(key);
      if (entry->second.empty()) by_owner_.erase(entry);
    }
  }
}

void ObjectStore::Record(Change change) {
  revision_ = change.revision;
  observer_(change);
  history_.push_back(std::move(change));
  while (history_.size() > history_limit_) {
    compacted_ = std::max(compacted_, history_.front().revision);
    history_.pop_front();
  }
}

Object ObjectStore::Create(const ObjectKey& key, Json object) {
  Object created;
  {
    absl::MutexLock lock(&mu_);
    if (objects_.contains(key)) return nullptr;
    created = Stamp(key, std::move(object));
    objects_[key] = created;
    uids_.insert(TextAt(*created, {"metadata", "uid"}));
    Index(key, *created, /*add=*/true);
    Record({revision_ + 1, Change::Type::kAdded, key, created, nullptr});
  }
  signal_.Notify();
  return created;
}

Object ObjectStore::PreviewCreate(const ObjectKey& key, Json object) {
  absl::MutexLock lock(&mu_);
  if (objects_.contains(key)) return nullptr;
  return Stamp(key, std::move(object));
}

Object ObjectStore::Get(const ObjectKey& key) const {
  absl::MutexLock lock(&mu_);
  auto it = objects_.find(key);
  return it == objects_.end() ? nullptr : it->second;
}

ObjectStore::Snapshot ObjectStore::List(const Resource& resource,
                                        const std::string& namespace_name) const {
  absl::MutexLock lock(&mu_);
  Snapshot snapshot;
  snapshot.revision = revision_;
  for (auto it = objects_.lower_bound({&resource, namespace_name, ""});
       it != objects_.end() && InScope(it->first, resource, namespace_name); ++it) {
    snapshot.objects.push_back(it->second);
  }
  return snapshot;
}

std::vector<std::pair<ObjectKey, Object>> ObjectStore::Dependents(
    const std::string& owner_uid) const {
  absl::MutexLock lock(&mu_);
  std::vector<std::pair<ObjectKey, Object>> dependents;
  auto entry = by_owner_.find(owner_uid);
  if (entry == by_owner_.end()) return dependents;
  for (const ObjectKey& key : entry->second) dependents.emplace_back(key, objects_.at(key));
  return dependents;
}

bool ObjectStore::UidExists(const std::string& uid) const {
  absl::MutexLock lock(&mu_);
  return uids_.contains(uid);
}

Object ObjectStore::RemoveLocked(std::map<ObjectKey, Object>::iterator it) {
  ObjectKey key = it->first;
  Object previous = it->second;
  Json last = *previous;
  last["metadata"]["resourceVersion"] = std::to_string(revision_ + 1);
  auto removed = std::make_shared<const Json>(std::move(last));
  Index(key, *previous, /*add=*/false);
  uids_.erase(TextAt(*previous, {"metadata", "uid"}));
  objects_.erase(it);
  Record({revision_ + 1, Change::Type::kDeleted, key, removed, previous});
  return removed;
}

Object ObjectStore::Edit(const ObjectKey& key, const std::function<bool(Json&)>& edit) {
  Object after;
  {
    absl::MutexLock lock(&mu_);
    auto it = objects_.find(key);
    if (it == objects_.end()) return nullptr;
    Object before = it->second;
    Json edited = *before;
    if (!edit(edited) || edited == *before) return before;
    if (At(edited, {"spec"}) != At(*before, {"spec"}) && key.resource->kind != "Pod") {
      edited["metadata"]["generation"] = NumberAt(*before, {"metadata", "generation"}) + 1;
    }
    edited["metadata"]["resourceVersion"] = std::to_string(revision_ + 1);
    after = std::make_shared<const Json>(std::move(edited));
    Index(key, *before, /*add=*/false);
    Index(key, *after, /*add=*/true);
    it->second = after;
    if (MayGo(key, *after)) {
      after = RemoveLocked(it);
    } else {
      Record({revision_ + 1, Change::Type::kModified, key, after, before});
    }
  }
  signal_.Notify();
  return after;
}

Object ObjectStore::PreviewEdit(const ObjectKey& key,
                                const std::function<bool(Json&)>& edit) const {
  absl::MutexLock lock(&mu_);
  auto it = objects_.find(key);
  if (it == objects_.end()) return nullptr;
  Json edited = *it->second;
  if (!edit(edited)) return it->second;
  return std::make_shared<const Json>(std::move(edited));
}

Object ObjectStore::Remove(const ObjectKey& key, const std::function<bool(const Json&)>& only_if) {
  Object removed;
  {
    absl::MutexLock lock(&mu_);
    auto it = objects_.find(key);
    if (it == objects_.end() || (only_if && !only_if(*it->second))) return nullptr;
    removed = RemoveLocked(it);
  }
  signal_.Notify();
  return removed;
}

int64_t ObjectStore::Revision() const {
  absl::MutexLock lock(&mu_);
  return revision_;
}

ObjectStore::Changes ObjectStore::Since(int64_t since, const Resource& resource,
                                        const std::string& namespace_name) const {
  absl::MutexLock lock(&mu_);
  Changes result;
  result.revision = revision_;
  // Revisions have no gaps. A compaction does not touch who is already reading: only lost changes
  // do.
  if (!history_.empty() && history_.front().revision > since + 1) {
    result.expired = true;
    return result;
  }
  auto it = std::partition_point(history_.begin(), history_.end(),
                                 [since](const Change& c) { return c.revision <= since; });
  for (; it != history_.end(); ++it) {
    if (InScope(it->key, resource, namespace_name)) result.changes.push_back(*it);
  }
  return result;
}

std::vector<Change> ObjectStore::History(const Resource& resource,
                                         const std::string& namespace_name) const {
  absl::MutexLock lock(&mu_);
  std::vector<Change> changes;
  for (const Change& change : history_) {
    if (InScope(change.key, resource, namespace_name)) changes.push_back(change);
  }
  return changes;
}

bool ObjectStore::Expired(int64_t revision) const {
  absl::MutexLock lock(&mu_);
  return revision < compacted_;
}

void ObjectStore::Compact() {
  {
    absl::MutexLock lock(&mu_);
    compacted_ = revision_;
  }
  signal_.Notify();
}

std::string Timestamp(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

const Json& At(const Json& object, std::initializer_list<const char*> path) {
  static const Json kNull;
  const Json* at = &object;
  for (const char* step : path) {
    if (!at->is_object()) return kNull;
    auto next = at->find(step);
    if (next == at->end()) return kNull;
    at = &*next;
  }
  return *at;
}

std::string TextAt(const Json& object, std::initializer_list<const char*> path) {
  const Json& value = At(object, path);
  return value.is_string() ? value.get<std::string>() : "";
}

int64_t NumberAt(const Json& object, std::initializer_list<const char*> path, int64_t fallback) {
  const Json& value = At(object, path);
  return value.is_number_integer() ? value.get<int64_t>() : fallback;
}

bool IsBeingDeleted(const Json& object) {
  return At(object, {"metadata", "deletionTimestamp"}).is_string();
}

bool HasFinalizer(const Json& object, std::string_view finalizer) {
  const Json& finalizers = At(object, {"metadata", "finalizers"});
  return finalizers.is_array() &&
         std::find(finalizers.begin(), finalizers.end(), Json(finalizer)) != finalizers.end();
}

void AddFinalizer(Json& object, std::string_view finalizer) {
  if (!HasFinalizer(object, finalizer)) object["metadata"]["finalizers"].push_back(finalizer);
}

void RemoveFinalizer(Json& object, std::string_view finalizer) {
  if (!HasFinalizer(object, finalizer)) return;
  Json& finalizers = object["metadata"]["finalizers"];
  finalizers.erase(std::remove(finalizers.begin(), finalizers.end(), Json(finalizer)),
                   finalizers.end());
  if (finalizers.empty()) object["metadata"].erase("finalizers");
}

}  // namespace capstan::kubesim
