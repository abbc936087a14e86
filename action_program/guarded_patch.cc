#include "action_program/guarded_patch.h"

#include <set>

#include "action_program/json_patch.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/json_fields.h"

namespace capstan::action_program {
namespace {

using kubernetes::BoolField;
using kubernetes::FindField;
using kubernetes::StringField;

constexpr std::string_view kDataFields[] = {"data", "binaryData"};

bool SameData(const Json& a, const Json& b) { return KeyChanges(a, b).empty(); }

}  // namespace

std::string Described(std::string_view kind, std::string_view name_space, std::string_view name) {
  return Cat(kind, " ", name_space, "/", name);
}

absl::Status Changed(std::string_view what, std::string_view got, std::string_view want) {
  return absl::AbortedError(Cat(what, " changed since it was read: resource version is ", got,
                                ", want ", want, "; nothing was changed"));
}

std::vector<KeyChange> KeyChanges(const Json& before, const Json& after) {
  std::vector<KeyChange> changes;
  for (std::string_view field : kDataFields) {
    const Json* old_map = FindField(before, {field});
    const Json* new_map = FindField(after, {field});
    std::set<std::string> keys;
    for (const Json* map : {old_map, new_map}) {
      if (map == nullptr || !map->is_object()) continue;
      for (const auto& entry : map->items()) keys.insert(entry.key());
    }
    for (const std::string& key : keys) {
      const Json* was = old_map == nullptr ? nullptr : FindField(*old_map, {key});
      const Json* is = new_map == nullptr ? nullptr : FindField(*new_map, {key});
      if (was != nullptr && is != nullptr && *was == *is) continue;
      changes.push_back({std::string(field), key,
                         was == nullptr  ? "added"
                         : is == nullptr ? "removed"
                                         : "changed"});
    }
  }
  return changes;
}

absl::StatusOr<Json> PatchVersion(Host& host, Resource resource, std::string_view kind,
                                  const Json& object, const Json& patch) {
  const std::string name_space = StringField(object, {"metadata", "namespace"});
  const std::string name = StringField(object, {"metadata", "name"});
  const std::string version = StringField(object, {"metadata", "resourceVersion"});
  const std::string what = Described(kind, name_space, name);
  if (BoolField(object, {"immutable"})) {
    return absl::FailedPreconditionError(Cat(what, " is immutable; nothing was changed"));
  }
  const absl::StatusOr<Json> expected = ApplyJsonPatch(object, patch);
  CAPSTAN_RETURN_IF_ERROR(Annotate(expected.status(), Cat("patch of ", what)));

  Json guarded =
      Json::array({{{"op", "test"}, {"path", "/metadata/resourceVersion"}, {"value", version}}});
  guarded.insert(guarded.end(), patch.begin(), patch.end());
  absl::StatusOr<Json> stored = host.Patch(resource, name_space, name, PatchType::kJson, guarded);
  if (stored.ok()) return stored;
  if (!absl::IsInvalidArgument(stored.status()) && !absl::IsAborted(stored.status()) &&
      !absl::IsUnknown(stored.status())) {
    return stored.status();
  }

  // Refused, perhaps because an earlier try of ours was applied and its reply was lost.
  CAPSTAN_ASSIGN_OR_RETURN(Json now, host.Get(resource, name_space, name));
  const std::string version_now = StringField(now, {"metadata", "resourceVersion"});
  if (version_now == version) return stored.status();
  if (SameData(now, *expected)) return now;
  return Changed(what, version_now, version);
}

}  // namespace capstan::action_program
