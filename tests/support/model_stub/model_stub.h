// A stub of the Anthropic Messages API on loopback: what a model "says" is a script, every request
// is kept, and every way in which the real one breaks can be had on demand. Plain HTTP/1.1, one
// request a connection.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"

namespace capstan::testing {

struct StubToolUse {
  std::string name;
  nlohmann::json input = nlohmann::json::object();
};

struct StubUsage {
  std::int64_t input = 10;
  std::int64_t output = 5;
  std::int64_t cache_creation = 0;
  std::int64_t cache_read = 0;
};

// One answer. Frames count from 1: message_start is frame 1.
struct StubReply {
  std::string thinking = {};
  std::string text = {};
  std::size_t chunk = 16;  // bytes of text, thinking or tool input in a frame
  std::vector<StubToolUse> tool_uses = {};
  StubUsage usage = {};
  std::string model = {};        // empty: the one asked for
  std::string stop_reason = {};  // empty: tool_use with tool uses, otherwise end_turn

  // An error instead: status other than 200.
  int status = 200;
  std::string error_type = "api_error";
  std::string error_message = "scripted";
  std::map<std::string, std::string> headers = {};

  // How a stream breaks.
  absl::Duration frame_delay = {};
  std::optional<int> cut_after = {};      // reset the connection after so many frames; 0: no answer
  std::optional<int> stall_after = {};    // say nothing more after so many frames
  std::optional<int> garbage_after = {};  // then a frame that is not JSON
  std::optional<int> error_after = {};    // then an error event (error_type) and the end
  bool omit_message_stop = false;         // the stream ends well, but without saying so
};

// INVALID_ARGUMENT: an unknown key or a wrong type, with its name.
absl::StatusOr<StubReply> ReadStubReply(const nlohmann::json& json);

struct StubRequest {
  std::string path;                            // with the query
  std::map<std::string, std::string> headers;  // names in lower case
  nlohmann::json body;
};

// When an answer was asked for, and when each of its frames was sent; for benchmarks.
struct StubAnswer {
  absl::Time asked;
  std::vector<absl::Time> frames = {};
};

// Thread-safe. Ends with all its connections when it is destroyed.
class ModelStub {
 public:
  // UNAVAILABLE: the port cannot be had; 0 takes a free one.
  static absl::StatusOr<std::unique_ptr<ModelStub>> Start(int port = 0);
  ~ModelStub();
  ModelStub(const ModelStub&) = delete;
  ModelStub& operator=(const ModelStub&) = delete;

  std::string Url() const;  // http://127.0.0.1:PORT

  // The next calls get these, in order. Then the default; without one, a call that nobody expected
  // gets 400.
  void Push(StubReply reply);
  void SetDefault(StubReply reply);
  // What count_tokens answers; by default a quarter of the bytes of the body.
  void SetCountedTokens(std::int64_t tokens);

  // Calls of /v1/messages, in the order in which they came.
  std::vector<StubRequest> Requests() const;
  std::vector<StubRequest> CountRequests() const;  // of /v1/messages/count_tokens
  // Of the calls of /v1/messages, in the order of Requests(); without frames: not streamed.
  std::vector<StubAnswer> Answers() const;
  // What was billed: the input as soon as an answer has begun, its whole output with the first
  // frame of content.
  StubUsage Billed() const;

  // True once there were so many calls; false after `most`.
  bool WaitForRequests(std::size_t count, absl::Duration most = absl::Seconds(60)) const;
  // The same for streams that stand still by `stall_after`, and for clients that went away then.
  bool WaitForStalls(std::size_t count, absl::Duration most = absl::Seconds(60)) const;
  bool WaitForHangUps(std::size_t count, absl::Duration most = absl::Seconds(60)) const;

 private:
  class Impl;
  explicit ModelStub(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace capstan::testing
