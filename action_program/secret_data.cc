#include "action_program/secret_data.h"

#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "action_program/guarded_patch.h"
#include "core/ids.h"
#include "core/text.h"
#include "worker/kubernetes/api_error.h"
#include "worker/kubernetes/json_fields.h"

namespace capstan::action_program {
namespace {

using kubernetes::ApiError;

constexpr size_t kDigestLength = 8;
// Shorter texts are parts of too many words to be replaced in a message.
constexpr size_t kShortestValue = 4;

// Answers whose words are about the object and the caller, not about what was sent.
bool NamesObjectsOnly(int http_code) {
  switch (http_code) {
    case 0:
    case 401:
    case 403:
    case 404:
    case 409:
    case 410:
    case 429:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string ValueDigest(const Json* base64_value) {
  std::string value;
  if (base64_value == nullptr || !base64_value->is_string()) return "none";
  if (!absl::Base64Unescape(base64_value->get<std::string>(), &value)) return "none";
  return Sha256Hex(value).substr(0, kDigestLength);
}

void PrintSecretChanges(Host& host, const Json& before, const Json& after) {
  for (const KeyChange& change : KeyChanges(before, after)) {
    host.Print(Cat("  ", change.field, ".", change.key, " ", change.change, ", sha256 ",
                   ValueDigest(kubernetes::FindField(before, {change.field, change.key})), " -> ",
                   ValueDigest(kubernetes::FindField(after, {change.field, change.key}))));
  }
}

void SecretGuard::Learn(const Json& json) {
  if (json.is_structured()) {
    for (const auto& entry : json.items()) Learn(entry.value());
    return;
  }
  if (!json.is_string()) return;
  const std::string text = json.get<std::string>();
  std::string decoded;
  if (text.size() >= kShortestValue) values_.push_back(text);
  if (absl::Base64Unescape(text, &decoded) && decoded.size() >= kShortestValue) {
    values_.push_back(decoded);
  }
}

absl::Status SecretGuard::Clean(const absl::Status& status) const {
  if (status.ok()) return status;
  std::vector<std::pair<std::string, std::string>> replacements;
  for (const std::string& value : values_) replacements.emplace_back(value, "[withheld]");
  const auto clean = [&](const std::string& text) {
    return absl::StrReplaceAll(text, replacements);
  };

  const std::string message(status.message());
  std::optional<ApiError> error = kubernetes::ApiErrorOf(status);
  if (!error.has_value()) return status;
  if (NamesObjectsOnly(error->http_code)) {
    error->message = clean(error->message);
  } else {
    error->message = "its words are withheld, they may quote a value";
    for (const ApiError::Cause& cause : error->causes) {
      Append(&error->message, "; field ", clean(cause.field));
    }
  }
  error->causes.clear();
  const size_t end_of_call = error->http_code == 0 ? message.find(": ") : message.find(": HTTP ");
  return kubernetes::MakeApiStatus(status.code(), message.substr(0, end_of_call), *error);
}

}  // namespace capstan::action_program
