#include "worker/http/http_call.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::http {
namespace {

constexpr int kPollMilliseconds = 50;
constexpr long kConnectMilliseconds = 10'000;
constexpr std::size_t kMaxHeaders = 100;

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* thing) const {
    Free(thing);
  }
};
using Easy = std::unique_ptr<CURL, Freer<curl_easy_cleanup>>;
using Multi = std::unique_ptr<CURLM, Freer<curl_multi_cleanup>>;
using Url = std::unique_ptr<CURLU, Freer<curl_url_cleanup>>;
using Headers = std::unique_ptr<curl_slist, Freer<curl_slist_free_all>>;

void InitCurlOnce() {
  static const CURLcode result = curl_global_init(CURL_GLOBAL_DEFAULT);
  CAPSTAN_CHECK(result == CURLE_OK);
}

// What libcurl's callbacks work on.
struct Exchange {
  CURL* easy = nullptr;
  std::size_t error_bytes = 0;
  std::string received;  // of a 2xx answer, not yet given to the sink
  HttpAnswer answer;
  bool any_byte = false;  // since it was last asked
  char error[CURL_ERROR_SIZE] = {};

  int Code() const {
    long code = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
    return static_cast<int>(code);
  }

  static std::size_t OnBody(char* data, std::size_t size, std::size_t count, void* pointer) {
    auto* self = static_cast<Exchange*>(pointer);
    const std::size_t length = size * count;
    self->any_byte = true;
    const int code = self->Code();
    if (code >= 200 && code < 300) {
      self->received.append(data, length);
      return length;
    }
    std::string& body = self->answer.error_body;
    body.append(data, std::min(length, self->error_bytes - body.size()));
    return length;
  }

  static std::size_t OnHeader(char* data, std::size_t size, std::size_t count, void* pointer) {
    auto* self = static_cast<Exchange*>(pointer);
    const std::string line(data, size * count);
    self->any_byte = true;
    if (line.rfind("HTTP/", 0) == 0) self->answer.headers.clear();  // those before were interim
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos && self->answer.headers.size() < kMaxHeaders) {
      self->answer.headers[absl::AsciiStrToLower(line.substr(0, colon))] =
          std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
    }
    return size * count;
  }
};

Headers MakeHeaders(const HttpCall& call) {
  curl_slist* list = curl_slist_append(nullptr, "Expect:");  // no extra round trip
  for (const std::string& header : call.headers) list = curl_slist_append(list, header.c_str());
  return Headers(list);
}

void SetMethod(const HttpCall& call, CURL* easy) {
  if (call.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    return;
  }
  if (call.body.has_value()) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body->size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call.body->data());
  }
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call.method.c_str());
}

void SetOptions(const HttpCall& call, curl_slist* headers, Exchange& exchange) {
  CURL* easy = exchange.easy;
  curl_easy_setopt(easy, CURLOPT_URL, call.url.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange.error);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Exchange::OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &Exchange::OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, kConnectMilliseconds);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  SetMethod(call, easy);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  if (!call.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, call.ca_file.c_str());
}

// True when the transfer is over.
bool Over(CURLM* multi, CURLcode* code) {
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    *code = message->data.result;
    return true;
  }
  return false;
}

// Runs the transfer until it is over or must be.
HttpAnswer::End Drive(const HttpCall& call, CURLM* multi, Exchange& exchange, Clock& clock,
                      const std::function<bool(std::string_view)>& sink, std::stop_token stop) {
  absl::Duration last_byte = clock.BootTime();
  for (;;) {
    int running = 0;
    CURLcode code = CURLE_OK;
    if (curl_multi_perform(multi, &running) != CURLM_OK) return HttpAnswer::End::kBroken;
    const bool over = Over(multi, &code);
    if (!exchange.received.empty()) {
      const bool go_on = sink(exchange.received);
      exchange.received.clear();
      if (!go_on) return HttpAnswer::End::kBySink;
    }
    if (over) return code == CURLE_OK ? HttpAnswer::End::kWhole : HttpAnswer::End::kBroken;
    const absl::Duration now = clock.BootTime();
    if (exchange.any_byte) last_byte = now;
    exchange.any_byte = false;
    if (stop.stop_requested()) return HttpAnswer::End::kStopped;
    if (now >= call.deadline) return HttpAnswer::End::kTimedOut;
    if (now - last_byte >= call.stall) return HttpAnswer::End::kStalled;
    curl_multi_poll(multi, nullptr, 0, kPollMilliseconds, nullptr);
  }
}

}  // namespace

HttpAnswer Perform(const HttpCall& call, Clock& clock,
                   const std::function<bool(std::string_view)>& sink, std::stop_token stop) {
  InitCurlOnce();
  const Multi multi(curl_multi_init());
  const Easy easy(curl_easy_init());
  CAPSTAN_CHECK(multi != nullptr && easy != nullptr);
  const Headers headers = MakeHeaders(call);
  Exchange exchange;
  exchange.easy = easy.get();
  exchange.error_bytes = call.error_bytes;
  SetOptions(call, headers.get(), exchange);
  curl_multi_add_handle(multi.get(), easy.get());
  HttpAnswer::End end;
  {
    const std::stop_callback wake(stop, [&multi] { curl_multi_wakeup(multi.get()); });
    end = Drive(call, multi.get(), exchange, clock, sink, stop);
  }
  curl_off_t pretransfer_us = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_PRETRANSFER_TIME_T, &pretransfer_us);
  HttpAnswer answer = std::move(exchange.answer);
  answer.end = end;
  answer.code = exchange.Code();
  answer.sent = answer.code != 0 || pretransfer_us > 0;
  if (end == HttpAnswer::End::kBroken) {
    answer.detail = exchange.error[0] != '\0' ? exchange.error : "connection lost";
  }
  curl_multi_remove_handle(multi.get(), easy.get());
  return answer;
}

std::string WhomCurlCalls(const std::string& url) {
  const Url parsed(curl_url());
  const auto part = [&](CURLUPart what, unsigned int flags) -> std::string {
    char* text = nullptr;
    if (curl_url_get(parsed.get(), what, &text, flags) != CURLUE_OK) return "";
    const std::string copy = absl::AsciiStrToLower(text);
    curl_free(text);
    return copy;
  };
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), CURLU_DISALLOW_USER) != CURLUE_OK)
    return "";
  return Cat(part(CURLUPART_SCHEME, 0), "://", part(CURLUPART_HOST, 0), ":",
             part(CURLUPART_PORT, CURLU_DEFAULT_PORT));
}

std::optional<absl::Duration> RetryAfter(const std::map<std::string, std::string>& headers) {
  double seconds = 0;
  const auto found = headers.find("retry-after");
  if (found == headers.end() || !absl::SimpleAtod(found->second, &seconds) || !(seconds >= 0))
    return std::nullopt;
  return absl::Seconds(seconds);
}

}  // namespace capstan::http
