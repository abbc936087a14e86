// What a Job, its pods and its events say about how an action went. Pure functions: no I/O, no
// clock.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "nlohmann/json.hpp"
#include "worker/kubernetes/job_observation.h"

namespace capstan::kubernetes {

enum class JobFailure {
  kNone,
  kDeadlineExceeded,   // activeDeadlineSeconds ran out
  kOomKilled,          // a container passed its memory limit
  kForbidden,          // admission refused the Job or its pod, or RBAC the action in its midst
  kAccountMissing,     // the action's service account does not exist
  kRoleMissing,        // RBAC refused the action the first thing that it asked for
  kImagePull,          // the image cannot be had
  kConfiguration,      // missing Secret or mount, bad command: nothing a repeat would cure
  kResourceExhausted,  // quota, or no node has room
  kEvicted,            // the node or the scheduler took the pod away
  kJobFailed,          // the action itself failed: exit_code
  kUnknownOutcome,     // the Job is gone, or finished without saying how
};
std::string_view JobFailureName(JobFailure failure);

struct JobOutcome {
  // Only a Complete or Failed condition that is True ends a Job; SuccessCriteriaMet and
  // FailureTarget do not, pods may still run then.
  bool finished = false;
  bool succeeded = false;
  bool gone = false;  // observed as not found: failure is kUnknownOutcome, finished stays false
  JobFailure failure = JobFailure::kNone;
  std::optional<int>
      exit_code;        // of the container that ended it: the first that failed, else the last
  std::string message;  // one or two sentences for a person; empty after success
  std::string termination_message;               // of that container, as it wrote it; at most
                                                 // kMaxTerminationMessageBytes
  absl::Time started_at = absl::InfinitePast();  // status.startTime of the Job
  absl::Time finished_at =
      absl::InfinitePast();  // of the Job's terminal condition or completionTime
  int pods_started = 0;      // pods in which a container has run

  // While not finished and not suspended: what the start is waiting for. "PodNotCreated",
  // "Pending", "ContainerCreating" and the like in the ordinary course; "ImagePullBackOff",
  // "Unschedulable", "FailedCreate", "FailedMount" and the like when something is wrong, and then
  // `waiting_failure` is what to call it if the start deadline passed now. Empty once every
  // container runs or has run.
  std::string waiting_reason;
  std::string waiting_message;
  JobFailure waiting_failure = JobFailure::kNone;
};

inline constexpr size_t kMaxTerminationMessageBytes = 12 * 1024;  // what Kubernetes allows a pod
inline constexpr size_t kMaxOutcomeMessageBytes = 2048;

// The pod says why it has ended, or is about to.
bool TellsItsEnd(const nlohmann::json& pod);

// `events` are core/v1 Events of the Job and its pods in any order; may be empty. Missing or
// mistyped fields never throw; they read as absent.
JobOutcome OutcomeOf(const JobObservation& observation,
                     absl::Span<const nlohmann::json> events = {});

// What a refused create means: kResourceExhausted for quota, kForbidden for RBAC and admission,
// kConfiguration for a Job the API server finds invalid, kNone for errors that a later call may not
// meet (not sent, 429, unknown, …).
JobFailure FailureOfCreate(const absl::Status& status);

}  // namespace capstan::kubernetes
