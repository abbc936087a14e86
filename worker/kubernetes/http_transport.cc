#include "worker/kubernetes/http_transport.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::kubernetes {
namespace {

constexpr int kPollMilliseconds = 1000;
constexpr unsigned int kTcpUserTimeoutMilliseconds = 20'000;

void InitCurlOnce() {
  static const CURLcode result = curl_global_init(CURL_GLOBAL_DEFAULT);
  CAPSTAN_CHECK(result == CURLE_OK);
}

// A peer that vanished is noticed although data of ours is still in flight (keep-alive probes are
// not sent then).
int SetSocketOptions(void*, curl_socket_t socket, curlsocktype) {
  setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &kTcpUserTimeoutMilliseconds,
             sizeof(kTcpUserTimeoutMilliseconds));
  return CURL_SOCKOPT_OK;
}

curl_blob BlobOf(const std::string& data) {
  return {const_cast<char*>(data.data()), data.size(), CURL_BLOB_NOCOPY};
}

}  // namespace

struct HttpTransport::Handle {
  Handle() : easy(curl_easy_init()), multi(curl_multi_init()) {
    CAPSTAN_CHECK(easy != nullptr && multi != nullptr);
  }
  ~Handle() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }
  CURL* const easy;
  CURLM* const multi;  // keeps the connection between exchanges
};

// What libcurl's callbacks work on.
struct HttpTransport::Exchange {
  CURL* easy = nullptr;
  const std::string* body = nullptr;
  size_t body_read = 0;
  std::string received;  // of a 2xx answer, not yet given to the sink
  std::string error_body;
  std::string retry_after;
  curl_slist* headers = nullptr;
  curl_slist* connect_to = nullptr;
  char error[CURL_ERROR_SIZE] = {};

  ~Exchange() {
    curl_slist_free_all(headers);
    curl_slist_free_all(connect_to);
  }

  long Code() const {
    long code = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
    return code;
  }

  static size_t OnRead(char* buffer, size_t size, size_t count, void* self_pointer) {
    auto* self = static_cast<Exchange*>(self_pointer);
    const size_t length = std::min(size * count, self->body->size() - self->body_read);
    std::memcpy(buffer, self->body->data() + self->body_read, length);
    self->body_read += length;
    return length;
  }

  // libcurl repeats a request by itself when a kept connection dies before the first byte of the
  // answer. That is no proof that the request was not carried out, so a body that was read is not
  // given out again.
  static int OnSeek(void* self_pointer, curl_off_t offset, int) {
    auto* self = static_cast<Exchange*>(self_pointer);
    return self->body_read == static_cast<size_t>(offset) ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
  }

  static size_t OnWrite(char* data, size_t size, size_t count, void* self_pointer) {
    auto* self = static_cast<Exchange*>(self_pointer);
    const size_t length = size * count;
    const long code = self->Code();
    if (code >= 200 && code < 300) {
      self->received.append(data, length);
    } else {
      self->error_body.append(data, std::min(length, kMaxErrorBodyBytes - self->error_body.size()));
    }
    return length;
  }

  static size_t OnHeader(char* data, size_t size, size_t count, void* self_pointer) {
    auto* self = static_cast<Exchange*>(self_pointer);
    std::string_view line(data, size * count);
    constexpr std::string_view kRetryAfter = "retry-after:";
    if (absl::StartsWithIgnoreCase(AbslView(line), AbslView(kRetryAfter))) {
      line.remove_prefix(kRetryAfter.size());
      self->retry_after = std::string(absl::StripAsciiWhitespace(AbslView(line)));
    }
    return size * count;
  }
};

HttpTransport::HttpTransport(ClusterConfig config, std::string user_agent)
    : config_(std::move(config)), user_agent_(std::move(user_agent)), handles_(kMaxIdleHandles) {
  InitCurlOnce();
  base_url_ = std::string(absl::StripSuffix(config_.server, "/"));
  if (config_.tls_server_name.empty()) return;

  std::string_view rest = base_url_;
  constexpr std::string_view kScheme = "https://";
  if (!rest.starts_with(kScheme)) return;
  rest.remove_prefix(kScheme.size());
  const size_t authority_end = rest.find('/');
  const std::string_view authority = rest.substr(0, authority_end);
  const std::string_view path =
      authority_end == std::string_view::npos ? "" : rest.substr(authority_end);
  const size_t colon = authority.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
  const std::string_view host = has_port ? authority.substr(0, colon) : authority;
  const std::string_view port = has_port ? authority.substr(colon + 1) : "443";
  connect_to_ = Cat(config_.tls_server_name, ":", port, ":", host, ":", port);
  base_url_ = Cat("https://", config_.tls_server_name, ":", port, path);
}

HttpTransport::~HttpTransport() = default;

