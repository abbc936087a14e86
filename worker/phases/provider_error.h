// What an error of the Messages API means, and whether trying again can help.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "worker/phases/phase_engine.h"

namespace capstan::phases {

struct ProviderError {
  PhaseError error = PhaseError::kTransient;
  std::string message;     // for a person
  bool try_again = false;  // by the engine itself
  std::optional<absl::Duration> retry_after;
};

// An HTTP status other than 2xx with its body and headers (names in lower case).
ProviderError JudgeAnswer(int status, std::string_view body,
                          const std::map<std::string, std::string>& headers);

// An error event within a stream: as the status that it stands for, but never tried again here,
// since part of an answer was given already.
ProviderError JudgeErrorEvent(std::string_view body);

// Seconds or milliseconds in the headers; nullopt: not told.
std::optional<absl::Duration> RetryAfter(const std::map<std::string, std::string>& headers);

// How long to wait before try number `tries` + 1: doubling from half a second to 8, with jitter in
// [0.75, 1] by `random` in [0, 1).
absl::Duration Backoff(int tries, double random);

}  // namespace capstan::phases
