// What was said so far in a conversation over the Messages API: its session state.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace capstan::phases {

inline constexpr std::size_t kMaxSessionStateBytes = 4 << 20;

// The messages of a state, to which the next ones are appended. INVALID_ARGUMENT: it is none, or
// too large.
absl::StatusOr<nlohmann::json> ReadConversation(std::string_view state);

// Empty when it would be larger than kMaxSessionStateBytes: then only a new conversation is
// possible.
std::string WriteConversation(const nlohmann::json& messages);

nlohmann::json TextMessage(std::string_view role, std::string_view text);

}  // namespace capstan::phases
