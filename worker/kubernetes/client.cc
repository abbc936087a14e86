#include "worker/kubernetes/client.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/http_transport.h"
#include "worker/kubernetes/json_fields.h"
#include "worker/kubernetes/line_splitter.h"
#include "worker/kubernetes/rate_limiter.h"
#include "worker/kubernetes/token_source.h"

namespace capstan::kubernetes {
namespace {

constexpr size_t kMaxWatchLineBytes = 8 * 1024 * 1024;
constexpr int kMaxListRestarts = 3;
constexpr absl::Duration kStreamMargin = absl::Seconds(30);  // for a server that ends a stream late

std::string Escaped(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

std::string PathOf(Resource resource, std::string_view name_space, std::string_view name = "") {
  std::string path(resource.api);
  if (!name_space.empty()) Append(&path, "/namespaces/", Escaped(name_space));
  Append(&path, "/", resource.plural);
  if (!name.empty()) Append(&path, "/", Escaped(name));
  return path;
}

// "get jobs actions/capstan-0123…", the beginning of every error.
std::string Described(std::string_view verb, Resource resource, std::string_view name_space,
                      std::string_view name = "") {
  std::string what = Cat(verb, " ", resource.plural, " ", name_space);
  if (!name_space.empty() && !name.empty()) what += "/";
  Append(&what, name);
  return std::string(absl::StripTrailingAsciiWhitespace(what));
}

class Query {
 public:
  void Add(std::string_view key, std::string_view value) {
    Append(&text_, text_.empty() ? "?" : "&", key, "=", Escaped(value));
  }
  void AddIfSet(std::string_view key, std::string_view value) {
    if (!value.empty()) Add(key, value);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string_view ContentTypeOf(PatchType type) {
  switch (type) {
    case PatchType::kJson:
      return "application/json-patch+json";
    case PatchType::kMerge:
      return "application/merge-patch+json";
    case PatchType::kStrategicMerge:
      return "application/strategic-merge-patch+json";
  }
  return "";
}

std::string_view PropagationName(Propagation propagation) {
  switch (propagation) {
    case Propagation::kBackground:
      return "Background";
    case Propagation::kForeground:
      return "Foreground";
    case Propagation::kOrphan:
      return "Orphan";
  }
  return "";
}

absl::Status NoAnswer(std::string_view what, const HttpResult& result, bool is_write) {
  ApiError error;
  error.message = result.detail;
  if (is_write && result.sent) {
    error.outcome_unknown = true;
    return MakeApiStatus(absl::StatusCode::kUnknown, Cat(what, ": sent, no answer"), error);
  }
  return MakeApiStatus(
      result.stopped ? absl::StatusCode::kCancelled : absl::StatusCode::kUnavailable, what, error);
}

absl::Status BrokenAnswer(std::string_view what, bool is_write) {
  ApiError error;
  error.message = "the answer is no JSON";
  error.outcome_unknown = is_write;
  return MakeApiStatus(is_write ? absl::StatusCode::kUnknown : absl::StatusCode::kUnavailable, what,
                       error);
}

// An earlier attempt of the same write may have been applied. These answers describe the object as
// it is now; any other says only that this attempt was refused.
bool SettlesEarlierAttempt(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsAlreadyExists(status) || absl::IsAborted(status) ||
         absl::IsInvalidArgument(status);
}

absl::Status AsUnknown(const absl::Status& status) {
  ApiError error = ApiErrorOf(status).value_or(ApiError{});
  error.outcome_unknown = true;
  return MakeApiStatus(absl::StatusCode::kUnknown,
                       Cat("an earlier attempt may have been applied; then: ", status.message()),
                       error);
}

absl::StatusOr<WatchEvent> ParseWatchEvent(std::string_view what, std::string_view line) {
  Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("object")) {
    return absl::UnavailableError(Cat(what, ": a line of the stream is no event"));
  }
  const std::string type = StringField(json, {"type"});
  WatchEvent event;
  event.object = std::move(json["object"]);
  if (type == "ERROR") {
    return StatusFromResponse(what, static_cast<int>(IntField(event.object, {"code"}, 500)),
                              event.object.dump(-1, ' ', false, Json::error_handler_t::replace), "",
                              /*is_write=*/false);
  }
  if (type == "ADDED") {
    event.type = WatchEventType::kAdded;
  } else if (type == "MODIFIED") {
    event.type = WatchEventType::kModified;
  } else if (type == "DELETED") {
    event.type = WatchEventType::kDeleted;
  } else if (type == "BOOKMARK") {
    event.type = WatchEventType::kBookmark;
  } else {
    return absl::UnavailableError(Cat(what, ": unknown kind of event: ", type));
  }
  return event;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Create(const ClusterConfig& config, Clock& clock,
                                                       const ClientOptions& options) {
  if (!absl::StartsWith(config.server, "https://") && !absl::StartsWith(config.server, "http://")) {
    return absl::InvalidArgumentError(
        Cat("server: got ", config.server, ", want http://… or https://…"));
  }
  return std::unique_ptr<Client>(new Client(config, clock, options));
}

Client::Client(const ClusterConfig& config, Clock& clock, const ClientOptions& options)
    : clock_(clock),
      options_(options),
      token_source_(std::make_unique<TokenSource>(config, clock)),
      rate_limiter_(
          std::make_unique<RateLimiter>(options.queries_per_second, options.burst, clock)),
      transport_(std::make_unique<HttpTransport>(config, options.user_agent)) {}

Client::~Client() = default;

absl::StatusOr<Json> Client::Get(Resource resource, std::string_view name_space,
                                 std::string_view name, const CallOptions& options) {
  return Call(Described("get", resource, name_space, name),
              {"GET", PathOf(resource, name_space, name), {}, {}}, false, options);
}

absl::StatusOr<ListResult> Client::List(const ListRequest& request, const CallOptions& options) {
  const std::string what = Described("list", request.resource, request.name_space);
  const absl::Duration end = clock_.BootTime() + options.timeout;
  CallOptions page_options = options;
  ListResult result;
  std::string next;
  for (int restarts = 0;;) {
    Query query;
    query.Add("limit", Cat(request.page_size));
    query.AddIfSet("labelSelector", request.label_selector);
    query.AddIfSet("fieldSelector", request.field_selector);
    query.AddIfSet("continue", next);
    page_options.timeout = end - clock_.BootTime();
    absl::StatusOr<Json> page =
        Call(what, {"GET", Cat(PathOf(request.resource, request.name_space), query.text()), {}, {}},
             false, page_options);
    if (absl::IsOutOfRange(page.status()) && !next.empty() && restarts++ < kMaxListRestarts) {
      result = ListResult{};
      next.clear();
      continue;
    }
    CAPSTAN_RETURN_IF_ERROR(page.status());

    if (auto items = page->find("items"); items != page->end() && items->is_array()) {
      for (Json& item : *items) result.items.push_back(std::move(item));
    }
    if (result.items.size() > request.max_items) {
      return absl::ResourceExhaustedError(Cat(what, ": more than ", request.max_items, " objects"));
    }
    next = StringField(*page, {"metadata", "continue"});
    if (next.empty()) {
      result.resource_version = StringField(*page, {"metadata", "resourceVersion"});
      return result;
    }
  }
}

absl::StatusOr<Json> Client::Create(Resource resource, std::string_view name_space,
                                    std::string_view body, const CallOptions& options) {
  Query query;
  query.Add("fieldManager", "capstan");
  query.Add("fieldValidation", "Strict");
  if (options.dry_run) query.Add("dryRun", "All");
  return Call(Described("create", resource, name_space),
              {"POST",
               Cat(PathOf(resource, name_space), query.text()),
               {"Content-Type: application/json"},
               std::string(body)},
              true, options);
}

absl::StatusOr<Json> Client::Patch(Resource resource, std::string_view name_space,
                                   std::string_view name, PatchType type, const Json& patch,
                                   const CallOptions& options) {
  Query query;
  query.Add("fieldManager", "capstan");
  query.Add("fieldValidation", "Strict");
  return Call(Described("patch", resource, name_space, name),
              {"PATCH",
               Cat(PathOf(resource, name_space, name), query.text()),
               {Cat("Content-Type: ", ContentTypeOf(type))},
               patch.dump(-1, ' ', false, Json::error_handler_t::replace)},
              true, options);
}

absl::Status Client::Delete(Resource resource, std::string_view name_space, std::string_view name,
                            Propagation propagation, const DeletePreconditions& preconditions,
                            const CallOptions& options) {
  Json body = {{"apiVersion", "v1"},
               {"kind", "DeleteOptions"},
               {"propagationPolicy", PropagationName(propagation)},
               {"preconditions", Json::object()}};
  if (!preconditions.uid.empty()) body["preconditions"]["uid"] = preconditions.uid;
  if (preconditions.resource_version.has_value()) {
    body["preconditions"]["resourceVersion"] = *preconditions.resource_version;
  }
  if (options.grace.has_value()) {
    body["gracePeriodSeconds"] = absl::ToInt64Seconds(*options.grace);
  }
  return Call(Described("delete", resource, name_space, name),
              {"DELETE",
               PathOf(resource, name_space, name),
               {"Content-Type: application/json"},
               body.dump()},
              true, options)
      .status();
}

absl::Status Client::Watch(const WatchRequest& request,
                           const std::function<void(WatchEvent)>& on_event, std::stop_token stop) {
  const std::string what = Described("watch", request.resource, request.name_space);
  Query query;
  query.Add("watch", "true");
  query.Add("allowWatchBookmarks", "true");
  query.Add("timeoutSeconds", Cat(std::max<int64_t>(1, absl::ToInt64Seconds(request.timeout))));
  query.AddIfSet("labelSelector", request.label_selector);
  query.AddIfSet("resourceVersion", request.resource_version);

  LineSplitter lines(kMaxWatchLineBytes);
  absl::Status stream_error;
  auto on_line = [&](std::string_view line) -> absl::Status {
    CAPSTAN_ASSIGN_OR_RETURN(WatchEvent event, ParseWatchEvent(what, line));
    on_event(std::move(event));
    return absl::OkStatus();
  };
  absl::Status status = Stream(
      what, {"GET", Cat(PathOf(request.resource, request.name_space), query.text()), {}, {}},
      request.timeout + kStreamMargin,
      [&](std::string_view bytes) {
        stream_error = lines.Push(bytes, on_line);
        return stream_error.ok();
      },
      stop);
  return stream_error.ok() ? status : stream_error;
}

absl::Status Client::ReadLog(const LogRequest& request,
                             const std::function<bool(std::string_view)>& on_bytes,
                             const CallOptions& options) {
  Query query;
  query.AddIfSet("container", request.container);
  if (request.follow) query.Add("follow", "true");
  if (request.previous) query.Add("previous", "true");
  if (request.since_time.has_value()) {
    query.Add("sinceTime",
              absl::FormatTime(absl::RFC3339_sec, *request.since_time, absl::UTCTimeZone()));
  }
  if (request.limit_bytes.has_value()) {
    query.Add("limitBytes", Cat(*request.limit_bytes));
  }
  return Stream(
      Described("log of", kPods, request.name_space, request.pod),
      {"GET", Cat(PathOf(kPods, request.name_space, request.pod), "/log", query.text()), {}, {}},
      options.timeout, on_bytes, options.stop);
}

absl::StatusOr<Json> Client::Call(std::string_view what, HttpRequest request, bool is_write,
                                  const CallOptions& options) {
  const absl::Duration end = clock_.BootTime() + options.timeout;
  const std::vector<std::string> own_headers = request.headers;
  thread_local std::minstd_rand random(std::random_device{}());
  std::uniform_real_distribution<double> jitter(0.5, 1.0);
  absl::Duration backoff = options_.backoff_min;
  absl::Status last = absl::DeadlineExceededError(Cat(what, ": no time left to begin"));
  bool unknown = false;
  bool token_dropped = false;

  for (int attempt = 1;; ++attempt) {
    const absl::Duration time_left = end - clock_.BootTime();
    if (time_left <= absl::ZeroDuration()) break;
    request.headers = own_headers;
    absl::StatusOr<std::string> response =
        Attempt(what, request, is_write, time_left, options.stop);
    if (response.ok()) {
      Json json = Json::parse(*response, nullptr, false);
      if (!json.is_discarded()) return json;
      response = BrokenAnswer(what, is_write);
    }
    last = response.status();

    const std::optional<ApiError> error = ApiErrorOf(last);
    absl::Duration wait = backoff * jitter(random);
    if (absl::IsUnauthenticated(last)) {
      if (token_dropped || !token_source_->Drop()) break;
      token_dropped = true;
      wait = absl::ZeroDuration();
    } else if (absl::IsUnknown(last)) {
      unknown = true;
      if (options.repeat != Repeat::kAlways) break;
    } else if (!absl::IsUnavailable(last) &&
               !(absl::IsResourceExhausted(last) && error.has_value())) {
      break;
    }
    if (attempt >= options_.max_attempts) break;
    if (error.has_value() && error->retry_after.has_value()) {
      wait = std::max(wait, std::min(*error->retry_after, kMaxRetryAfter));
    }
    if (wait >= end - clock_.BootTime()) break;
    if (!clock_.SleepFor(wait, options.stop)) {
      last = absl::CancelledError(Cat(what, ": stopped between attempts"));
      break;
    }
    backoff = std::min(backoff * 2, options_.backoff_max);
  }
  if (unknown && !absl::IsUnknown(last) && !SettlesEarlierAttempt(last)) return AsUnknown(last);
  return last;
}

absl::StatusOr<std::string> Client::Attempt(std::string_view what, HttpRequest& request,
                                            bool is_write, absl::Duration time_left,
                                            std::stop_token stop) {
  CAPSTAN_RETURN_IF_ERROR(rate_limiter_->Acquire(time_left, stop));
  CAPSTAN_ASSIGN_OR_RETURN(const std::string token, token_source_->Token());
  if (!token.empty()) {
    request.headers.push_back(Cat("Authorization: Bearer ", token));
  }
  request.headers.push_back("Accept: application/json");

  HttpLimits limits;
  limits.connect = std::min(options_.connect_timeout, time_left);
  limits.total = std::min(options_.attempt_timeout, time_left);
  std::string response;
  bool too_large = false;
  const HttpResult result = transport_->Perform(
      request, limits,
      [&](std::string_view bytes) {
        too_large = response.size() + bytes.size() > kMaxResponseBytes;
        if (!too_large) response.append(bytes);
        return !too_large;
      },
      stop);
  Report(what, result);
  if (too_large) {
    return absl::FailedPreconditionError(
        Cat(what, ": the answer has more than ", kMaxResponseBytes, " bytes"));
  }
  if (!result.answered) return NoAnswer(what, result, is_write);
  if (result.code < 200 || result.code >= 300) {
    return StatusFromResponse(what, result.code, result.error_body, result.retry_after, is_write);
  }
  return response;
}

// `what` begins with the verb.
void Client::Report(std::string_view what, const HttpResult& result) const {
  if (!options_.on_answer) return;
  options_.on_answer(what.substr(0, what.find(' ')), result.answered ? result.code : 0);
}

absl::Status Client::Stream(std::string_view what, HttpRequest request, absl::Duration time_limit,
                            const std::function<bool(std::string_view)>& on_bytes,
                            std::stop_token stop) {
  CAPSTAN_RETURN_IF_ERROR(rate_limiter_->Acquire(time_limit, stop));
  CAPSTAN_ASSIGN_OR_RETURN(const std::string token, token_source_->Token());
  if (!token.empty()) {
    request.headers.push_back(Cat("Authorization: Bearer ", token));
  }

  HttpLimits limits;
  limits.connect = options_.connect_timeout;
  limits.total = time_limit;
  limits.idle = options_.stream_idle_limit;
  const HttpResult result = transport_->Perform(request, limits, on_bytes, stop);
  Report(what, result);
  if (result.cut_short) return absl::OkStatus();
  if (!result.answered) return NoAnswer(what, result, /*is_write=*/false);
  if (result.code < 200 || result.code >= 300) {
    if (result.code == 401) token_source_->Drop();
    return StatusFromResponse(what, result.code, result.error_body, result.retry_after,
                              /*is_write=*/false);
  }
  return absl::OkStatus();
}

}  // namespace capstan::kubernetes
