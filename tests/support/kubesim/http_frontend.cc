#include "tests/support/kubesim/http_frontend.h"

#include <civetweb.h>

#include <cstdlib>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

constexpr int kHandled = 1;  // civetweb: the handler answered
constexpr int kDefaultWatchSeconds = 1800;

ApiReply FaultReply(const Fault& fault, const ApiCall& call) {
  const Resource& resource = *call.resource;
  const std::string& name = call.key.name;
  ApiReply reply;
  if (fault.message.empty() && fault.code == 429) {
    // Priority and fairness answers in plain text, not with a Status.
    reply.code = 429;
    reply.text = "Too many requests, please try again later.\n";
  } else if (fault.message.empty() && fault.code == 409 &&
             (call.verb == "create" || fault.reason == "AlreadyExists")) {
    reply = AlreadyExists(resource, name);
  } else if (fault.message.empty() && fault.code == 409) {
    reply = ModifiedConflict(resource, name);
  } else if (fault.message.empty() && fault.code == 404) {
    reply = NotFound(resource, name);
  } else {
    std::string message = fault.message;
    if (message.empty()) message = Cat("injected ", fault.code);
    for (size_t at = 0; (at = message.find("$NAME", at)) != std::string::npos;) {
      message.replace(at, 5, name);
    }
    Json details = {{"kind", resource.plural}};
    if (!name.empty()) details["name"] = name;
    if (!resource.group.empty()) details["group"] = resource.group;
    reply = StatusReply(
        fault.code, fault.reason.empty() ? ReasonOf(fault.code) : std::string_view(fault.reason),
        message, std::move(details));
  }
  int retry_after = fault.retry_after_seconds;
  if (retry_after < 0 && fault.code == 429) retry_after = 1;
  if (retry_after >= 0) {
    reply.headers.emplace_back("Retry-After", std::to_string(retry_after));
    if (!reply.text.has_value()) reply.body["details"]["retryAfterSeconds"] = retry_after;
  }
  return reply;
}

}  // namespace

HttpFrontend::HttpFrontend(ApiServer& api, ObjectStore& store, PodLogs& logs, FaultBoard& faults,
                           AuditLog& audit, ChangeSignal& signal, Clock& clock, AdminHandler admin)
    : api_(api),
      store_(store),
      logs_(logs),
      faults_(faults),
      audit_(audit),
      signal_(signal),
      clock_(clock),
      admin_(std::move(admin)) {}

HttpFrontend::~HttpFrontend() { Stop(); }

absl::Status HttpFrontend::Start(int port, int threads) {
  mg_init_library(0);
  const std::string listen = Cat("127.0.0.1:", port);
  const std::string count = std::to_string(threads);
  const char* options[] = {"listening_ports",
                           listen.c_str(),
                           "num_threads",
                           count.c_str(),
                           "enable_keep_alive",
                           "yes",
                           "keep_alive_timeout_ms",
                           "5000",
                           "request_timeout_ms",
                           "30000",
                           "tcp_nodelay",
                           "1",
                           "decode_url",
                           "yes",
                           nullptr};
  mg_callbacks callbacks{};
  context_ = mg_start(&callbacks, this, options);
  if (context_ == nullptr) {
    mg_exit_library();
    return absl::UnavailableError(Cat("cannot listen on ", listen));
  }
  mg_set_request_handler(context_, "/**", &HttpFrontend::OnRequest, this);
  mg_server_port ports[1]{};
  mg_get_server_ports(context_, 1, ports);
  port_ = ports[0].port;
  return absl::OkStatus();
}

void HttpFrontend::Stop() {
  if (context_ == nullptr) return;
  stopping_ = true;
  signal_.Notify();
  ShutDownSockets(port_);
  mg_stop(context_);
  context_ = nullptr;
  mg_exit_library();
}

int HttpFrontend::OnRequest(mg_connection* connection, void* self) {
  Connection wrapped(connection);
  static_cast<HttpFrontend*>(self)->Serve(wrapped);
  return kHandled;
}

void HttpFrontend::SetToken(const std::string& token) {
  absl::MutexLock lock(&mu_);
  token_ = token;
}

void HttpFrontend::CloseWatches() {
  ++close_epoch_;
  signal_.Notify();
}

void HttpFrontend::SendBookmarks() {
  ++bookmark_epoch_;
  signal_.Notify();
}

