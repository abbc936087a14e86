#include "worker/task/http_calls.h"

#include <re2/re2.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/status_macros.h"
#include "core/utf8.h"
#include "core/workflow/render.h"
#include "worker/http/http_call.h"
#include "worker/phases/small_file.h"

namespace capstan::worker {
namespace {

using Answer = http::HttpAnswer::End;
using End = HttpOutcome::End;

constexpr std::size_t kMaxSecretBytes = 8 * 1024;
constexpr absl::Duration kLongestRetryAfter = absl::Hours(1);

// A call that is ready to be made.
struct Ready {
  http::HttpCall call;
  std::vector<std::string> secrets;
};

absl::Status Invalid(const std::string& field, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", why));
}

// A body that is JSON stays what it is, whatever its texts are.
workflow::Escape EscapeFor(const std::string& body) {
  const absl::string_view text = absl::StripLeadingAsciiWhitespace(body);
  const bool is_json =
      absl::StartsWith(text, "[") || (absl::StartsWith(text, "{") && !absl::StartsWith(text, "{{"));
  return is_json ? workflow::Escape::kJson : workflow::Escape::kNone;
}

absl::StatusOr<std::string> UrlOf(const HttpCallOptions& options, const v1::HttpStep& step,
                                  const workflow::Values& values) {
  CAPSTAN_ASSIGN_OR_RETURN(std::string url,
                           workflow::Render(step.url(), values, workflow::Escape::kUrl));
  const absl::StatusOr<HttpHost> host = ParseHttpUrl(url);
  if (!host.ok()) return Invalid("url", host.status().message());
  const std::string whom = HttpHostText(*host);
  if (!IsAllowed(*host, options.allowed)) {
    return absl::PermissionDeniedError(
        absl::StrCat("url: got ", whom, ", want a host that tasks.http.allowed names"));
  }
  // It is called as it was read, or not at all.
  if (http::WhomCurlCalls(url) != whom)
    return Invalid("url", "got a URL that can be read otherwise");
  return url;
}

absl::Status AddHeaders(const v1::HttpStep& step, const workflow::Values& values, Ready& ready) {
  bool has_type = false;
  for (const auto& [name, text] : step.headers()) {
    CAPSTAN_ASSIGN_OR_RETURN(const std::string value, workflow::Render(text, values));
    if (!IsHeaderValue(value)) {
      return Invalid(absl::StrCat("headers.", name),
                     "got a value with line ends or control characters, or of more than 8 KiB, "
                     "want neither");
    }
    has_type = has_type || absl::AsciiStrToLower(name) == "content-type";
    ready.call.headers.push_back(value.empty() ? absl::StrCat(name, ";")
                                               : absl::StrCat(name, ": ", value));
  }
  if (!has_type) ready.call.headers.emplace_back("Content-Type:");  // libcurl would make one up
  return absl::OkStatus();
}

absl::Status AddSecrets(const HttpCallOptions& options, const v1::HttpStep& step, Ready& ready) {
  for (const auto& [header, name] : step.secret_headers()) {
    const auto file = options.secret_files.find(name);
    if (file == options.secret_files.end()) {
      return Invalid(absl::StrCat("secret_headers.", header),
                     absl::StrCat("got ", name, ", want a name of tasks.http.secret_files"));
    }
    const std::string field = absl::StrCat("tasks.http.secret_files.", name);
    absl::StatusOr<std::string> value = phases::ReadSmallFile(file->second, kMaxSecretBytes);
    if (!value.ok()) return Invalid(field, value.status().message());
    absl::StripAsciiWhitespace(&*value);
    if (!IsHeaderValue(*value) || value->size() < kMinSecretBytes) {
      return Invalid(field, absl::StrCat("got a value that cannot be a header, want one line of ",
                                         kMinSecretBytes, " bytes to 8 KiB"));
    }
    ready.call.headers.push_back(absl::StrCat(header, ": ", *value));
    for (std::string& form : SecretForms(*value)) ready.secrets.push_back(std::move(form));
  }
  return absl::OkStatus();
}

absl::Status Prepare(const HttpCallOptions& options, const v1::HttpStep& step,
                     const workflow::Values& values, Ready& ready) {
  ready.call.method = step.method();
  CAPSTAN_ASSIGN_OR_RETURN(ready.call.url, UrlOf(options, step, values));
  CAPSTAN_RETURN_IF_ERROR(AddHeaders(step, values, ready));
  const bool may_have_body = step.method() != "GET" && step.method() != "HEAD";
  if (may_have_body && (!step.body().empty() || step.method() != "DELETE")) {
    CAPSTAN_ASSIGN_OR_RETURN(ready.call.body,
                             workflow::Render(step.body(), values, EscapeFor(step.body())));
  }
  ready.call.headers.emplace_back("User-Agent: capstan");
  ready.call.ca_file = options.ca_file;
  ready.call.error_bytes = kMaxHttpBody + 1;  // one more tells that there was more
  return AddSecrets(options, step, ready);    // last: nothing was read where nothing is sent
}

HttpOutcome Refused(const absl::Status& status) {
  HttpOutcome outcome;
  outcome.end = End::kRefused;
  outcome.message = std::string(status.message());
  outcome.error = absl::IsPermissionDenied(status)     ? "NOT_ALLOWED"
                  : absl::IsFailedPrecondition(status) ? "UNRESOLVED"
                                                       : "INVALID_CALL";
  return outcome;
}

// What of an answer is kept.
void Keep(const http::HttpAnswer& answer, std::string body, const Redactor& general,
          const std::vector<std::string>& secrets, HttpOutcome& outcome) {
  const Redactor own(secrets);
  const auto safe = [&](const std::string& text) {
    return own.Redact(general.Redact(MendUtf8(text)));
  };
  outcome.code = answer.code;
  outcome.retry_after =
      std::min(http::RetryAfter(answer.headers).value_or(absl::ZeroDuration()), kLongestRetryAfter);
  for (const auto& [name, value] : answer.headers) {
    if (name != "set-cookie" && name != "set-cookie2") outcome.headers[safe(name)] = safe(value);
  }
  outcome.too_large = body.size() > kMaxHttpBody;
  if (!outcome.too_large) outcome.body = safe(body);
}

}  // namespace

HttpOutcome HttpCalls::Call(const v1::HttpStep& step, const workflow::Values& values,
                            absl::Duration timeout, std::stop_token stop) const {
  Ready ready;
  if (const absl::Status status = Prepare(options_, step, values, ready); !status.ok())
    return Refused(status);
  ready.call.deadline = clock_.BootTime() + timeout;
  std::string body;
  const http::HttpAnswer answer = http::Perform(
      ready.call, clock_,
      [&](std::string_view piece) {
        body.append(piece);
        return body.size() <= kMaxHttpBody;
      },
      stop);
  HttpOutcome outcome;
  outcome.request = absl::StrCat(step.method(), " ", ready.call.url);
  const std::string whom = absl::StrCat(step.method(), " ", http::WhomCurlCalls(ready.call.url));
  if (answer.end == Answer::kWhole || answer.end == Answer::kBySink) {
    outcome.end = End::kAnswered;
    if (body.empty()) body = answer.error_body;
    Keep(answer, std::move(body), redactor_, ready.secrets, outcome);
    outcome.message = absl::StrCat(whom, ": HTTP ", outcome.code);
    return outcome;
  }
  if (answer.end == Answer::kStopped) {
    outcome.end = End::kStopped;
    outcome.message = absl::StrCat(whom, ": stopped", answer.sent ? "; it may be carried out" : "");
    return outcome;
  }
  outcome.end = answer.sent ? End::kUnknown : End::kNotSent;
  const std::string why = answer.end == Answer::kTimedOut
                              ? absl::StrCat("no answer within ", absl::FormatDuration(timeout))
                              : redactor_.Redact(MendUtf8(answer.detail));
  outcome.message = absl::StrCat(whom, ": ", why);
  return outcome;
}

std::string Complaint(const v1::HttpStep& call, const HttpOutcome& outcome) {
  const bool fits = call.success_codes().empty()
                        ? outcome.code >= 200 && outcome.code < 300
                        : std::find(call.success_codes().begin(), call.success_codes().end(),
                                    outcome.code) != call.success_codes().end();
  if (!fits) return outcome.message;
  if (outcome.too_large)
    return absl::StrCat(outcome.message, ", with a body of more than ", kMaxHttpBody, " bytes");
  if (call.success_pattern().empty()) return "";
  const RE2 pattern(call.success_pattern());
  if (RE2::PartialMatch(outcome.body, pattern)) return "";
  return absl::StrCat(outcome.message, ", and its body does not match ", call.success_pattern());
}

bool IsTransient(const HttpOutcome& outcome) {
  return outcome.end == End::kNotSent || outcome.end == End::kUnknown ||
         (outcome.end == End::kAnswered && (outcome.code == 429 || outcome.code == 502 ||
                                            outcome.code == 503 || outcome.code == 504));
}

std::vector<std::string> SecretForms(const std::string& value) {
  std::vector<std::string> forms = {value};
  if (const std::size_t blank = value.find(' '); blank != std::string::npos)
    forms.push_back(value.substr(blank + 1));
  return forms;
}

}  // namespace capstan::worker
