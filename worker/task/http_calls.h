// Calls of HTTP services as workflows write them: rendered, held to what the worker's configuration
// allows, made, and their answers made safe to keep.
#pragma once

#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "capstan/v1/workflow.pb.h"
#include "core/clock.h"
#include "core/http_rules.h"
#include "core/redact.h"
#include "core/workflow/values.h"

namespace capstan::worker {

struct HttpCallOptions {
  std::vector<HttpHost> allowed;  // empty: nothing may be called
  // Values of secret headers by name: files, read for every call.
  std::map<std::string, std::string> secret_files;
  std::string ca_file;  // empty: the system's
};

inline constexpr std::size_t kMaxHttpBody = 1 << 20;
// Shorter values would not be kept out of what is stored.
inline constexpr std::size_t kMinSecretBytes = 6;

// What a call came to.
struct HttpOutcome {
  enum class End {
    kAnswered,  // code, headers, body
    kRefused,   // it is not made, whenever it is tried: error, message
    kNotSent,   // nothing reached the service
    kUnknown,   // it may have been carried out
    kStopped,   // the stop token; it may have been carried out
  };
  End end = End::kRefused;
  std::string error = {};    // UNRESOLVED, NOT_ALLOWED or INVALID_CALL
  std::string message = {};  // for a person
  std::string request = {};  // method and URL, for the transcript
  int code = 0;
  bool too_large = false;                           // the body had more, and is not there
  std::map<std::string, std::string> headers = {};  // names in lower case, without cookies
  std::string body = {};                            // redacted, UTF-8
  absl::Duration retry_after = {};
};

// Thread-safe.
class HttpCalls {
 public:
  HttpCalls(HttpCallOptions options, const Redactor& redactor, Clock& clock)
      : options_(std::move(options)), redactor_(redactor), clock_(clock) {}

  // Blocks.
  HttpOutcome Call(const v1::HttpStep& call, const workflow::Values& values, absl::Duration timeout,
                   std::stop_token stop) const;

 private:
  const HttpCallOptions options_;
  const Redactor& redactor_;
  Clock& clock_;
};

// Why an answer is no success; empty: it is one.
std::string Complaint(const v1::HttpStep& call, const HttpOutcome& outcome);
// Whether the service says that it may go better another time.
bool IsTransient(const HttpOutcome& outcome);

// What of a secret header's value has to be kept out of texts: the whole, and what follows a scheme
// such as Bearer.
std::vector<std::string> SecretForms(const std::string& value);

}  // namespace capstan::worker
