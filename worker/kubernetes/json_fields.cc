#include "worker/kubernetes/json_fields.h"

namespace capstan::kubernetes {

using Json = nlohmann::json;

const Json* FindField(const Json& object, FieldPath path) {
  const Json* at = &object;
  for (std::string_view name : path) {
    if (!at->is_object()) return nullptr;
    auto found = at->find(name);
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}

std::string StringField(const Json& object, FieldPath path) {
  const Json* field = FindField(object, path);
  return field != nullptr && field->is_string() ? field->get<std::string>() : "";
}

int64_t IntField(const Json& object, FieldPath path, int64_t absent) {
  const Json* field = FindField(object, path);
  return field != nullptr && field->is_number_integer() ? field->get<int64_t>() : absent;
}

bool BoolField(const Json& object, FieldPath path) {
  const Json* field = FindField(object, path);
  return field != nullptr && field->is_boolean() && field->get<bool>();
}

absl::Time TimeField(const Json& object, FieldPath path) {
  const Json* field = FindField(object, path);
  absl::Time time;
  if (field == nullptr || !field->is_string() ||
      !absl::ParseTime(absl::RFC3339_full, field->get_ref<const std::string&>(), &time, nullptr)) {
    return absl::InfinitePast();
  }
  return time;
}

const Json& ArrayField(const Json& object, FieldPath path) {
  static const Json empty = Json::array();
  const Json* field = FindField(object, path);
  return field != nullptr && field->is_array() ? *field : empty;
}

}  // namespace capstan::kubernetes
