#include "tests/support/kubesim/patch.h"

#include <algorithm>

#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

bool IsNamedList(const Json& list) {
  return list.is_array() && !list.empty() &&
         std::all_of(list.begin(), list.end(),
                     [](const Json& item) { return item.is_object() && item.contains("name"); });
}

void StrategicMerge(Json& document, const Json& patch);

void MergeNamedList(Json& document, const Json& patch) {
  for (const Json& item : patch) {
    auto known = std::find_if(document.begin(), document.end(), [&](const Json& candidate) {
      return candidate.value("name", Json()) == item["name"];
    });
    if (known == document.end()) {
      document.push_back(item);
    } else {
      StrategicMerge(*known, item);
    }
  }
}

void StrategicMerge(Json& document, const Json& patch) {
  if (!patch.is_object() || !document.is_object()) {
    document = patch;
    return;
  }
  for (const auto& [key, value] : patch.items()) {
    if (value.is_null()) {
      document.erase(key);
    } else if (IsNamedList(value) && document.contains(key) && IsNamedList(document[key])) {
      MergeNamedList(document[key], value);
    } else if (value.is_object()) {
      if (!document.contains(key)) document[key] = Json::object();
      StrategicMerge(document[key], value);
    } else {
      document[key] = value;
    }
  }
}

absl::StatusOr<Json> ApplyJsonPatch(const Json& patch, const Json& document) {
  try {
    return document.patch(patch);
  } catch (const Json::parse_error& error) {
    return absl::InvalidArgumentError(error.what());
  } catch (const Json::exception& error) {
    return absl::FailedPreconditionError(error.what());
  }
}

}  // namespace

absl::StatusOr<Json> ApplyPatch(const std::string& content_type, const Json& patch,
                                const Json& document) {
  const std::string type(Trim(Split(content_type, ';')[0]));
  if (type == kJsonPatch) return ApplyJsonPatch(patch, document);
  if (type != kMergePatch && type != kStrategicMergePatch) {
    return absl::UnimplementedError(type);
  }
  if (!patch.is_object()) return absl::InvalidArgumentError("patch: want a JSON object");
  Json patched = document;
  if (type == kMergePatch) {
    patched.merge_patch(patch);
  } else {
    StrategicMerge(patched, patch);
  }
  return patched;
}

}  // namespace capstan::kubesim
