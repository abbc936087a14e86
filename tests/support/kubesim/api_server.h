// The API server without its sockets: one call in, one answer out. Watches and followed logs are
// streams and belong to the HTTP front end.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/clock.h"
#include "tests/support/kubesim/api_reply.h"
#include "tests/support/kubesim/audit_log.h"
#include "tests/support/kubesim/deletion.h"
#include "tests/support/kubesim/object_store.h"
#include "tests/support/kubesim/pod_logs.h"
#include "tests/support/kubesim/right.h"
#include "tests/support/kubesim/selector.h"

namespace capstan::kubesim {

struct ApiRequest {
  std::string method;
  std::string path;  // without the query, decoded
  std::map<std::string, std::string> query;
  std::string body;
  std::string content_type;
  std::string user_agent;
  std::string actor_job;  // the Job whose pod makes the call; "" from outside
  std::string actor_job_uid;

  // "" when the parameter is absent.
  std::string Param(const std::string& name) const;
  bool Flag(const std::string& name) const;  // "1" or "true"
};

// A request that was understood.
struct ApiCall {
  const Resource* resource =
      nullptr;  // null for the paths that are no resource (/version, access reviews)
  std::string verb;
  std::string subresource;
  ObjectKey key;
  Json body;
  bool dry_run = false;

  bool IsWatch() const { return verb == "watch"; }
};

// What the audit log says of a finished call on a resource.
AuditEntry EntryOf(const ApiCall& call, const ApiRequest& request, const ApiReply& reply,
                   absl::Time now);

class ApiServer {
 public:
  // All borrowed.
  ApiServer(ObjectStore& store, Clock& clock, PodLogs& logs, AuditLog& audit);

  // Understands the request, or gives the reply that refuses it (404 path, 405, 400 body, 422
  // dryRun).
  std::variant<ApiCall, ApiReply> Parse(const ApiRequest& request) const;

  // Everything but watches and followed logs.
  ApiReply Handle(const ApiCall& call, const ApiRequest& request);

  // The pod and container a log call means, or why there is none.
  struct LogTarget {
    std::string pod_uid;
    LogQuery query;
  };
  std::variant<LogTarget, ApiReply> FindLog(const ApiCall& call, const ApiRequest& request) const;

  enum class Caller { kOutside, kPod };
  // From now on this verb on this resource is answered by the RBAC 403. "" matches everything.
  void Forbid(const std::string& verb, const std::string& resource,
              const std::string& namespace_name, Caller caller);
  // From the first one on, access reviews about anybody go by what was granted to him, and say no
  // to what Forbid() says no to.
  void Grant(const std::string& user, const Right& right);
  // The 403 for this call from outside, if it is forbidden.
  std::optional<ApiReply> CheckAccess(const ApiCall& call) const;
  std::optional<ApiReply> CheckAccess(const ApiCall& call, Caller caller,
                                      std::string_view user) const;

 private:
  // The new object from the current one, or the reply that refuses.
  using Transform = std::function<std::variant<Json, ApiReply>(const Json&)>;

  struct Rule {
    std::string verb;
    std::string resource;
    std::string namespace_name;
    Caller caller = Caller::kOutside;
  };

  bool Granted(const std::string& user, const Right& right) const;
  bool Forbidden(const std::string& verb, const std::string& resource,
                 const std::string& namespace_name, Caller caller) const;
  ApiReply HandlePlainPath(const ApiCall& call, const ApiRequest& request) const;
  ApiReply ReviewAccess(const Json& body, const std::string& user) const;
  ApiReply Get(const ApiCall& call) const;
  ApiReply List(const ApiCall& call, const ApiRequest& request) const;
  ApiReply Log(const ApiCall& call, const ApiRequest& request) const;
  ApiReply Create(const ApiCall& call, const ApiRequest& request);
  std::optional<ApiReply> CheckQuota(const ObjectKey& key) const;
  ApiReply Write(const ApiCall& call, const ApiRequest& request);
  ApiReply Change(const ApiCall& call, const Transform& transform);
  ApiReply WriteScale(const ApiCall& call, const ApiRequest& request);
  ApiReply Delete(const ApiCall& call, const ApiRequest& request);
  ApiReply DeleteCollection(const ApiCall& call, const ApiRequest& request);

  ObjectStore& store_;
  Clock& clock_;
  PodLogs& logs_;
  AuditLog& audit_;
  absl::Mutex create_mu_;  // a quota is counted and used in one step
  mutable absl::Mutex rules_mu_;
  std::vector<Rule> rules_ ABSL_GUARDED_BY(rules_mu_);
  std::set<std::pair<std::string, Right>> grants_ ABSL_GUARDED_BY(rules_mu_);
};

}  // namespace capstan::kubesim
