// A thin Kubernetes client: blocking calls over HTTP/1.1 with keep-alive, JSON in and out. It knows
// verbs and errors; what a Job means is job_launch.h's business. Errors: see api_error.h, which
// also says what to do about each.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/clock.h"
#include "nlohmann/json.hpp"
#include "worker/kubernetes/api_error.h"
#include "worker/kubernetes/credentials.h"

namespace capstan::kubernetes {

using Json = nlohmann::json;

class HttpTransport;
class RateLimiter;
class TokenSource;
struct HttpRequest;
struct HttpResult;

// A collection of the API, e.g. kJobs.
struct Resource {
  std::string_view api;     // "/apis/batch/v1"
  std::string_view plural;  // "jobs"
};
inline constexpr Resource kJobs{"/apis/batch/v1", "jobs"};
inline constexpr Resource kPods{"/api/v1", "pods"};
inline constexpr Resource kEvents{"/api/v1", "events"};
inline constexpr Resource kNamespaces{"/api/v1", "namespaces"};  // cluster-scoped: namespace ""
inline constexpr Resource kNodes{"/api/v1", "nodes"};            // cluster-scoped
inline constexpr Resource kDeployments{"/apis/apps/v1", "deployments"};
inline constexpr Resource kReplicaSets{"/apis/apps/v1", "replicasets"};
inline constexpr Resource kStatefulSets{"/apis/apps/v1", "statefulsets"};
inline constexpr Resource kConfigMaps{"/api/v1", "configmaps"};
inline constexpr Resource kSecrets{"/api/v1", "secrets"};
inline constexpr Resource kServiceAccounts{"/api/v1", "serviceaccounts"};
inline constexpr Resource kValidatingAdmissionPolicies{
    "/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicies"};  // cluster-scoped
inline constexpr Resource kValidatingAdmissionPolicyBindings{
    "/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings"};
// Questions: they are created, answered, and never stored.
inline constexpr Resource kSubjectAccessReviews{"/apis/authorization.k8s.io/v1",
                                                "subjectaccessreviews"};
inline constexpr Resource kSelfSubjectAccessReviews{"/apis/authorization.k8s.io/v1",
                                                    "selfsubjectaccessreviews"};
inline constexpr Resource kPodDisruptionBudgets{"/apis/policy/v1", "poddisruptionbudgets"};
inline constexpr Resource kHorizontalPodAutoscalers{"/apis/autoscaling/v2",
                                                    "horizontalpodautoscalers"};

// When a write may be sent again by the client itself. Reads are always repeated.
enum class Repeat {
  // Only while it is certain that nothing happened: not sent at all, 401, 429.
  kOnlyIfNotApplied,
  // Also after a lost reply or a 5xx: the caller promises that twice is as good as once (a create
  // under a fixed name
  // answers AlreadyExists, a delete by uid NotFound, a one-shot patch fails its test).
  kAlways,
};

struct CallOptions {
  absl::Duration timeout = absl::Seconds(30);  // of the whole call, waits between attempts included
  std::stop_token stop = {};  // ends the call early; a write already sent is then UNKNOWN
  Repeat repeat = Repeat::kOnlyIfNotApplied;  // writes only
  // Deletes of pods only: how long the pod may take to stop, in whole seconds; without it the pod's
  // own terminationGracePeriodSeconds.
  std::optional<absl::Duration> grace = {};
  bool dry_run = false;  // creates only: everything but storing it (dryRun=All)
};

enum class PatchType { kJson, kMerge, kStrategicMerge };

enum class Propagation { kBackground, kForeground, kOrphan };

struct DeletePreconditions {
  std::string uid = {};  // never empty for Jobs: a namesake must not be hit
  std::optional<std::string>
      resource_version;  // also refuse when the object has changed since that read
};

struct ListRequest {
  Resource resource;
  std::string name_space = {};      // empty: all namespaces, or a cluster-scoped resource
  std::string label_selector = {};  // "a=b,c=d" or empty
  std::string field_selector = {};
  int page_size = 500;
  size_t max_items = 100'000;  // RESOURCE_EXHAUSTED when the collection is larger
};

struct ListResult {
  std::vector<Json> items;
  std::string resource_version;  // of the collection: where a watch goes on
};

struct WatchRequest {
  Resource resource;
  std::string name_space = {};
  std::string label_selector = {};
  std::string resource_version = {};
  absl::Duration timeout = absl::Minutes(5);  // timeoutSeconds: the server ends the stream then
};

enum class WatchEventType { kAdded, kModified, kDeleted, kBookmark };

struct WatchEvent {
  WatchEventType type;
  Json object;  // a bookmark holds only metadata.resourceVersion
};

struct LogRequest {
  std::string name_space = {};
  std::string pod = {};
  std::string container = {};
  bool follow = false;
  bool previous = false;
  std::optional<absl::Time> since_time = {};
  std::optional<int64_t> limit_bytes = {};
};

struct ClientOptions {
  double queries_per_second = 50;
  int burst = 100;
  absl::Duration connect_timeout = absl::Seconds(5);
  absl::Duration attempt_timeout = absl::Seconds(20);  // one request and its answer
  int max_attempts = 5;
  absl::Duration backoff_min = absl::Milliseconds(100);  // doubled each time, with jitter
  absl::Duration backoff_max = absl::Seconds(5);
  absl::Duration stream_idle_limit =
      absl::Minutes(15);  // a watch or log stream silent for longer is cut
  std::string user_agent = "capstan (linux)";
  // Called after every request, with the API verb (get, list, watch, create, patch, delete, log)
  // and the HTTP status, 0 when no answer came. For metrics: must not block. May be empty.
  std::function<void(std::string_view verb, int http_code)> on_answer = {};
};

inline constexpr size_t kMaxResponseBytes = 64 * 1024 * 1024;
inline constexpr absl::Duration kMaxRetryAfter = absl::Seconds(60);

// Thread-safe; one a cluster, owned by main.cc. Connections are pooled and shared by all callers.
// Uses no thread of its own. Never logs, and puts neither tokens nor request bodies into errors.
class Client {
 public:
  // INVALID_ARGUMENT: the server's address is neither http:// nor https://.
  static absl::StatusOr<std::unique_ptr<Client>> Create(const ClusterConfig& config, Clock& clock,
                                                        const ClientOptions& options = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // A consistent read: no resourceVersion is sent, so the answer is never older than the call.
  absl::StatusOr<Json> Get(Resource resource, std::string_view name_space, std::string_view name,
                           const CallOptions& options = {});

  // All pages of a consistent list. A continue token that expires (410) starts the list again.
  absl::StatusOr<ListResult> List(const ListRequest& request, const CallOptions& options = {});

  // POSTs `body` as it is (it must be JSON) and answers the object as stored.
  absl::StatusOr<Json> Create(Resource resource, std::string_view name_space, std::string_view body,
                              const CallOptions& options = {});

  // Answers the object as stored. A JSON Patch whose test fails is INVALID_ARGUMENT with http_code
  // 422.
  absl::StatusOr<Json> Patch(Resource resource, std::string_view name_space, std::string_view name,
                             PatchType type, const Json& patch, const CallOptions& options = {});

  // OK: accepted; with finalizers (foreground) the object lives on for a while. ABORTED: a
  // precondition failed.
  absl::Status Delete(Resource resource, std::string_view name_space, std::string_view name,
                      Propagation propagation, const DeletePreconditions& preconditions,
                      const CallOptions& options = {});

  // Calls `on_event` on this thread, in order, until the stream ends. OK: the server closed it
  // (time-out): go on from the last resourceVersion. OUT_OF_RANGE: too old, as an HTTP answer or as
  // an ERROR event: list again. CANCELLED: stop was requested. Anything else: go on from the last
  // resourceVersion after a pause. Not repeated by itself.
  absl::Status Watch(const WatchRequest& request, const std::function<void(WatchEvent)>& on_event,
                     std::stop_token stop);

  // Calls `on_bytes` with pieces of the log until its end; it returns false to end early (that is
  // OK too). With `follow` the end is the container's. `options.timeout` bounds the whole stream.
  // Not repeated by itself. NOT_FOUND: no such pod. INVALID_ARGUMENT: the container has not started
  // yet.
  absl::Status ReadLog(const LogRequest& request,
                       const std::function<bool(std::string_view)>& on_bytes,
                       const CallOptions& options = {});

 private:
  Client(const ClusterConfig& config, Clock& clock, const ClientOptions& options);

  absl::StatusOr<Json> Call(std::string_view what, HttpRequest request, bool is_write,
                            const CallOptions& options);
  void Report(std::string_view what, const HttpResult& result) const;
  absl::StatusOr<std::string> Attempt(std::string_view what, HttpRequest& request, bool is_write,
                                      absl::Duration time_left, std::stop_token stop);
  absl::Status Stream(std::string_view what, HttpRequest request, absl::Duration time_limit,
                      const std::function<bool(std::string_view)>& on_bytes, std::stop_token stop);

  Clock& clock_;
  const ClientOptions options_;
  const std::unique_ptr<TokenSource> token_source_;
  const std::unique_ptr<RateLimiter> rate_limiter_;
  const std::unique_ptr<HttpTransport> transport_;
};

}  // namespace capstan::kubernetes