HttpResult HttpTransport::Perform(const HttpRequest& request, const HttpLimits& limits,
                                  const Sink& sink, std::stop_token stop) {
  HttpResult result;
  if (stop.stop_requested()) {
    result.stopped = true;
    result.detail = "stopped";
    return result;
  }

  std::unique_ptr<Handle> handle = handles_.Take();
  Exchange exchange;
  exchange.easy = handle->easy;
  SetOptions(*handle, request, limits, exchange);
  curl_multi_add_handle(handle->multi, handle->easy);
  CURLcode curl_code = CURLE_OK;
  bool done = false;
  {
    std::stop_callback wake(stop, [multi = handle->multi] { curl_multi_wakeup(multi); });
    while (!done && !result.stopped && !result.cut_short) {
      int running = 0;
      if (curl_multi_perform(handle->multi, &running) != CURLM_OK) {
        curl_code = CURLE_FAILED_INIT;
        break;
      }
      if (!exchange.received.empty()) {
        result.cut_short = !sink(exchange.received);
        exchange.received.clear();
      }
      int left = 0;
      while (CURLMsg* message = curl_multi_info_read(handle->multi, &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        done = true;
        curl_code = message->data.result;
      }
      if (done) break;
      if (stop.stop_requested()) {
        result.stopped = true;
      } else if (!result.cut_short) {
        curl_multi_poll(handle->multi, nullptr, 0, kPollMilliseconds, nullptr);
      }
    }
  }

  curl_off_t pretransfer_us = 0;
  curl_easy_getinfo(handle->easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer_us);
  result.code = static_cast<int>(exchange.Code());
  result.answered = done && curl_code == CURLE_OK && result.code != 0;
  // With a body: it is certain that nothing arrived whole as long as no byte of the body was taken.
  // The flag errs on the side of "may have been sent".
  result.sent = result.answered ||
                (request.body.has_value() && !request.body->empty() ? exchange.body_read > 0
                                                                    : pretransfer_us > 0);
  result.error_body = std::move(exchange.error_body);
  result.retry_after = std::move(exchange.retry_after);
  if (result.stopped) {
    result.detail = "stopped";
  } else if (!result.answered) {
    result.detail = exchange.error[0] != '\0' ? exchange.error : curl_easy_strerror(curl_code);
  }
  curl_multi_remove_handle(handle->multi, handle->easy);  // closes an unfinished connection
  curl_easy_reset(handle->easy);
  handles_.Return(std::move(handle));
  return result;
}

void HttpTransport::SetOptions(Handle& handle, const HttpRequest& request, const HttpLimits& limits,
                               Exchange& exchange) const {
  CURL* easy = handle.easy;
  curl_easy_setopt(easy, CURLOPT_URL, Cat(base_url_, request.target).c_str());
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent_.c_str());
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange.error);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Exchange::OnWrite);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &Exchange::OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, &SetSocketOptions);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   std::max(1L, static_cast<long>(absl::ToInt64Milliseconds(limits.connect))));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                   std::max(1L, static_cast<long>(absl::ToInt64Milliseconds(limits.total))));
  if (limits.idle < absl::InfiniteDuration()) {
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
                     std::max(1L, static_cast<long>(absl::ToInt64Seconds(limits.idle))));
  }

  if (request.body.has_value()) {
    exchange.body = &*request.body;
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body->size()));
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, &Exchange::OnRead);
    curl_easy_setopt(easy, CURLOPT_READDATA, &exchange);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, &Exchange::OnSeek);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, &exchange);
    exchange.headers = curl_slist_append(exchange.headers, "Expect:");  // no extra round trip
  }
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  for (const std::string& header : request.headers) {
    exchange.headers = curl_slist_append(exchange.headers, header.c_str());
  }
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange.headers);
  if (!connect_to_.empty()) {
    exchange.connect_to = curl_slist_append(nullptr, connect_to_.c_str());
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, exchange.connect_to);
  }
  SetTlsOptions(handle);
}

void HttpTransport::SetTlsOptions(Handle& handle) const {
  CURL* easy = handle.easy;
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  if (!config_.ca_data.empty() || !config_.ca_file.empty()) {
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);  // only the cluster's CA, not the system's too
  }
  if (!config_.ca_data.empty()) {
    curl_blob blob = BlobOf(config_.ca_data);
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
  } else if (!config_.ca_file.empty()) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, config_.ca_file.c_str());
  }
  if (!config_.client_certificate_data.empty()) {
    curl_blob blob = BlobOf(config_.client_certificate_data);
    curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &blob);
  } else if (!config_.client_certificate_file.empty()) {
    curl_easy_setopt(easy, CURLOPT_SSLCERT, config_.client_certificate_file.c_str());
  }
  if (!config_.client_key_data.empty()) {
    curl_blob blob = BlobOf(config_.client_key_data);
    curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &blob);
  } else if (!config_.client_key_file.empty()) {
    curl_easy_setopt(easy, CURLOPT_SSLKEY, config_.client_key_file.c_str());
  }
}

}  // namespace capstan::kubernetes
