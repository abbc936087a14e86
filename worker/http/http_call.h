// One HTTP call. The only file of this folder that knows libcurl.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "core/clock.h"

namespace capstan::http {

struct HttpCall {
  std::string method;  // GET, HEAD, POST, PUT, PATCH or DELETE
  std::string url;
  std::vector<std::string> headers = {};  // "name: value"; "name;" is one without a value
  std::optional<std::string> body = std::nullopt;
  std::string ca_file = {};                         // empty: the system's
  absl::Duration deadline;                          // of the clock's BootTime()
  absl::Duration stall = absl::InfiniteDuration();  // longest silence
  std::size_t error_bytes = 64 << 10;               // kept of the body of an answer other than 2xx
};

struct HttpAnswer {
  enum class End {
    kWhole,     // everything was read
    kBroken,    // no connection, or lost
    kStopped,   // the stop token
    kTimedOut,  // the deadline
    kStalled,
    kBySink,
  };
  End end = End::kBroken;
  bool sent = false;                           // the request may have reached the server
  int code = 0;                                // HTTP status, as soon as it is known
  std::string error_body;                      // of an answer other than 2xx
  std::map<std::string, std::string> headers;  // names in lower case
  std::string detail;                          // for a person, when it broke
};

// Blocks. `sink` gets the body of a 2xx answer piece by piece on this thread; false ends the
// exchange. Redirects are not followed and no proxy is used, whatever the environment says; nothing
// is sent twice. A stop is noticed at once, time within 50 ms.
HttpAnswer Perform(const HttpCall& call, Clock& clock,
                   const std::function<bool(std::string_view)>& sink, std::stop_token stop);

// Whom libcurl would call: "https://host:port", in small letters; empty: nobody.
std::string WhomCurlCalls(const std::string& url);

// How long a server asks to wait (Retry-After, in seconds); nullopt: it does not say.
std::optional<absl::Duration> RetryAfter(const std::map<std::string, std::string>& headers);

}  // namespace capstan::http
