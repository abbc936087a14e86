#include "worker/phases/message_stream.h"

#include <algorithm>
#include <optional>

#include "worker/phases/json.h"
#include "worker/phases/usage.h"

namespace capstan::phases {
namespace {

using Json = nlohmann::json;

// The last message_delta has the final counts; of what it leaves out the first ones stand.
void Merge(const Json& more, Usage& usage) {
  const Usage later = UsageOfMessage(more);
  usage.output_tokens = std::max(usage.output_tokens, later.output_tokens);
  usage.input_tokens = std::max(usage.input_tokens, later.input_tokens);
  usage.cache_creation_tokens = std::max(usage.cache_creation_tokens, later.cache_creation_tokens);
  usage.cache_read_tokens = std::max(usage.cache_read_tokens, later.cache_read_tokens);
}

}  // namespace

MessageStream::Health MessageStream::OnEvent(std::string_view data) {
  if (health_ != Health::kGood) return health_;
  const std::optional<Json> event = ParseJson(data);
  if (!event.has_value() || !event->is_object()) return health_ = Health::kBroken;
  const std::string type = TextField(*event, "type");
  if (type == "message_start") {
    const Json& message = Field(*event, "message");
    usage_ = UsageOfMessage(Field(message, "usage"));
    usage_.model = TextField(message, "model");
    usage_.turns = 1;
    started_ = true;
  } else if (type == "content_block_start") {
    AddText(TextField(Field(*event, "content_block"), "text"));
  } else if (type == "content_block_delta") {
    const Json& delta = Field(*event, "delta");
    if (TextField(delta, "type") == "text_delta") AddText(TextField(delta, "text"));
  } else if (type == "message_delta") {
    stop_reason_ = TextField(Field(*event, "delta"), "stop_reason");
    const Json& usage = Field(*event, "usage");
    Merge(usage, usage_);
    has_output_usage_ = Field(usage, "output_tokens").is_number_unsigned();
  } else if (type == "message_stop") {
    ended_ = true;
  } else if (type == "error") {
    error_body_ = std::string(data);
    health_ = Health::kError;
  }
  return health_;
}

void MessageStream::AddText(const std::string& text) {
  if (text.empty()) return;
  if (text_.size() + text.size() > kMaxTextBytes) {
    health_ = Health::kTooLarge;
    return;
  }
  text_ += text;
  on_text_(text);
}

}  // namespace capstan::phases
