#include "worker/phases/stream_json.h"

#include <algorithm>

#include "core/text.h"
#include "worker/phases/json.h"
#include "worker/phases/usage.h"

namespace capstan::phases {
namespace {

using Json = nlohmann::json;

constexpr int kMaxLostTries = 1000;

// The text of a tool's result, which is a text or a list of blocks.
std::string ResultText(const Json& content) {
  if (content.is_string()) return content.get<std::string>();
  std::string text;
  if (!content.is_array()) return text;
  for (const Json& block : content) {
    if (!text.empty()) text += '\n';
    text += TextField(block, "text");
  }
  return text;
}

}  // namespace

void StreamJson::Add(std::string_view piece) {
  while (!piece.empty()) {
    const std::size_t end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    line_too_long_ = line_too_long_ || line_.size() + part.size() > kMaxLineBytes;
    if (line_too_long_) {
      line_.clear();
    } else {
      line_.append(part);
    }
    if (end == std::string_view::npos) return;
    piece.remove_prefix(end + 1);
    End();
  }
}

void StreamJson::End() {
  if (!line_too_long_ && !line_.empty()) Line(line_);
  line_.clear();
  line_too_long_ = false;
}

void StreamJson::Line(std::string_view line) {
  const std::optional<Json> event = ParseJson(line);
  if (!event.has_value() || !event->is_object()) {
    noise_.append(line.substr(0, kMaxNoiseBytes - std::min(noise_.size(), kMaxNoiseBytes)));
    return;
  }
  any_event_ = true;
  const std::string type = TextField(*event, "type");
  const bool top_level = TextField(*event, "parent_tool_use_id").empty();
  if (type == "stream_event") {
    OnStreamEvent(Field(*event, "event"), top_level);
  } else if (type == "assistant") {
    OnAssistant(Field(*event, "message"), top_level);
  } else if (type == "user") {
    OnUser(Field(*event, "message"));
  } else if (type == "system") {
    OnSystem(*event);
  } else if (type == "result") {
    result_ = *event;
  }
}

void StreamJson::OnStreamEvent(const Json& event, bool top_level) {
  const std::string type = TextField(event, "type");
  if (type == "message_start") {
    const Json& message = Field(event, "message");
    in_flight_ = UsageOfMessage(Field(message, "usage"));
    in_flight_->model = TextField(message, "model");
    in_flight_->turns = 1;
    largest_input_ = std::max(largest_input_, in_flight_->effective_input());
  } else if (type == "message_delta" && in_flight_.has_value()) {
    const Usage last = UsageOfMessage(Field(event, "usage"));
    in_flight_->output_tokens = std::max(in_flight_->output_tokens, last.output_tokens);
  } else if (type == "message_stop" && in_flight_.has_value()) {
    AddUsage(*in_flight_, usage_);
    in_flight_.reset();
  } else if (type == "content_block_delta") {
    const Json& delta = Field(event, "delta");
    if (TextField(delta, "type") != "text_delta" || !top_level) return;
    partial_ = true;
    observer_.OnText(TextField(delta, "text"));
  }
}

void StreamJson::OnAssistant(const Json& message, bool top_level) {
  const Json& content = Field(message, "content");
  largest_input_ =
      std::max(largest_input_, UsageOfMessage(Field(message, "usage")).effective_input());
  if (!content.is_array()) return;
  for (const Json& block : content) {
    const std::string type = TextField(block, "type");
    if (type == "text" && top_level && !partial_) observer_.OnText(TextField(block, "text"));
    if (type != "tool_use") continue;
    const std::string name = TextField(block, "name");
    if (tool_names_.size() < kMaxToolCalls) tool_names_[TextField(block, "id")] = name;
    observer_.OnToolCall(name, JsonText(Field(block, "input")));
  }
}

void StreamJson::OnUser(const Json& message) {
  const Json& content = Field(message, "content");
  if (!content.is_array()) return;
  for (const Json& block : content) {
    if (TextField(block, "type") != "tool_result") continue;
    auto name = tool_names_.find(TextField(block, "tool_use_id"));
    observer_.OnToolResult(name == tool_names_.end() ? "" : name->second,
                           ResultText(Field(block, "content")), FlagField(block, "is_error"));
    // The next call may begin before it is announced.
    if (!in_flight_.has_value()) in_flight_ = Usage{};
  }
}

void StreamJson::OnSystem(const Json& event) {
  const std::string subtype = TextField(event, "subtype");
  if (subtype == "status" && TextField(event, "status") == "requesting") in_flight_ = Usage{};
  if (subtype != "api_retry") return;
  retry_status_ = static_cast<int>(std::min<std::int64_t>(CountField(event, "error_status"), 999));
  if (retry_status_ == 0 && lost_tries_ < kMaxLostTries) ++lost_tries_;
  observer_.OnRetry(retry_status_ == 429 ? PhaseError::kRateLimited : PhaseError::kTransient,
                    static_cast<int>(std::min<std::int64_t>(CountField(event, "attempt"), 1000)),
                    absl::Milliseconds(CountField(event, "retry_delay_ms")));
}

}  // namespace capstan::phases
