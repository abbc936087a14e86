#include "action_program/verbs.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/json_fields.h"

namespace capstan::action_program {
namespace {

bool StopsInTime(const Json& pod, int64_t grace_seconds) {
  return kubernetes::FindField(pod, {"metadata", "deletionTimestamp"}) != nullptr &&
         kubernetes::IntField(pod, {"metadata", "deletionGracePeriodSeconds"}) <= grace_seconds;
}

}  // namespace

absl::StatusOr<Progress> DeletePod(const Command& command, Host& host) {
  const absl::StatusOr<Json> pod = host.Get(kubernetes::kPods, command.name_space, command.name);
  const bool gone = absl::IsNotFound(pod.status());
  if (!gone) CAPSTAN_RETURN_IF_ERROR(pod.status());
  if (gone || kubernetes::StringField(*pod, {"metadata", "uid"}) != command.uid) {
    host.Print(Cat("pod/", command.name, " with uid ", command.uid, " is gone",
                   gone ? "" : ": another one has its name"));
    return Progress::kDone;
  }
  if (StopsInTime(*pod, command.grace_seconds)) return Progress::kWaiting;

  const absl::Status deleted = host.DeletePod(command.name_space, command.name, command.uid,
                                              absl::Seconds(command.grace_seconds));
  // It went, or was replaced, since it was read: the next look says so.
  if (absl::IsNotFound(deleted) || absl::IsAborted(deleted)) return Progress::kWaiting;
  CAPSTAN_RETURN_IF_ERROR(deleted);
  host.Print(Cat("pod/", command.name, " deleted, ", command.grace_seconds, " s to stop"));
  return Progress::kWaiting;
}

}  // namespace capstan::action_program
