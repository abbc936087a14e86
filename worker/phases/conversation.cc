#include "worker/phases/conversation.h"

#include <optional>

#include "absl/status/status.h"
#include "core/text.h"
#include "worker/phases/json.h"

namespace capstan::phases {
namespace {

using Json = nlohmann::json;

bool IsTextMessage(const Json& message, std::string_view role) {
  return message.is_object() && message.size() == 2 && TextField(message, "role") == role &&
         Field(message, "content").is_string();
}

}  // namespace

absl::StatusOr<Json> ReadConversation(std::string_view state) {
  if (state.empty()) {
    return absl::InvalidArgumentError("session_state: got none, want that of the turn before");
  }
  if (state.size() > kMaxSessionStateBytes) {
    return absl::InvalidArgumentError(
        Cat("session_state: got ", state.size(), " bytes, want at most ", kMaxSessionStateBytes));
  }
  const std::optional<Json> json = ParseJson(state);
  const Json& messages = json.has_value() ? Field(*json, "messages") : Json();
  bool good = messages.is_array() && messages.size() % 2 == 0;
  for (std::size_t i = 0; good && i < messages.size(); ++i) {
    good = IsTextMessage(messages[i], i % 2 == 0 ? "user" : "assistant");
  }
  if (!good) {
    return absl::InvalidArgumentError(
        "session_state: got something else, want messages of user and assistant in turn");
  }
  return messages;
}

std::string WriteConversation(const Json& messages) {
  std::string state = JsonText({{"messages", messages}});
  return state.size() > kMaxSessionStateBytes ? "" : state;
}

Json TextMessage(std::string_view role, std::string_view text) {
  return {{"role", role}, {"content", text}};
}

}  // namespace capstan::phases
