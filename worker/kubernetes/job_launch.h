// The steps of launching one side effect as a Job, each safe to run again by whoever takes over.
// None of them decides what the execution does next; they say what is true in the cluster.
//
// The order is: CreateSuspended, record the uid durably, Arm, Observe until finished, DeleteJob. A
// Job is created suspended and started once, by a patch that tests its uid and its `armed`
// annotation, so a late or repeated request can start neither another incarnation nor the same one
// twice.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/clock.h"
#include "nlohmann/json.hpp"
#include "worker/kubernetes/client.h"
#include "worker/kubernetes/job_observation.h"

namespace capstan::kubernetes {

struct CreatedJob {
  enum class How {
    kCreated,
    kAdopted
  };  // adopted: it was there, made by an earlier or unanswered attempt

  How how = How::kCreated;
  JobRef ref;
  std::string resource_version;
  bool armed = false;
  bool suspended = true;
  bool being_deleted = false;
};

enum class ArmResult {
  kArmed,         // by this call
  kAlreadyArmed,  // armed earlier (or by this call, when its answer was lost); running or finished:
                  // go on
  kArmedButSuspended,  // somebody else suspended it after it was armed: never unsuspend; delete it
                       // by uid
  kGone,               // no such Job, or one with another uid
};

enum class DeleteResult {
  kDeleted,  // accepted now; in the foreground the Job lives until its pods are gone: ConfirmGone
             // tells
  kGone,     // there was none with this uid
  kChanged,  // the Job is no longer at `resource_version`; nothing was deleted
};

struct GoneReport {
  enum class Kind {
    kGone,           // neither the Job nor an unfinished pod of it exists: its effect is over
    kStillThere,     // ask again later
    kCannotBeShown,  // a pod sits on a node that does not answer: it may still be running
  };

  Kind kind = Kind::kStillThere;
  std::string detail;  // which object is in the way, for people
};

// A terminating pod that outlives its own deadline by this much is taken to be on a lost node.
inline constexpr absl::Duration kLostPodGrace = absl::Seconds(60);
inline constexpr int kMaxArmAttempts = 5;
inline constexpr size_t kMaxEventsRead = 500;  // of one object
inline constexpr size_t kMaxPodsWithEvents = 5;

// Thread-safe, stateless. Owned by main.cc; every call blocks for at most options.timeout (Repeat
// is chosen here).
class JobLauncher {
 public:
  JobLauncher(Client& client, Clock& clock);

  // POSTs the stored bytes of a rendered Job. If one of that name exists it is adopted when it
  // carries the same execution label and spec hash. ALREADY_EXISTS: somebody else's object has that
  // name (NAME_COLLISION); it was not touched. INVALID_ARGUMENT: the bytes are not a suspended,
  // unarmed Job of this execution (our bug; nothing sent), or the API
  //   server refuses the Job. PERMISSION_DENIED: RBAC, quota or admission; FailureOfCreate() in
  //   outcome.h sorts them.
  // UNKNOWN: it may exist now or later, suspended and harmless: call again with the same bytes.
  // UNAVAILABLE, RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED: nothing was created; call again.
  absl::StatusOr<CreatedJob> CreateSuspended(std::string_view rendered_job,
                                             std::string_view execution_id,
                                             std::string_view spec_hash,
                                             const CallOptions& options = {});

  // Starts the Job, once. An unclear answer is settled by reading the Job.
  // UNKNOWN: could not be settled in time; it may be armed: call again, that is safe.
  // Other errors: as Client; nothing was armed by this call.
  absl::StatusOr<ArmResult> Arm(const JobRef& ref, const CallOptions& options = {});

  // A consistent read of the Job and its pods (quorum, not a cache). `found` is false when it is
  // gone or replaced.
  absl::StatusOr<JobObservation> Observe(const JobRef& ref, const CallOptions& options = {});

  // Events of the Job and its pods, oldest first, for a message a person understands; pods that are
  // gone are found by their name's prefix. An error here never changes an outcome: judge without
  // events then.
  absl::StatusOr<std::vector<Json>> ReadEvents(const JobRef& ref, const CallOptions& options = {});

  // Deletes this incarnation only. With `resource_version` only as it was at that read (a read that
  // showed it unarmed makes kDeleted a proof that it never ran). UNKNOWN: without resource_version,
  // call again; with it, it is no longer knowable whether the Job was still unarmed: say that an
  // effect is possible.
  absl::StatusOr<DeleteResult> DeleteJob(const JobRef& ref,
                                         std::optional<std::string> resource_version,
                                         Propagation propagation, const CallOptions& options = {});

  // By quorum reads. Errors: could not be read now; ask again.
  absl::StatusOr<GoneReport> ConfirmGone(const JobRef& ref, const CallOptions& options = {});

 private:
  absl::StatusOr<CreatedJob> Adopt(const JobRef& wanted, std::string_view execution_id,
                                   std::string_view spec_hash, const CallOptions& options);
  absl::Status AppendEventsOf(const std::string& name_space, std::string_view kind,
                              const std::string& name, const CallOptions& options,
                              std::vector<Json>* events);
  absl::StatusOr<std::vector<Json>> ListPods(const JobRef& ref, const CallOptions& options);

  Client& client_;
  Clock& clock_;
};

}  // namespace capstan::kubernetes
