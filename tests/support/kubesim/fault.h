// What can go wrong between a client and the simulated API server, on demand.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "tests/support/kubesim/json.h"

namespace capstan::kubesim {

enum class FaultKind {
  kStatus,            // answer `code` with a Status body; nothing is applied
  kResetBeforeApply,  // TCP reset before a byte of the reply; nothing is applied
  kApplyThenCut,      // applied, then the connection is reset inside the reply's header
  kDelay,             // held until Release(), then served as usual; not applied before
  kApplyThenDelay,    // applied, the reply is held until Release()
  kHang,        // never answered, nothing applied; ends when the client leaves or at Release()
  kWatchDrop,   // the event is left out of the stream
  kWatchClose,  // the stream ends just before the event
  kWatchGone,   // an ERROR event with Status 410 in place of the event, then the stream ends
  kWatchReplayStale,  // the watch call first delivers again the kept history of its objects, oldest
                      // first
};

// Matches calls (or, for kWatchDrop, kWatchClose and kWatchGone, events of watch streams;
// name_prefix is then the object's name). An empty field matches anything, except `subresource`,
// where "" is the object itself and "*" any. libcurl sends a request again by itself when a
// *reused* connection is reset before the first byte of the reply (kResetBeforeApply): such a
// client shows the fault only with `count` above 1 or on its first call.
struct Fault {
  std::string verb;      // get, list, watch, create, update, patch, delete, deletecollection
  std::string resource;  // plural: jobs, pods, deployments
  std::string subresource;
  std::string name_prefix;  // a create has the name of the object in its body
  std::string user_agent_prefix;
  int nth = 1;    // the first matching call that is hit, counted from 1 since injection
  int count = 1;  // how many matching calls in a row are hit; -1 all from then on
  FaultKind kind = FaultKind::kStatus;
  int code = 500;       // kStatus: HTTP status
  std::string reason;   // kStatus: Status.reason; by code when empty
  std::string message;  // kStatus: Status.message; like the real server's when empty
  int retry_after_seconds =
      -1;  // kStatus: Retry-After header; 429 has 1 when negative, others none
};

// The messages of the real server, for kStatus.
Fault Forbidden(std::string verb, std::string resource, std::string user);
Fault QuotaExceeded(std::string quota_name, int limit);                // create jobs, 403
Fault AdmissionPolicyDenied(std::string policy, std::string message);  // create jobs, 422
Fault WebhookDenied(std::string webhook, std::string message);         // create jobs, 403
Fault TooManyRequests(std::string verb, std::string resource,
                      int count);                // 429, Retry-After 1, plain text body
Fault AlreadyExistsFault(std::string resource);  // create, 409

// From the JSON of /_sim/faults: the fields above by name, `kind` in snake case ("apply_then_cut").
// INVALID_ARGUMENT names the field that is wrong.
absl::StatusOr<Fault> FaultFromJson(const Json& json);
Json FaultToJson(const Fault& fault);

// What a call or an event is matched by.
struct FaultSubject {
  std::string verb;
  std::string resource;
  std::string subresource;
  std::string name;
  std::string user_agent;
};

// The injected faults and their counts. Thread-safe.
class FaultBoard {
 public:
  struct Hit {
    int id = 0;
    Fault fault;
  };

  // The id names the fault in Hits() and Release().
  int Inject(Fault fault);
  void Clear();

  // Counts a call against every call fault; the oldest that is due wins.
  std::optional<Hit> OnCall(const FaultSubject& subject);
  // The same for an event of a watch stream.
  std::optional<Hit> OnWatchEvent(const FaultSubject& subject);

  // How often the fault was applied; 0 for an unknown id.
  int Hits(int id) const;
  std::vector<std::pair<int, Fault>> List() const;

  // Lets held calls of this fault go on, those that come later too. Clear() releases all.
  void Release(int id);
  bool Released(int id) const;

 private:
  struct Entry {
    Fault fault;
    int seen = 0;
    int hits = 0;
    bool released = false;
  };

  std::optional<Hit> Count(const FaultSubject& subject, bool event)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable absl::Mutex mu_;
  int next_id_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<int, Entry> entries_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::kubesim
