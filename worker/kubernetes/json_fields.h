// Reading fields of objects that others wrote: a missing or mistyped field reads as absent and
// nothing throws.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "nlohmann/json.hpp"

namespace capstan::kubernetes {

using FieldPath = std::initializer_list<std::string_view>;

// The value at `path` below `object`, or null. It lives as long as `object`.
const nlohmann::json* FindField(const nlohmann::json& object, FieldPath path);

std::string StringField(const nlohmann::json& object, FieldPath path);  // "" when absent
int64_t IntField(const nlohmann::json& object, FieldPath path, int64_t absent = 0);
bool BoolField(const nlohmann::json& object, FieldPath path);  // false when absent
// RFC 3339; InfinitePast when absent or unreadable.
absl::Time TimeField(const nlohmann::json& object, FieldPath path);
// The array at `path`, an empty one when absent. It lives as long as `object` (or for ever).
const nlohmann::json& ArrayField(const nlohmann::json& object, FieldPath path);

}  // namespace capstan::kubernetes
