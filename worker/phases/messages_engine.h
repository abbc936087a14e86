// The Messages API over HTTP, without tools: one call is one turn. For steps that judge or write
// text; what needs a workspace runs in claude_cli.
#pragma once

#include <cstdint>
#include <string>

#include "core/clock.h"
#include "worker/phases/model_table.h"
#include "worker/phases/phase_engine.h"
#include "worker/phases/rate_gate.h"

namespace capstan::phases {

struct MessagesOptions {
  std::string base_url = "https://api.anthropic.com";
  // File with the key, read for every call. Empty: none is sent, for a gateway that holds it.
  std::string api_key_file;
  std::string ca_file;  // empty: the system's
  std::string default_model = "standard";
  int max_output_tokens = 16'000;     // without thinking; the model's own limit holds too
  std::int64_t calls_per_minute = 0;  // of all runs together, at most; 0: any number
};

// Tries at most kMaxTries times in all (connections that fail, 429, 5xx, 529), within the timeout
// of the request. A wait that the provider asks for holds back all calls of this engine, since they
// have one key (RateGate). One that is longer than kLongestWait is the caller's: kRateLimited with
// retry_after at once, so that no thread waits for it. Once an answer
// has begun nothing is tried again: what was cut off is kTransient (connection lost, error in the
// stream) or kTruncated (it ended without saying so), the text so far was told to the observer, and
// usage is the largest possible.
class MessagesEngine final : public PhaseEngine {
 public:
  static constexpr int kMaxTries = 5;
  static constexpr absl::Duration kLongestWait = absl::Minutes(1);

  // Borrows the clock.
  MessagesEngine(MessagesOptions options, ModelTable models, Clock& clock)
      : options_(std::move(options)),
        models_(std::move(models)),
        clock_(clock),
        gate_(options_.calls_per_minute, clock) {}

  std::string_view name() const override { return "messages_api"; }
  PhaseResult Run(const PhaseRequest& request, PhaseObserver& observer,
                  std::stop_token stop) override;

 private:
  class Call;

  const MessagesOptions options_;
  const ModelTable models_;
  Clock& clock_;
  RateGate gate_;
};

}  // namespace capstan::phases
