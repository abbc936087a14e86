// One HTTP exchange at a time over pooled libcurl handles. The only file here that knows libcurl.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "core/idle_pool.h"
#include "worker/kubernetes/credentials.h"

namespace capstan::kubernetes {

struct HttpRequest {
  std::string method;  // "GET", "POST", "PATCH", "DELETE"
  std::string target;  // path and query, escaped
  std::vector<std::string> headers;
  std::optional<std::string> body;
};

struct HttpLimits {
  absl::Duration connect = absl::Seconds(5);
  absl::Duration total = absl::Seconds(20);
  absl::Duration idle = absl::InfiniteDuration();  // longest silence once connected
};

// What is known when an exchange is over.
struct HttpResult {
  bool answered = false;   // the whole answer was read; otherwise `detail` says what happened
  bool sent = false;       // the request may have reached the server (always true when answered)
  bool stopped = false;    // ended by the stop token
  bool cut_short = false;  // ended by the sink
  int code = 0;            // HTTP status, as soon as its header has come
  std::string error_body;  // of an answer other than 2xx, at most kMaxErrorBodyBytes
  std::string retry_after;
  std::string detail;
};

inline constexpr size_t kMaxErrorBodyBytes = 64 * 1024;
inline constexpr size_t kMaxIdleHandles = 16;

// Thread-safe: each call takes a handle of its own. Redirects are not followed and no proxy is
// used, whatever the environment says. A request with a body is never sent twice by itself.
class HttpTransport {
 public:
  // Gets the body of a 2xx answer piece by piece, on the calling thread; false ends the exchange.
  using Sink = std::function<bool(std::string_view)>;

  explicit HttpTransport(ClusterConfig config, std::string user_agent);
  ~HttpTransport();

  HttpResult Perform(const HttpRequest& request, const HttpLimits& limits, const Sink& sink,
                     std::stop_token stop);

 private:
  struct Handle;
  struct Exchange;

  void SetOptions(Handle& handle, const HttpRequest& request, const HttpLimits& limits,
                  Exchange& exchange) const;
  void SetTlsOptions(Handle& handle) const;

  ClusterConfig config_;
  const std::string user_agent_;
  std::string base_url_;    // server, with tls_server_name in place of its host when set
  std::string connect_to_;  // "name:port:host:port" for libcurl, or empty
  IdlePool<Handle> handles_;
};

}  // namespace capstan::kubernetes
