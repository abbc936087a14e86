#include "tests/support/model_stub/message_frames.h"

#include <algorithm>
#include <utility>

#include "core/text.h"

namespace capstan::testing {
namespace {

using Json = nlohmann::json;

Json UsageJson(const StubUsage& usage, std::int64_t output) {
  return {{"input_tokens", usage.input},
          {"cache_creation_input_tokens", usage.cache_creation},
          {"cache_read_input_tokens", usage.cache_read},
          {"output_tokens", output}};
}

std::string StopReason(const StubReply& reply) {
  if (!reply.stop_reason.empty()) return reply.stop_reason;
  return reply.tool_uses.empty() ? "end_turn" : "tool_use";
}

std::string ToolUseId(int message, std::size_t index) {
  return Cat("toolu_stub_", message, "_", index);
}

Json MessageHead(const std::string& model, int number) {
  return {{"id", Cat("msg_stub_", number)},
          {"type", "message"},
          {"role", "assistant"},
          {"model", model},
          {"content", Json::array()},
          {"stop_reason", nullptr},
          {"stop_sequence", nullptr}};
}

// Cuts only between characters.
std::vector<std::string> Chunks(const std::string& text, std::size_t size) {
  std::vector<std::string> chunks;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::min(text.size(), at + std::max<std::size_t>(size, 1));
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    chunks.push_back(text.substr(at, end - at));
    at = end;
  }
  return chunks;
}

class FrameList {
 public:
  void Add(const std::string& event, Json data) {
    data["type"] = event;
    frames_.push_back({event, data.dump()});
  }

  void AddBlock(Json start, const std::string& delta_type, const std::string& key,
                const std::vector<std::string>& chunks) {
    Add("content_block_start", {{"index", blocks_}, {"content_block", std::move(start)}});
    for (const std::string& chunk : chunks) {
      Add("content_block_delta",
          {{"index", blocks_}, {"delta", {{"type", delta_type}, {key, chunk}}}});
    }
    if (delta_type == "thinking_delta") {
      Add("content_block_delta",
          {{"index", blocks_},
           {"delta", {{"type", "signature_delta"}, {"signature", "c3R1Yg=="}}}});
    }
    Add("content_block_stop", {{"index", blocks_}});
    ++blocks_;
  }

  std::vector<StubFrame> Take() && { return std::move(frames_); }

 private:
  std::vector<StubFrame> frames_;
  int blocks_ = 0;
};

void InsertFault(std::vector<StubFrame>& frames, int after, StubFrame fault, bool ends) {
  const std::size_t at = std::min<std::size_t>(static_cast<std::size_t>(after), frames.size());
  if (ends) frames.resize(at);
  frames.insert(frames.begin() + static_cast<std::ptrdiff_t>(at), std::move(fault));
}

}  // namespace

std::vector<StubFrame> StreamFrames(const StubReply& reply, const std::string& model,
                                    int message_number) {
  FrameList list;
  Json head = MessageHead(model, message_number);
  head["usage"] = UsageJson(reply.usage, 1);
  list.Add("message_start", {{"message", std::move(head)}});
  if (!reply.thinking.empty()) {
    list.AddBlock({{"type", "thinking"}, {"thinking", ""}, {"signature", ""}}, "thinking_delta",
                  "thinking", Chunks(reply.thinking, reply.chunk));
  }
  if (!reply.text.empty()) {
    list.AddBlock({{"type", "text"}, {"text", ""}}, "text_delta", "text",
                  Chunks(reply.text, reply.chunk));
  }
  for (std::size_t i = 0; i < reply.tool_uses.size(); ++i) {
    list.AddBlock({{"type", "tool_use"},
                   {"id", ToolUseId(message_number, i)},
                   {"name", reply.tool_uses[i].name},
                   {"input", Json::object()}},
                  "input_json_delta", "partial_json",
                  Chunks(reply.tool_uses[i].input.dump(), reply.chunk));
  }
  list.Add("message_delta",
           {{"delta", {{"stop_reason", StopReason(reply)}, {"stop_sequence", nullptr}}},
            {"usage", UsageJson(reply.usage, reply.usage.output)}});
  if (!reply.omit_message_stop) list.Add("message_stop", Json::object());

  std::vector<StubFrame> frames = std::move(list).Take();
  frames[0].bills_input = true;
  if (frames.size() > 1) frames[1].bills_output = true;
  if (reply.garbage_after.has_value()) {
    InsertFault(frames, *reply.garbage_after, {"content_block_delta", "{\"type\": \"conten"},
                /*ends=*/false);
  }
  if (reply.error_after.has_value()) {
    InsertFault(frames, *reply.error_after, {"error", ErrorBody(reply).dump()}, /*ends=*/true);
  }
  return frames;
}

std::string FrameText(const StubFrame& frame) {
  return Cat("event: ", frame.event, "\ndata: ", frame.data, "\n\n");
}

Json WholeMessage(const StubReply& reply, const std::string& model, int message_number) {
  Json message = MessageHead(model, message_number);
  if (!reply.thinking.empty()) {
    message["content"].push_back(
        {{"type", "thinking"}, {"thinking", reply.thinking}, {"signature", "c3R1Yg=="}});
  }
  if (!reply.text.empty()) {
    message["content"].push_back({{"type", "text"}, {"text", reply.text}});
  }
  for (std::size_t i = 0; i < reply.tool_uses.size(); ++i) {
    message["content"].push_back({{"type", "tool_use"},
                                  {"id", ToolUseId(message_number, i)},
                                  {"name", reply.tool_uses[i].name},
                                  {"input", reply.tool_uses[i].input}});
  }
  message["stop_reason"] = StopReason(reply);
  message["usage"] = UsageJson(reply.usage, reply.usage.output);
  return message;
}

Json ErrorBody(const StubReply& reply) {
  return {{"type", "error"},
          {"error", {{"type", reply.error_type}, {"message", reply.error_message}}},
          {"request_id", "req_stub"}};
}

}  // namespace capstan::testing
