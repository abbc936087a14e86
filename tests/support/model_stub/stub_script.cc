// Reads replies from JSON, for capstan-model-stub.
#include <functional>

#include "core/text.h"
#include "tests/support/model_stub/model_stub.h"

namespace capstan::testing {
namespace {

using Json = nlohmann::json;
using Setter = std::function<bool(StubReply&, const Json&)>;

template <class T>
Setter Text(T StubReply::* member) {
  return [member](StubReply& reply, const Json& value) {
    if (!value.is_string()) return false;
    reply.*member = value.get<std::string>();
    return true;
  };
}

template <class T>
Setter Count(T StubReply::* member) {
  return [member](StubReply& reply, const Json& value) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > 1'000'000) return false;
    reply.*member = value.get<int>();
    return true;
  };
}

bool SetUsage(StubReply& reply, const Json& value) {
  const std::map<std::string, std::int64_t*> fields = {
      {"input", &reply.usage.input},
      {"output", &reply.usage.output},
      {"cache_creation", &reply.usage.cache_creation},
      {"cache_read", &reply.usage.cache_read}};
  if (!value.is_object()) return false;
  for (const auto& [key, number] : value.items()) {
    auto found = fields.find(key);
    if (found == fields.end() || !number.is_number_unsigned()) return false;
    *found->second = number.get<std::int64_t>();
  }
  return true;
}

bool SetToolUses(StubReply& reply, const Json& value) {
  if (!value.is_array()) return false;
  for (const Json& item : value) {
    if (!item.is_object() || item.size() != 2 || !item.contains("name") ||
        !item["name"].is_string() || !item.contains("input") || !item["input"].is_object()) {
      return false;
    }
    reply.tool_uses.push_back({item["name"].get<std::string>(), item["input"]});
  }
  return true;
}

bool SetHeaders(StubReply& reply, const Json& value) {
  if (!value.is_object()) return false;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) return false;
    reply.headers[key] = text.get<std::string>();
  }
  return true;
}

bool SetFrameDelay(StubReply& reply, const Json& value) {
  if (!value.is_number_unsigned()) return false;
  reply.frame_delay = absl::Milliseconds(value.get<std::int64_t>());
  return true;
}

bool SetOmitStop(StubReply& reply, const Json& value) {
  if (!value.is_boolean()) return false;
  reply.omit_message_stop = value.get<bool>();
  return true;
}

const std::map<std::string, Setter>& Setters() {
  static const auto* setters = new std::map<std::string, Setter>{
      {"thinking", Text(&StubReply::thinking)},
      {"text", Text(&StubReply::text)},
      {"chunk", Count(&StubReply::chunk)},
      {"tool_uses", SetToolUses},
      {"usage", SetUsage},
      {"model", Text(&StubReply::model)},
      {"stop_reason", Text(&StubReply::stop_reason)},
      {"status", Count(&StubReply::status)},
      {"error_type", Text(&StubReply::error_type)},
      {"error_message", Text(&StubReply::error_message)},
      {"headers", SetHeaders},
      {"frame_delay_ms", SetFrameDelay},
      {"cut_after", Count(&StubReply::cut_after)},
      {"stall_after", Count(&StubReply::stall_after)},
      {"garbage_after", Count(&StubReply::garbage_after)},
      {"error_after", Count(&StubReply::error_after)},
      {"omit_message_stop", SetOmitStop},
  };
  return *setters;
}

}  // namespace

absl::StatusOr<StubReply> ReadStubReply(const Json& json) {
  if (!json.is_object()) return absl::InvalidArgumentError("reply: want an object");
  StubReply reply;
  for (const auto& [key, value] : json.items()) {
    auto setter = Setters().find(key);
    if (setter == Setters().end()) {
      return absl::InvalidArgumentError(Cat("reply.", key, ": unknown key"));
    }
    if (!setter->second(reply, value)) {
      return absl::InvalidArgumentError(
          Cat("reply.", key, ": got ", value.dump(), ", want another form"));
    }
  }
  return reply;
}

}  // namespace capstan::testing
