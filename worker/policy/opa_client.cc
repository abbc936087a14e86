#include "worker/policy/opa_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/status_macros.h"

namespace capstan::policy {
namespace {

constexpr char kUnixScheme[] = "unix://";
constexpr std::size_t kMaxIdleHandles = 16;

void InitCurlOnce() {
  static const CURLcode result = curl_global_init(CURL_GLOBAL_DEFAULT);
  CAPSTAN_CHECK(result == CURLE_OK);
}

struct Received {
  std::string body;
  std::size_t limit = 0;
  bool too_large = false;
};

std::size_t OnWrite(char* data, std::size_t size, std::size_t count, void* received_pointer) {
  auto* received = static_cast<Received*>(received_pointer);
  const std::size_t length = size * count;
  received->too_large = received->body.size() + length > received->limit;
  if (received->too_large) return 0;  // Ends the exchange.
  received->body.append(data, length);
  return length;
}

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  std::ifstream stream(path);
  std::string token{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  absl::StripAsciiWhitespace(&token);
  if (!stream || token.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("token file ", path, ": cannot be read"));
  }
  return token;
}

}  // namespace

struct OpaClient::Handle {
  Handle() : easy(curl_easy_init()) { CAPSTAN_CHECK(easy != nullptr); }
  ~Handle() { curl_easy_cleanup(easy); }
  CURL* const easy;  // Keeps the connection between exchanges.
};

absl::StatusOr<std::unique_ptr<OpaClient>> OpaClient::Create(Options options) {
  const bool good = absl::StartsWith(options.url, "http://") ||
                    absl::StartsWith(options.url, "https://") ||
                    absl::StartsWith(options.url, absl::StrCat(kUnixScheme, "/"));
  if (!good) {
    return absl::InvalidArgumentError(
        absl::StrCat("OPA URL: got \"", options.url, "\", want http://…, https://… or unix:///…"));
  }
  return std::unique_ptr<OpaClient>(new OpaClient(std::move(options)));
}

OpaClient::OpaClient(Options options) : options_(std::move(options)), handles_(kMaxIdleHandles) {
  InitCurlOnce();
  absl::string_view url = options_.url;
  if (absl::ConsumePrefix(&url, kUnixScheme)) {
    socket_path_ = std::string(url);
    base_url_ = "http://localhost";
  } else {
    base_url_ = std::string(absl::StripSuffix(url, "/"));
  }
}

OpaClient::~OpaClient() = default;

absl::StatusOr<OpaReply> OpaClient::Post(const std::string& target, const std::string& json,
                                         absl::Duration timeout) {
  curl_slist* headers = nullptr;
  const absl::Cleanup free_headers = [&headers] { curl_slist_free_all(headers); };
  headers = curl_slist_append(headers, "Content-Type: application/json");
  headers = curl_slist_append(headers, "Expect:");  // No extra round trip.
  if (!options_.token_file.empty()) {
    CAPSTAN_ASSIGN_OR_RETURN(const std::string token, ReadToken(options_.token_file));
    headers = curl_slist_append(headers, absl::StrCat("Authorization: Bearer ", token).c_str());
  }

  std::unique_ptr<Handle> handle = handles_.Take();
  CURL* easy = handle->easy;
  Received received{"", options_.max_reply_bytes};
  char error[CURL_ERROR_SIZE] = {};
  curl_easy_setopt(easy, CURLOPT_URL, absl::StrCat(base_url_, target).c_str());
  if (!socket_path_.empty()) curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, socket_path_.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(json.size()));
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, json.c_str());
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &OnWrite);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &received);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                   std::max(1L, static_cast<long>(absl::ToInt64Milliseconds(timeout))));
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options_.ca_file.empty()) {
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);  // Only this CA, not the system's too.
    curl_easy_setopt(easy, CURLOPT_CAINFO, options_.ca_file.c_str());
  }
  const CURLcode result = curl_easy_perform(easy);
  long code = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
  curl_easy_reset(easy);
  handles_.Return(std::move(handle));

  if (received.too_large) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the answer is over ", options_.max_reply_bytes, " bytes"));
  }
  if (result == CURLE_OPERATION_TIMEDOUT) {
    return absl::DeadlineExceededError(
        absl::StrCat("no answer within ", absl::FormatDuration(timeout)));
  }
  if (result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CONNECT_ERROR) {
    return absl::UnavailableError(absl::StrCat("no TLS connection to ", base_url_,
                                               " with a certificate that is good for it: ", error));
  }
  if (result != CURLE_OK) {
    return absl::UnavailableError(error[0] != '\0' ? error : curl_easy_strerror(result));
  }
  return OpaReply{static_cast<int>(code), std::move(received.body)};
}

}  // namespace capstan::policy
