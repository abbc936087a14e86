#include "core/telemetry/http_endpoints.h"

#include <civetweb.h>

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace capstan::telemetry {
namespace {

constexpr char kThreads[] = "3";              // a scrape, a liveness and a readiness probe at once
constexpr char kRequestTimeoutMs[] = "5000";  // a silent client holds a thread no longer than this
constexpr char kTextType[] = "text/plain; charset=utf-8";
constexpr char kMetricsType[] = "text/plain; version=0.0.4; charset=utf-8";

// "127.0.0.1:9464" as civetweb wants it, or empty when malformed.
std::string ListeningPort(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return "";
  uint32_t port = 0;
  if (!absl::SimpleAtoi(address.substr(colon + 1), &port) || port > 65535) return "";
  std::string host = address.substr(0, colon);
  if (host == "localhost") host = "127.0.0.1";
  // Only IPv4: Debian's civetweb is built without IPv6, and names may stand for several addresses.
  if (host.find_first_not_of("0123456789.") != std::string::npos) return "";
  return absl::StrCat(host, ":", port);
}

void Answer(mg_connection* connection, int code, const char* reason, const char* type,
            const std::string& body) {
  const std::string head = absl::StrCat("HTTP/1.1 ", code, " ", reason, "\r\nContent-Type: ", type,
                                        "\r\nContent-Length: ", body.size(),
                                        "\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n");
  mg_write(connection, head.data(), head.size());
  const mg_request_info* request = mg_get_request_info(connection);
  if (std::string_view(request->request_method) != "HEAD") {
    mg_write(connection, body.data(), body.size());
  }
}

// True after answering a request that is neither GET nor HEAD.
bool RefusedMethod(mg_connection* connection) {
  const std::string_view method = mg_get_request_info(connection)->request_method;
  if (method == "GET" || method == "HEAD") return false;
  Answer(connection, 405, "Method Not Allowed", kTextType, "only GET and HEAD\n");
  return true;
}

}  // namespace

class HttpEndpoints::Impl {
 public:
  Impl(const MetricsRegistry& registry, std::vector<ReadinessCheck> checks)
      : registry_(registry), checks_(std::move(checks)) {
    mg_init_library(0);
  }

  ~Impl() {
    if (context_ != nullptr) mg_stop(context_);
    mg_exit_library();
  }

  absl::Status Start(const std::string& address) {
    const std::string listening_port = ListeningPort(address);
    if (listening_port.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("http.address: got \"", address, "\", want <IPv4 address>:<port>"));
    }
    mg_callbacks callbacks = {};
    callbacks.log_message = [](const mg_connection* connection, const char* message) {
      auto* self = static_cast<Impl*>(mg_get_user_data(mg_get_context(connection)));
      absl::MutexLock lock(&self->mu_);
      self->last_error_ = message;
      return 1;  // handled: civetweb writes no log of its own
    };
    const char* options[] = {"listening_ports",    listening_port.c_str(), "num_threads", kThreads,
                             "request_timeout_ms", kRequestTimeoutMs,      nullptr};
    context_ = mg_start(&callbacks, this, options);
    if (context_ == nullptr) {
      absl::MutexLock lock(&mu_);
      return absl::UnavailableError(
          absl::StrCat("http.address: cannot listen on ", address, ": ", last_error_));
    }
    mg_set_request_handler(context_, "/metrics$", &Impl::Metrics, this);
    mg_set_request_handler(context_, "/healthz$", &Impl::Health, this);
    mg_set_request_handler(context_, "/readyz$", &Impl::Ready, this);
    return absl::OkStatus();
  }

  int port() const {
    mg_server_port ports[1] = {};
    return mg_get_server_ports(context_, 1, ports) == 1 ? ports[0].port : 0;
  }

 private:
  static int Metrics(mg_connection* connection, void* self) {
    if (RefusedMethod(connection)) return 405;
    Answer(connection, 200, "OK", kMetricsType, static_cast<Impl*>(self)->registry_.Text());
    return 200;
  }

  static int Health(mg_connection* connection, void*) {
    if (RefusedMethod(connection)) return 405;
    Answer(connection, 200, "OK", kTextType, "ok\n");
    return 200;
  }

  static int Ready(mg_connection* connection, void* self) {
    if (RefusedMethod(connection)) return 405;
    bool ready = true;
    std::string body;
    for (const ReadinessCheck& check : static_cast<Impl*>(self)->checks_) {
      const absl::Status status = check.check();
      ready = ready && status.ok();
      absl::StrAppend(&body, check.name, ": ", status.ok() ? "ok" : status.ToString(), "\n");
    }
    if (body.empty()) body = "ok\n";
    Answer(connection, ready ? 200 : 503, ready ? "OK" : "Service Unavailable", kTextType, body);
    return ready ? 200 : 503;
  }

  const MetricsRegistry& registry_;
  const std::vector<ReadinessCheck> checks_;
  mg_context* context_ = nullptr;
  absl::Mutex mu_;
  std::string last_error_ ABSL_GUARDED_BY(mu_);
};

HttpEndpoints::HttpEndpoints(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpEndpoints::~HttpEndpoints() = default;

absl::StatusOr<std::unique_ptr<HttpEndpoints>> HttpEndpoints::Start(
    const std::string& address, const MetricsRegistry& registry,
    std::vector<ReadinessCheck> checks) {
  auto impl = std::make_unique<Impl>(registry, std::move(checks));
  if (absl::Status status = impl->Start(address); !status.ok()) return status;
  return std::unique_ptr<HttpEndpoints>(new HttpEndpoints(std::move(impl)));
}

int HttpEndpoints::port() const { return impl_->port(); }

}  // namespace capstan::telemetry
