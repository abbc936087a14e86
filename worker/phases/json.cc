#include "worker/phases/json.h"

#include <algorithm>

namespace capstan::phases {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMaxCount = 1'000'000'000'000'000;

// The parser of the library builds everything before depth can be asked for.
bool TooDeep(std::string_view text) {
  int depth = 0;
  bool in_text = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_text) {
      if (c == '\\') ++i;
      if (c == '"') in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxJsonDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

}  // namespace

std::optional<Json> ParseJson(std::string_view text) {
  if (TooDeep(text)) return std::nullopt;
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return std::nullopt;
  return json;
}

std::string JsonText(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

const Json& Field(const Json& object, std::string_view key) {
  static const Json null;
  if (!object.is_object()) return null;
  auto found = object.find(key);
  return found == object.end() ? null : *found;
}

std::string TextField(const Json& object, std::string_view key) {
  const Json& field = Field(object, key);
  return field.is_string() ? field.get<std::string>() : "";
}

bool FlagField(const Json& object, std::string_view key) {
  const Json& field = Field(object, key);
  return field.is_boolean() && field.get<bool>();
}

std::int64_t CountField(const Json& object, std::string_view key) {
  const Json& field = Field(object, key);
  if (field.is_number_unsigned()) {
    return static_cast<std::int64_t>(
        std::min<std::uint64_t>(field.get<std::uint64_t>(), kMaxCount));
  }
  if (field.is_number_integer()) return std::clamp<std::int64_t>(field, 0, kMaxCount);
  return 0;
}

}  // namespace capstan::phases
