// A model that works on one iteration of a step. Three engines stand behind it: claude_cli (the
// real CLI as a child process), messages_api (HTTP), and scripted (for tests and the first run).
#pragma once

#include <cstdint>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace capstan::phases {

// What was billed. effective_input() is what every total shows.
struct Usage {
  std::string model;
  std::int64_t input_tokens = 0;  // neither written to nor read from a cache
  std::int64_t output_tokens = 0;
  std::int64_t cache_creation_tokens = 0;
  std::int64_t cache_read_tokens = 0;
  std::int64_t cost_microusd = 0;
  int turns = 0;
  // The provider did not say (its answer was cut off): the largest that it can have been.
  bool is_upper_bound = false;

  std::int64_t effective_input() const {
    return input_tokens + cache_creation_tokens + cache_read_tokens;
  }
};

struct PhaseRequest {
  std::string execution;  // uuid
  std::string step;
  int attempt = 1;
  int iteration = 1;
  bool judgement = false;  // asks whether something is good enough
  std::string model;       // empty: the engine's default
  std::string system_prompt;
  std::string prompt;
  std::string schema;  // JSON schema of the answer; empty: any text
  // A uuid. The conversation that this turn begins, or goes on with when `resume`.
  std::string session;
  bool resume = false;
  std::string session_state;  // as an earlier PhaseResult gave it; empty: none
  std::string workspace;      // folder; the only one that it may change
  std::vector<std::string> tools;
  int thinking_tokens = 0;
  int max_turns = 50;
  std::int64_t max_cost_microusd = 0;          // 0: none
  absl::Duration timeout = absl::Minutes(10);  // of the whole call
  absl::Duration stall = absl::Minutes(20);    // without any output
  std::string traceparent;
};

// What went wrong, as a type: it decides what is done about it.
enum class PhaseError {
  kNone,
  kTransient,        // overloaded, connection lost, 5xx, cut off: may be tried again
  kRateLimited,      // tried again after retry_after
  kSpendLimit,       // the provider's spend limit: not tried again
  kAuthentication,   // key or permission
  kInvalidRequest,   // the provider refused the request for good
  kContextOverflow,  // more than the model takes
  kRefused,          // the model declined
  kNoAnswer,         // ended without the structured answer
  kMaxTurns,
  kBudget,    // max_cost_microusd
  kTimedOut,  // timeout
  kStalled,
  kTruncated,  // ended without saying that it ended
  kStopped,    // the stop token
  kProcess,    // the program could not be run, or died
  kDiskLimit,  // the workspace holds more than it may
};
std::string_view PhaseErrorName(PhaseError error);

struct PhaseResult {
  PhaseError error = PhaseError::kNone;
  std::string message;  // for a person, when error
  absl::Duration retry_after;
  // The structured answer (when a schema was given), or the last text. As received: not checked
  // here.
  std::string answer;
  // One entry a model that was used. Also set when error: what was spent was spent.
  std::vector<Usage> usage;
  // What a later PhaseRequest needs to go on with this conversation elsewhere. Empty: nothing but
  // `session`.
  std::string session_state;
  // What a person should hear about how its program left the machine.
  std::vector<std::string> warnings;
};

// Told while it works, on the calling thread.
class PhaseObserver {
 public:
  virtual ~PhaseObserver() = default;
  // A piece of the model's text.
  virtual void OnText(std::string_view text) = 0;
  virtual void OnToolCall(std::string_view tool, std::string_view input_json) = 0;
  virtual void OnToolResult(std::string_view tool, std::string_view text, bool is_error) = 0;
  // The provider asks for patience; it is tried again by the engine itself.
  virtual void OnRetry(PhaseError error, int tries, absl::Duration wait) = 0;
};

// Thread-safe: each call is on its own.
class PhaseEngine {
 public:
  virtual ~PhaseEngine() = default;

  virtual std::string_view name() const = 0;

  // Works to the end of one iteration; blocks. When it returns, nothing of it goes on.
  virtual PhaseResult Run(const PhaseRequest& request, PhaseObserver& observer,
                          std::stop_token stop) = 0;
};

using PhaseEngines = std::map<std::string, PhaseEngine*, std::less<>>;

}  // namespace capstan::phases