int HttpFrontend::OpenWatches(const std::string& resource) const {
  absl::MutexLock lock(&mu_);
  int count = 0;
  for (const auto& [name, open] : open_watches_) {
    if (resource.empty() || name == resource) count += open;
  }
  return count;
}

void HttpFrontend::Audit(const ApiCall& call, const ApiRequest& request, const ApiReply& reply,
                         bool reply_cut) {
  if (call.resource == nullptr) return;
  AuditEntry entry = EntryOf(call, request, reply, clock_.Now());
  entry.reply_cut = reply_cut;
  audit_.Add(std::move(entry));
  signal_.Notify();
}

void HttpFrontend::Serve(Connection& connection) {
  ApiRequest request;
  std::string bearer_token;
  if (!connection.ReadRequest(&request, &bearer_token)) {
    connection.Send(
        StatusReply(413, "RequestEntityTooLarge",
                    Cat("Request entity too large: limit is ", Connection::kMaxBodyBytes)));
    return;
  }
  if (request.path.starts_with("/_sim/")) {
    connection.Send(admin_(request));
    return;
  }
  bool welcome = false;
  {
    absl::MutexLock lock(&mu_);
    welcome = token_.empty() || token_ == bearer_token;
  }
  std::variant<ApiCall, ApiReply> parsed = api_.Parse(request);
  if (!welcome) {
    ApiReply refused = Unauthorized();
    if (auto* call = std::get_if<ApiCall>(&parsed)) Audit(*call, request, refused);
    connection.Send(refused);
    return;
  }
  if (auto* refused = std::get_if<ApiReply>(&parsed)) {
    connection.Send(*refused);
    return;
  }
  ServeCall(connection, std::get<ApiCall>(parsed), request);
}

void HttpFrontend::ServeCall(Connection& connection, const ApiCall& call,
                             const ApiRequest& request) {
  if (std::optional<ApiReply> refused = api_.CheckAccess(call)) {
    Audit(call, request, *refused);
    connection.Send(*refused);
    return;
  }
  if (call.resource == nullptr) {
    connection.Send(api_.Handle(call, request));
    return;
  }
  std::optional<FaultBoard::Hit> hit =
      faults_.OnCall({call.verb, std::string(call.resource->plural), call.subresource,
                      call.key.name, request.user_agent});
  if (hit.has_value()) {
    signal_.Notify();
    ServeFault(connection, call, request, *hit);
  } else {
    Answer(connection, call, request);
  }
}

void HttpFrontend::ServeFault(Connection& connection, const ApiCall& call,
                              const ApiRequest& request, const FaultBoard::Hit& hit) {
  ApiReply reply;
  reply.code = 0;
  switch (hit.fault.kind) {
    case FaultKind::kStatus:
      reply = FaultReply(hit.fault, call);
      Audit(call, request, reply);
      connection.Send(reply);
      return;
    case FaultKind::kResetBeforeApply:
      Audit(call, request, reply);
      connection.Reset();
      return;
    case FaultKind::kApplyThenCut:
      if (!call.IsWatch()) reply = api_.Handle(call, request);
      Audit(call, request, reply, /*reply_cut=*/true);
      connection.CutReply(call.IsWatch() ? 200 : reply.code);
      return;
    case FaultKind::kApplyThenDelay:
      reply = api_.Handle(call, request);
      Audit(call, request, reply);
      if (AwaitRelease(connection, hit.id)) connection.Send(reply);
      return;
    case FaultKind::kDelay:
      if (AwaitRelease(connection, hit.id)) {
        Answer(connection, call, request);
      } else {
        Audit(call, request, reply);
      }
      return;
    case FaultKind::kHang:
      Audit(call, request, reply);
      AwaitRelease(connection, hit.id);
      connection.Reset();
      return;
    case FaultKind::kWatchReplayStale:
      Answer(connection, call, request, /*replay_stale=*/true);
      return;
    case FaultKind::kWatchDrop:
    case FaultKind::kWatchClose:
    case FaultKind::kWatchGone:
      return;  // never given to a call
  }
}

