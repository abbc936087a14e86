// One HTTP POST at a time to an OPA server, over pooled libcurl handles.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/idle_pool.h"

namespace capstan::policy {

struct OpaReply {
  int code = 0;      // HTTP status.
  std::string body;  // Whole.
};

// Thread-safe: each call takes a handle of its own. Redirects are not followed and no proxy is
// used, whatever the environment says.
class OpaClient {
 public:
  struct Options {
    // "http://127.0.0.1:8181", "https://opa.example.com" or "unix:///run/opa/opa.sock".
    std::string url;
    std::string ca_file;     // For https. Empty: the system's.
    std::string token_file;  // Bearer token, read for every request. Empty: none is sent.
    std::size_t max_reply_bytes = 1 << 20;
  };

  // INVALID_ARGUMENT when the URL is none of the three kinds: ends the start-up.
  static absl::StatusOr<std::unique_ptr<OpaClient>> Create(Options options);
  ~OpaClient();
  OpaClient(const OpaClient&) = delete;
  OpaClient& operator=(const OpaClient&) = delete;

  // `target` is path and query, `json` the body. Blocks for at most `timeout`.
  //   DEADLINE_EXCEEDED   no whole answer in time; worth another try
  //   UNAVAILABLE         not reached, or cut off in the middle; worth another try
  //   RESOURCE_EXHAUSTED  the answer is over its limit
  //   FAILED_PRECONDITION the token cannot be read
  absl::StatusOr<OpaReply> Post(const std::string& target, const std::string& json,
                                absl::Duration timeout);

 private:
  struct Handle;
  explicit OpaClient(Options options);

  const Options options_;
  std::string base_url_;
  std::string socket_path_;  // Empty for http and https.
  IdlePool<Handle> handles_;
};

}  // namespace capstan::policy
