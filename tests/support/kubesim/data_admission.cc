#include "tests/support/kubesim/data_admission.h"

#include <algorithm>
#include <cctype>

#include "absl/strings/escaping.h"
#include "tests/support/kubesim/object_store.h"
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

constexpr size_t kMaxDataBytes = 1024 * 1024;
constexpr size_t kMaxKey = 253;

bool HoldsData(const Resource& resource) {
  return resource.kind == "ConfigMap" || resource.kind == "Secret";
}

bool IsBase64Field(const Resource& resource, std::string_view field) {
  return field == "binaryData" || (resource.kind == "Secret" && field == "data");
}

bool IsKey(const std::string& key) {
  return !key.empty() && key.size() <= kMaxKey && key != "." && key != ".." &&
         std::all_of(key.begin(), key.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' ||
                  c == '.';
         });
}

}  // namespace

void NormalizeData(const Resource& resource, Json& object) {
  if (!HoldsData(resource)) return;
  if (resource.kind == "Secret") {
    if (!object.contains("type")) object["type"] = "Opaque";
    const Json texts = At(object, {"stringData"});
    object.erase("stringData");
    if (texts.is_object()) {
      for (const auto& [key, value] : texts.items()) {
        object["data"][key] =
            value.is_string() ? Json(absl::Base64Escape(value.get<std::string>())) : value;
      }
    }
  }
  for (const char* field : {"data", "binaryData"}) {
    const Json& map = At(object, {field});
    if (map.is_null() || (map.is_object() && map.empty())) object.erase(field);
  }
}

std::optional<ApiReply> UndecodableData(const Resource& resource, const Json& object) {
  if (!HoldsData(resource)) return std::nullopt;
  const auto refuse = [&](std::string_view why) {
    return BadRequest(
        Cat(resource.kind, " in version \"v1\" cannot be handled as a ", resource.kind, ": ", why));
  };
  for (const char* field : {"data", "binaryData"}) {
    const Json& map = At(object, {field});
    if (map.is_null()) continue;
    if (!map.is_object()) return refuse("json: cannot unmarshal into Go value of type map");
    for (const auto& entry : map.items()) {
      std::string decoded;
      if (!entry.value().is_string()) return refuse("json: cannot unmarshal into type string");
      if (IsBase64Field(resource, field) &&
          !absl::Base64Unescape(entry.value().get<std::string>(), &decoded)) {
        return refuse("illegal base64 data at input byte 0");
      }
    }
  }
  return std::nullopt;
}

void CheckData(const Resource& resource, const Json& object, std::vector<FieldError>& errors) {
  if (!HoldsData(resource)) return;
  size_t bytes = 0;
  for (const char* field : {"data", "binaryData"}) {
    const Json& map = At(object, {field});
    if (!map.is_object()) continue;
    for (const auto& entry : map.items()) {
      const size_t size = entry.value().get_ref<const std::string&>().size();
      bytes += IsBase64Field(resource, field) ? size / 4 * 3 : size;
      if (IsKey(entry.key())) continue;
      errors.push_back({"FieldValueInvalid", Cat(field, "[", entry.key(), "]"),
                        Cat("Invalid value: \"", entry.key(),
                            "\": a valid config key must consist of alphanumeric characters, '-', "
                            "'_' or '.'")});
    }
  }
  if (bytes > kMaxDataBytes) {
    errors.push_back({"FieldValueTooLong", resource.kind == "Secret" ? "data" : "",
                      Cat("Too long: may not be more than ", kMaxDataBytes, " bytes")});
  }
}

void CheckImmutable(const Resource& resource, const Json& before, const Json& after,
                    std::vector<FieldError>& errors) {
  if (!HoldsData(resource) || At(before, {"immutable"}) != true) return;
  for (const char* field : {"data", "binaryData", "immutable"}) {
    if (At(before, {field}) == At(after, {field})) continue;
    errors.push_back(
        {"FieldValueForbidden", field, "Forbidden: field is immutable when `immutable` is set"});
  }
}

}  // namespace capstan::kubesim
