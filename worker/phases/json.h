// Reading JSON that a model, a provider or a program sent: bounded, and nothing throws.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nlohmann/json.hpp"

namespace capstan::phases {

inline constexpr int kMaxJsonDepth = 64;

// nullopt: not JSON, not UTF-8, or deeper than kMaxJsonDepth.
std::optional<nlohmann::json> ParseJson(std::string_view text);

// As text; bytes that are not UTF-8 become U+FFFD.
std::string JsonText(const nlohmann::json& json);

// A missing or mistyped field reads as absent. The results of Field live as long as `object` (or
// for ever).
const nlohmann::json& Field(const nlohmann::json& object, std::string_view key);  // null: absent
std::string TextField(const nlohmann::json& object, std::string_view key);        // "": absent
bool FlagField(const nlohmann::json& object, std::string_view key);               // false: absent
// 0: absent or negative; never more than 10^15, so that sums do not overflow.
std::int64_t CountField(const nlohmann::json& object, std::string_view key);

}  // namespace capstan::phases
