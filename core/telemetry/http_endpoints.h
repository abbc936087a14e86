// The HTTP side door of a program: /metrics (Prometheus text), /healthz (200 as long as the process
// answers) and /readyz (200 when every check passes, otherwise 503; one line a check says which and
// why not).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/telemetry/metrics.h"

namespace capstan::telemetry {

// OK, or why the program should get no work now. Called on an HTTP thread, possibly on several at
// once: answer from what is known, do not wait for others.
struct ReadinessCheck {
  std::string name;
  std::function<absl::Status()> check;
};

class HttpEndpoints {
 public:
  // Serves on `address`, "host:port" with an IPv4 address or "localhost"; port 0 takes a free one.
  // `registry` must outlive the result. INVALID_ARGUMENT: the address is not such; fix the
  // configuration. UNAVAILABLE: it cannot be listened on, most likely because it is in use; end the
  // program.
  static absl::StatusOr<std::unique_ptr<HttpEndpoints>> Start(const std::string& address,
                                                              const MetricsRegistry& registry,
                                                              std::vector<ReadinessCheck> checks);

  // Ends every connection and joins the threads: up to two seconds, so stop it last.
  ~HttpEndpoints();

  int port() const;

 private:
  class Impl;
  explicit HttpEndpoints(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace capstan::telemetry
