// What the Claude CLI writes with --output-format stream-json --include-partial-messages: an event
// a line. Total: events and fields that it does not know, lines that are no JSON, and a stream that
// ends anywhere are all fine.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nlohmann/json.hpp"
#include "worker/phases/phase_engine.h"

namespace capstan::phases {

// Not thread-safe.
class StreamJson {
 public:
  static constexpr std::size_t kMaxLineBytes = 16 << 20;  // longer ones are passed over
  static constexpr std::size_t kMaxNoiseBytes = 2048;
  static constexpr std::size_t kMaxToolCalls = 10'000;  // whose names are remembered

  // Tells `observer` what happens.
  explicit StreamJson(PhaseObserver& observer) : observer_(observer) {}

  void Add(std::string_view piece);
  // At the end of the output: a last line without its end counts too.
  void End();

  // The line of type result; nullopt: it never came.
  const std::optional<nlohmann::json>& result() const { return result_; }
  bool any_event() const { return any_event_; }
  // The beginning of what was no JSON: what the program says when it refuses to run.
  const std::string& noise() const { return noise_; }
  // The status of the last api_retry; 0: none.
  int retry_status() const { return retry_status_; }

  // Tries whose connection was lost, which the provider may have billed and the CLI does not count.
  // One more than it tells of: the last one of a call that it gives up.
  int lost_tries() const { return lost_tries_ == 0 ? 0 : lost_tries_ + 1; }
  // Of any message.
  std::int64_t largest_input() const { return largest_input_; }

  // Calls whose message is whole, one entry a model, without cost.
  const std::vector<Usage>& usage() const { return usage_; }
  // A call may have been in flight at the end: what is known of it (input_tokens 0: nothing).
  const std::optional<Usage>& in_flight() const { return in_flight_; }

 private:
  void Line(std::string_view line);
  void OnStreamEvent(const nlohmann::json& event, bool top_level);
  void OnAssistant(const nlohmann::json& message, bool top_level);
  void OnUser(const nlohmann::json& message);
  void OnSystem(const nlohmann::json& event);

  PhaseObserver& observer_;
  std::string line_;
  bool line_too_long_ = false;
  std::string noise_;
  bool any_event_ = false;
  bool partial_ = false;  // text comes in pieces
  int retry_status_ = 0;
  int lost_tries_ = 0;
  std::int64_t largest_input_ = 0;
  std::optional<nlohmann::json> result_;
  std::map<std::string, std::string> tool_names_;  // by id of the call
  std::vector<Usage> usage_;
  std::optional<Usage> in_flight_ = Usage{};
};

}  // namespace capstan::phases
