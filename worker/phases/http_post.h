// One streamed HTTP POST. The only file of this folder that knows libcurl.
#pragma once

#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "core/clock.h"

namespace capstan::phases {

struct HttpPost {
  std::string url;
  std::vector<std::string> headers;  // "name: value"
  std::string body;
  std::string ca_file;                              // empty: the system's
  absl::Duration deadline;                          // of the clock's BootTime()
  absl::Duration stall = absl::InfiniteDuration();  // longest silence
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
  std::string error_body;                      // of an answer other than 2xx, at most 64 KiB
  std::map<std::string, std::string> headers;  // names in lower case
  std::string detail;                          // for a person, when it broke
};

// Blocks. `sink` gets the body of a 2xx answer piece by piece on this thread; false ends the
// exchange. Redirects are not followed and no proxy is used, whatever the environment says; nothing
// is sent twice. A stop is noticed at once, time within 50 ms.
HttpAnswer Perform(const HttpPost& post, Clock& clock,
                   const std::function<bool(std::string_view)>& sink, std::stop_token stop);

}  // namespace capstan::phases