bool HttpFrontend::AwaitRelease(Connection& connection, int fault_id) {
  ChangeSignal::Subscription subscription(signal_);
  while (!faults_.Released(fault_id)) {
    if (stopping_) return false;
    if (connection.Wait(subscription.fd(), absl::InfiniteDuration()) ==
        Connection::Wake::kClientGone) {
      return false;
    }
    subscription.Drain();
  }
  return !stopping_;
}

void HttpFrontend::Answer(Connection& connection, const ApiCall& call, const ApiRequest& request,
                          bool replay_stale) {
  if (call.IsWatch()) {
    Watch(connection, call, request, replay_stale);
  } else if (call.subresource == "log" && request.Flag("follow")) {
    FollowLog(connection, call, request);
  } else {
    ApiReply reply = api_.Handle(call, request);
    Audit(call, request, reply);
    connection.Send(reply);
  }
}

void HttpFrontend::Watch(Connection& connection, const ApiCall& call, const ApiRequest& request,
                         bool replay_stale) {
  std::variant<WatchStream, ApiReply> opened =
      WatchStream::Open(store_, faults_, call, request, replay_stale);
  if (auto* refused = std::get_if<ApiReply>(&opened)) {
    Audit(call, request, *refused);
    connection.Send(*refused);
    return;
  }
  int seconds = std::atoi(request.Param("timeoutSeconds").c_str());
  absl::Time end = absl::Now() + absl::Seconds(seconds > 0 ? seconds : kDefaultWatchSeconds);
  const std::string resource(call.resource->plural);
  int close_epoch = close_epoch_;
  int bookmark_epoch = bookmark_epoch_;
  {
    absl::MutexLock lock(&mu_);
    ++open_watches_[resource];
  }
  absl::Cleanup closed = [&] {
    {
      absl::MutexLock lock(&mu_);
      --open_watches_[resource];
    }
    signal_.Notify();
  };
  Audit(call, request, ApiReply());
  StreamWatch(connection, std::get<WatchStream>(opened), end, close_epoch, bookmark_epoch);
}

void HttpFrontend::StreamWatch(Connection& connection, WatchStream& stream, absl::Time end,
                               int close_epoch, int bookmark_epoch) {
  ChangeSignal::Subscription subscription(signal_);
  if (!connection.StartStream("application/json")) return;
  while (!stopping_ && close_epoch == close_epoch_) {
    subscription.Drain();
    if (!connection.Chunk(stream.Read())) return;
    if (stream.done()) break;
    if (bookmark_epoch != bookmark_epoch_) {
      bookmark_epoch = bookmark_epoch_;
      connection.Chunk(stream.Bookmark());
    }
    absl::Duration left = end - absl::Now();
    Connection::Wake wake = left <= absl::ZeroDuration() ? Connection::Wake::kTimeout
                                                         : connection.Wait(subscription.fd(), left);
    if (wake == Connection::Wake::kClientGone) return;
    if (wake == Connection::Wake::kTimeout) {
      connection.Chunk(stream.Bookmark());
      break;
    }
  }
  if (close_epoch != close_epoch_) connection.Chunk(stream.Read());  // what happened before
  connection.EndStream();
}

void HttpFrontend::FollowLog(Connection& connection, const ApiCall& call,
                             const ApiRequest& request) {
  auto found = api_.FindLog(call, request);
  if (auto* refused = std::get_if<ApiReply>(&found)) {
    Audit(call, request, *refused);
    connection.Send(*refused);
    return;
  }
  const ApiServer::LogTarget& target = std::get<ApiServer::LogTarget>(found);
  ApiReply started;
  started.uid = target.pod_uid;
  Audit(call, request, started);
  ChangeSignal::Subscription subscription(signal_);
  if (!connection.StartStream("text/plain; charset=utf-8")) return;
  PodLogs::Slice slice = logs_.Read(target.pod_uid, target.query);
  while (!stopping_) {
    subscription.Drain();
    if (!connection.Chunk(slice.text)) return;
    // A pod that is removed takes its log along: what follows will never come.
    if (slice.finished || !store_.UidExists(target.pod_uid)) break;
    slice = logs_.ReadFrom(target.pod_uid, target.query, slice.next);
    if (!slice.text.empty() || slice.finished) continue;
    if (connection.Wait(subscription.fd(), absl::InfiniteDuration()) ==
        Connection::Wake::kClientGone) {
      return;
    }
  }
  connection.EndStream();
}

}  // namespace capstan::kubesim
