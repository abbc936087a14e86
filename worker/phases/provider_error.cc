#include "worker/phases/provider_error.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "core/text.h"
#include "worker/http/http_call.h"
#include "worker/phases/json.h"

namespace capstan::phases {
namespace {

constexpr std::size_t kMaxMessageBytes = 1024;

struct Phrase {
  std::string_view text;  // lower case
  PhaseError error;
};
// Of errors that share a status with others.
constexpr std::array kPhrases = {
    Phrase{"spend limit", PhaseError::kSpendLimit},
    Phrase{"enforced_spend_limit_reached", PhaseError::kSpendLimit},
    Phrase{"credit balance is too low", PhaseError::kSpendLimit},
    Phrase{"api usage limits", PhaseError::kSpendLimit},
    Phrase{"prompt is too long", PhaseError::kContextOverflow},
    Phrase{"exceed context limit", PhaseError::kContextOverflow},
    Phrase{"context window", PhaseError::kContextOverflow},
};

struct TypeStatus {
  std::string_view type;
  int status;
};
constexpr std::array kTypes = {
    TypeStatus{"invalid_request_error", 400}, TypeStatus{"authentication_error", 401},
    TypeStatus{"billing_error", 402},         TypeStatus{"permission_error", 403},
    TypeStatus{"not_found_error", 404},       TypeStatus{"request_too_large", 413},
    TypeStatus{"rate_limit_error", 429},      TypeStatus{"timeout_error", 504},
    TypeStatus{"overloaded_error", 529},
};

PhaseError ErrorOf(int status, std::string_view body) {
  const std::string text = absl::AsciiStrToLower(AbslView(body));
  if (status == 400 || status == 429 || status == 403) {
    for (const Phrase& phrase : kPhrases) {
      if (absl::StrContains(text, AbslView(phrase.text))) return phrase.error;
    }
  }
  if (status == 401 || status == 403) return PhaseError::kAuthentication;
  if (status == 402) return PhaseError::kSpendLimit;
  if (status == 408 || status == 409 || status >= 500) return PhaseError::kTransient;
  if (status == 413) return PhaseError::kContextOverflow;
  if (status == 429) return PhaseError::kRateLimited;
  return PhaseError::kInvalidRequest;
}

// "overloaded_error: Overloaded", or the beginning of what is no error of the API.
std::string MessageOf(std::string_view body) {
  const std::optional<nlohmann::json> json = ParseJson(body);
  std::string message(body.substr(0, kMaxMessageBytes));
  if (json.has_value() && Field(*json, "error").is_object()) {
    const nlohmann::json& error = Field(*json, "error");
    message = Cat(TextField(error, "type"), ": ", TextField(error, "message"));
  }
  return message.substr(0, kMaxMessageBytes);
}

}  // namespace

ProviderError JudgeAnswer(int status, std::string_view body,
                          const std::map<std::string, std::string>& headers) {
  ProviderError result;
  result.error = ErrorOf(status, body);
  result.message = Cat("HTTP ", status, ": ", MessageOf(body));
  result.retry_after = RetryAfter(headers);
  result.try_again =
      result.error == PhaseError::kTransient || result.error == PhaseError::kRateLimited;
  auto told = headers.find("x-should-retry");
  if (told != headers.end() && told->second == "false") result.try_again = false;
  return result;
}

ProviderError JudgeErrorEvent(std::string_view body) {
  const std::optional<nlohmann::json> json = ParseJson(body);
  const std::string type = json.has_value() ? TextField(Field(*json, "error"), "type") : "";
  auto found = std::find_if(kTypes.begin(), kTypes.end(),
                            [&](const TypeStatus& known) { return known.type == type; });
  ProviderError result;
  result.error = ErrorOf(found == kTypes.end() ? 500 : found->status, body);
  result.message = Cat("error in the stream: ", MessageOf(body));
  return result;
}

std::optional<absl::Duration> RetryAfter(const std::map<std::string, std::string>& headers) {
  double number = 0;
  if (auto found = headers.find("retry-after-ms");
      found != headers.end() && absl::SimpleAtod(found->second, &number) && number >= 0) {
    return absl::Milliseconds(number);
  }
  return http::RetryAfter(headers);
}

absl::Duration Backoff(int tries, double random) {
  constexpr int kDoublings = 4;
  const absl::Duration full =
      absl::Milliseconds(500) * (std::int64_t{1} << std::clamp(tries - 1, 0, kDoublings));
  return full * (0.75 + 0.25 * random);
}

}  // namespace capstan::phases
