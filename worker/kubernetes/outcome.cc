#include "worker/kubernetes/outcome.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "core/text.h"
#include "worker/kubernetes/api_error.h"
#include "worker/kubernetes/json_fields.h"

namespace capstan::kubernetes {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxQuotedBytes = 600;

// Why a container does not start, by the reason in its waiting state.
struct WaitingReason {
  std::string_view reason;
  JobFailure failure;
};
constexpr WaitingReason kWaitingReasons[] = {
    {"ImagePullBackOff", JobFailure::kImagePull},
    {"ErrImagePull", JobFailure::kImagePull},
    {"ErrImageNeverPull", JobFailure::kImagePull},
    {"InvalidImageName", JobFailure::kImagePull},
    {"ImageInspectError", JobFailure::kImagePull},
    {"RegistryUnavailable", JobFailure::kImagePull},
    {"SignatureValidationFailed", JobFailure::kImagePull},
    {"CreateContainerConfigError", JobFailure::kConfiguration},
    {"CreateContainerError", JobFailure::kConfiguration},
    {"RunContainerError", JobFailure::kConfiguration},
    {"PreCreateHookError", JobFailure::kConfiguration},
    {"PostStartHookError", JobFailure::kConfiguration},
};

// Why a container ended, by the reason in its terminated state; "Error" and "Completed" say nothing
// more.
constexpr WaitingReason kTerminatedReasons[] = {
    {"OOMKilled", JobFailure::kOomKilled},
    {"ContainerCannotRun", JobFailure::kConfiguration},
    {"StartError", JobFailure::kConfiguration},
    {"DeadlineExceeded", JobFailure::kDeadlineExceeded},
};

// What Events say that states do not.
constexpr WaitingReason kEventReasons[] = {
    {"FailedMount", JobFailure::kConfiguration},
    {"FailedAttachVolume", JobFailure::kConfiguration},
    {"FailedScheduling", JobFailure::kResourceExhausted},
    {"FailedCreatePodSandBox", JobFailure::kNone},
};

// The events of a pod that was taken off its node and may be gone.
constexpr std::string_view kEvictionReasons[] = {"Evicted", "Preempted", "TaintManagerEviction"};

// The kubelet cuts a message that it takes from the log.
constexpr size_t kWholeMessageBytes = 2000;
constexpr std::ptrdiff_t kWholeMessageLines = 79;

template <size_t n>
const WaitingReason* FindReason(const WaitingReason (&table)[n], std::string_view reason) {
  for (const WaitingReason& row : table) {
    if (row.reason == reason) return &row;
  }
  return nullptr;
}

std::string Clipped(std::string text, size_t limit) {
  if (text.size() <= limit) return text;
  text.resize(limit);
  return text;
}

std::string Quoted(const std::string& text) {
  return Clipped(std::string(absl::StripAsciiWhitespace(text)), kMaxQuotedBytes);
}

const Json* TrueCondition(const Json& object, std::string_view type) {
  for (const Json& condition : ArrayField(object, {"status", "conditions"})) {
    if (StringField(condition, {"type"}) == type && StringField(condition, {"status"}) == "True") {
      return &condition;
    }
  }
  return nullptr;
}

bool IsMissingAccount(const std::string& refusal) {
  return absl::StrContains(refusal, "serviceaccount") && absl::StrContains(refusal, "not found");
}

// What a refusal by the API server's checks means, told from its text: quota, RBAC and admission
// share their codes.
JobFailure FailureOfRefusal(const std::string& message) {
  const auto says = [&](const char* text) { return absl::StrContains(message, text); };
  if (says("exceeded quota") || says("limited to")) return JobFailure::kResourceExhausted;
  if (IsMissingAccount(message)) return JobFailure::kAccountMissing;
  if (says("forbidden") || says("denied") || says("violates PodSecurity")) {
    return JobFailure::kForbidden;
  }
  return JobFailure::kConfiguration;
}

// Containers of a pod in the order in which they run.
std::vector<const Json*> ContainersOf(const Json& pod) {
  std::vector<const Json*> containers;
  for (std::string_view list : {"initContainerStatuses", "containerStatuses"}) {
    for (const Json& status : ArrayField(pod, {"status", list})) containers.push_back(&status);
  }
  return containers;
}

const Json* TerminatedState(const Json& container) {
  if (const Json* state = FindField(container, {"state", "terminated"})) return state;
  return FindField(container, {"lastState", "terminated"});
}

bool HasRun(const Json& container) {
  const Json* terminated = TerminatedState(container);
  if (terminated != nullptr) return StringField(*terminated, {"reason"}) != "StartError";
  return FindField(container, {"state", "running"}) != nullptr;
}

const Json* NewestPod(const std::vector<Json>& pods) {
  auto newest = std::max_element(pods.begin(), pods.end(), [](const Json& a, const Json& b) {
    return TimeField(a, {"metadata", "creationTimestamp"}) <
           TimeField(b, {"metadata", "creationTimestamp"});
  });
  return newest == pods.end() ? nullptr : &*newest;
}

// The container that ended the pod: the first that failed, otherwise the last that ended.
const Json* DecidingContainer(const Json& pod) {
  const Json* decisive = nullptr;
  for (const Json* container : ContainersOf(pod)) {
    const Json* terminated = TerminatedState(*container);
    if (terminated == nullptr) continue;
    decisive = container;
    if (IntField(*terminated, {"exitCode"}) != 0) break;
  }
  return decisive;
}

std::string ExitMeaning(int64_t exit_code) {
  switch (exit_code) {
    case 126:
      return " (the command cannot be executed)";
    case 127:
      return " (the command was not found)";
    case 137:
      return " (killed: SIGKILL)";
    case 143:
      return " (told to stop: SIGTERM)";
    default:
      return "";
  }
}

// The scheduler's events have no lastTimestamp.
absl::Time EventTime(const Json& event) {
  const absl::Time last = TimeField(event, {"lastTimestamp"});
  if (last != absl::InfinitePast()) return last;
  const absl::Time repeated = TimeField(event, {"series", "lastObservedTime"});
  return repeated != absl::InfinitePast() ? repeated : TimeField(event, {"eventTime"});
}

// A mount that fails is reported twice, over and over: with the name of what is missing, and as
// "timed out waiting for the condition", which helps nobody.
bool NamesNothing(const Json& event) {
  return StringField(event, {"reason"}) == "FailedMount" &&
         !absl::StrContains(StringField(event, {"message"}), "not found");
}

// The newest Warning among the events, for what states no longer tell.
const Json* LastWarning(absl::Span<const Json> events) {
  const Json* last = nullptr;
  for (const Json& event : events) {
    if (StringField(event, {"type"}) != "Warning") continue;
    const std::string reason = StringField(event, {"reason"});
    // These only repeat the Job's own condition.
    if (reason == "BackoffLimitExceeded" || reason == "DeadlineExceeded") continue;
    const bool better = last == nullptr || (NamesNothing(*last) && !NamesNothing(event));
    const bool worse = last != nullptr && NamesNothing(event) && !NamesNothing(*last) &&
                       StringField(*last, {"reason"}) == "FailedMount";
    if (better || (!worse && EventTime(event) >= EventTime(*last))) last = &event;
  }
  return last;
}

const Json* LastEviction(absl::Span<const Json> events) {
  const Json* last = nullptr;
  for (const Json& event : events) {
    const std::string reason = StringField(event, {"reason"});
    if (std::find(std::begin(kEvictionReasons), std::end(kEvictionReasons), reason) ==
        std::end(kEvictionReasons)) {
      continue;
    }
    if (last == nullptr || EventTime(event) >= EventTime(*last)) last = &event;
  }
  return last;
}

// Refused by the API server in the action's own calls: what kubectl and capstan-action print.
bool IsForbidden(const std::string& output) {
  return absl::StrContains(output, "(Forbidden)") ||
         absl::StrContains(output, "is forbidden: User \"");
}

// True when the refusal is all that a program said.
bool IsFirstWord(const std::string& output) {
  return output.size() < kWholeMessageBytes &&
         std::count(output.begin(), output.end(), '\n') < kWholeMessageLines &&
         IsForbidden(output.substr(0, output.find('\n')));
}

// The line that names the right; what was done before it can be long.
std::string RefusalIn(const std::string& output) {
  std::string refusal = output;
  for (const absl::string_view line : absl::StrSplit(output, '\n')) {
    if (IsForbidden(std::string(line))) refusal = std::string(line);
  }
  return refusal;
}

std::string MissingAccount(const std::string& refusal) {
  return Cat("the action's ServiceAccount does not exist in the namespace of the Job: ",
             Quoted(refusal));
}

std::string WithWarning(std::string message, absl::Span<const Json> events) {
  if (const Json* warning = LastWarning(events)) {
    Append(&message, "; last warning: ", StringField(*warning, {"reason"}), ": ",
           Quoted(StringField(*warning, {"message"})));
  }
  return message;
}

void FillContainerEnd(const Json& pod, JobOutcome* outcome) {
  const Json* container = DecidingContainer(pod);
  if (container == nullptr) return;
  const Json& terminated = *TerminatedState(*container);
  outcome->exit_code = static_cast<int>(IntField(terminated, {"exitCode"}));
  outcome->termination_message =
      Clipped(StringField(terminated, {"message"}), kMaxTerminationMessageBytes);
}

void ExplainPodFailure(const Json& pod, JobOutcome* outcome) {
  const std::string pod_reason = StringField(pod, {"status", "reason"});
  const Json* disruption = TrueCondition(pod, "DisruptionTarget");
  const Json* container = DecidingContainer(pod);
  const Json* terminated = container != nullptr ? TerminatedState(*container) : nullptr;
  const std::string reason = terminated != nullptr ? StringField(*terminated, {"reason"}) : "";

  if (reason == "OOMKilled") {
    outcome->failure = JobFailure::kOomKilled;
    outcome->message = Cat("container ", StringField(*container, {"name"}),
                           " was killed: it used more memory than its limit");
    return;
  }
  if (pod_reason == "Evicted" || disruption != nullptr) {
    outcome->failure = JobFailure::kEvicted;
    const std::string why = disruption != nullptr && StringField(pod, {"status", "message"}).empty()
                                ? StringField(*disruption, {"message"})
                                : StringField(pod, {"status", "message"});
    outcome->message = Cat("the pod was taken off its node: ", Quoted(why));
    return;
  }
  if (pod_reason == "DeadlineExceeded") {
    outcome->failure = JobFailure::kDeadlineExceeded;
    outcome->message = "the pod reached its deadline";
    return;
  }
  if (terminated == nullptr) {
    outcome->failure = JobFailure::kJobFailed;
    outcome->message =
        Cat("the pod failed: ", pod_reason, " ", Quoted(StringField(pod, {"status", "message"})));
    return;
  }

  const int64_t exit_code = IntField(*terminated, {"exitCode"});
  const WaitingReason* known = FindReason(kTerminatedReasons, reason);
  const bool cannot_run = exit_code == 126 || exit_code == 127;
  const bool forbidden = IsForbidden(outcome->termination_message);
  outcome->failure = known != nullptr ? known->failure
                     : cannot_run     ? JobFailure::kConfiguration
                     : forbidden      ? JobFailure::kForbidden
                                      : JobFailure::kJobFailed;
  if (outcome->failure == JobFailure::kForbidden) {
    const bool at_start =
        container == ContainersOf(pod).front() && IsFirstWord(outcome->termination_message);
    if (at_start) outcome->failure = JobFailure::kRoleMissing;
    outcome->message =
        Cat("the action's account lacks a right: container ", StringField(*container, {"name"}),
            at_start ? " was refused before it reported any change: "
                     : " was refused after a part of the action was done: ",
            Quoted(RefusalIn(outcome->termination_message)));
    return;
  }
  outcome->message = Cat("container ", StringField(*container, {"name"}), " ended with exit code ",
                         exit_code, ExitMeaning(exit_code));
  if (!outcome->termination_message.empty()) {
    Append(&outcome->message, ": ", Quoted(outcome->termination_message));
  }
}

void SetWaiting(std::string reason, std::string message, JobFailure failure, JobOutcome* outcome) {
  outcome->waiting_reason = std::move(reason);
  outcome->waiting_message = Clipped(std::move(message), kMaxOutcomeMessageBytes);
  outcome->waiting_failure = failure;
}

void ExplainMissingPod(absl::Span<const Json> events, JobOutcome* outcome) {
  SetWaiting("PodNotCreated", "the Job controller has made no pod yet", JobFailure::kNone, outcome);
  const Json* warning = LastWarning(events);
  if (warning == nullptr || StringField(*warning, {"reason"}) != "FailedCreate") return;
  const std::string message = StringField(*warning, {"message"});
  const JobFailure failure = FailureOfRefusal(message);
  SetWaiting("FailedCreate", IsMissingAccount(message) ? MissingAccount(message) : message, failure,
             outcome);
}

void ExplainWaitingPod(const Json& pod, absl::Span<const Json> events, JobOutcome* outcome) {
  for (const Json& condition : ArrayField(pod, {"status", "conditions"})) {
    if (StringField(condition, {"type"}) == "PodScheduled" &&
        StringField(condition, {"status"}) == "False") {
      SetWaiting(StringField(condition, {"reason"}), StringField(condition, {"message"}),
                 JobFailure::kResourceExhausted, outcome);
      return;
    }
  }

  const Json* first_waiting = nullptr;
  for (const Json* container : ContainersOf(pod)) {
    const Json* waiting = FindField(*container, {"state", "waiting"});
    if (waiting == nullptr) continue;
    if (first_waiting == nullptr) first_waiting = waiting;
    const std::string reason = StringField(*waiting, {"reason"});
    if (const WaitingReason* known = FindReason(kWaitingReasons, reason)) {
      SetWaiting(reason, StringField(*waiting, {"message"}), known->failure, outcome);
      return;
    }
  }
  const std::vector<const Json*> containers = ContainersOf(pod);
  const bool any_runs =
      std::any_of(containers.begin(), containers.end(), [](const Json* c) { return HasRun(*c); });
  if (first_waiting == nullptr && any_runs) return;

  if (const Json* warning = LastWarning(events)) {
    const std::string reason = StringField(*warning, {"reason"});
    if (const WaitingReason* known = FindReason(kEventReasons, reason)) {
      SetWaiting(reason, StringField(*warning, {"message"}), known->failure, outcome);
      return;
    }
  }
  std::string reason =
      first_waiting != nullptr ? StringField(*first_waiting, {"reason"}) : std::string();
  SetWaiting(reason.empty() ? "Pending" : std::move(reason),
             first_waiting != nullptr ? StringField(*first_waiting, {"message"}) : "",
             JobFailure::kNone, outcome);
}

void ExplainFailure(const JobObservation& observation, const Json& condition,
                    absl::Span<const Json> events, JobOutcome* outcome) {
  const std::string reason = StringField(condition, {"reason"});
  const Json* pod = NewestPod(observation.pods);
  if (reason == "DeadlineExceeded") {
    outcome->failure = JobFailure::kDeadlineExceeded;
    outcome->message = Cat("the Job did not finish within its deadline of ",
                           IntField(observation.job, {"spec", "activeDeadlineSeconds"}), " s");
    if (outcome->pods_started == 0) outcome->message += " and its pod never ran";
    outcome->message = WithWarning(std::move(outcome->message), events);
    return;
  }
  if (pod != nullptr) {
    ExplainPodFailure(*pod, outcome);
    return;
  }
  // Pods can be gone before they are read; the Job's verdict stands without them.
  const std::string condition_message = StringField(condition, {"message"});
  if (const Json* eviction = LastEviction(events)) {
    outcome->failure = JobFailure::kEvicted;
    outcome->message = Cat("the pod was taken off its node and is gone: ",
                           Quoted(StringField(*eviction, {"message"})));
    return;
  }
  const Json* warning = LastWarning(events);
  const std::string warned = warning == nullptr ? "" : StringField(*warning, {"message"});
  const bool refused = warning != nullptr && StringField(*warning, {"reason"}) == "FailedCreate";
  if (refused && IsMissingAccount(warned)) {
    outcome->failure = JobFailure::kAccountMissing;
    outcome->message = MissingAccount(warned);
    return;
  }
  outcome->failure = refused ? FailureOfRefusal(warned) : JobFailure::kJobFailed;
  outcome->message =
      WithWarning(Cat("the Job failed: ", reason, ": ", Quoted(condition_message)), events);
}

}  // namespace

std::string_view JobFailureName(JobFailure failure) {
  switch (failure) {
    case JobFailure::kNone:
      return "NONE";
    case JobFailure::kDeadlineExceeded:
      return "DEADLINE_EXCEEDED";
    case JobFailure::kOomKilled:
      return "OOM_KILLED";
    case JobFailure::kForbidden:
      return "FORBIDDEN";
    case JobFailure::kAccountMissing:
      return "ACCOUNT_MISSING";
    case JobFailure::kRoleMissing:
      return "ROLE_MISSING";
    case JobFailure::kImagePull:
      return "IMAGE_PULL";
    case JobFailure::kConfiguration:
      return "CONFIGURATION";
    case JobFailure::kResourceExhausted:
      return "RESOURCE_EXHAUSTED";
    case JobFailure::kEvicted:
      return "EVICTED";
    case JobFailure::kJobFailed:
      return "JOB_FAILED";
    case JobFailure::kUnknownOutcome:
      return "OUTCOME_UNKNOWN";
  }
  return "NONE";
}

bool TellsItsEnd(const Json& pod) {
  const std::string phase = StringField(pod, {"status", "phase"});
  return phase == "Failed" || phase == "Succeeded" ||
         TrueCondition(pod, "DisruptionTarget") != nullptr;
}

JobOutcome OutcomeOf(const JobObservation& observation, absl::Span<const Json> events) {
  JobOutcome outcome;
  if (!observation.found) {
    outcome.gone = true;
    outcome.failure = JobFailure::kUnknownOutcome;
    outcome.message = "the Job is gone; nobody recorded how it ended";
    return outcome;
  }

  const Json& job = observation.job;
  outcome.started_at = TimeField(job, {"status", "startTime"});
  for (const Json& pod : observation.pods) {
    const std::vector<const Json*> containers = ContainersOf(pod);
    outcome.pods_started +=
        std::any_of(containers.begin(), containers.end(), [](const Json* c) { return HasRun(*c); });
  }
  const Json* complete = TrueCondition(job, "Complete");
  const Json* failed = TrueCondition(job, "Failed");
  if (complete == nullptr && failed == nullptr) {
    if (observation.suspended) return outcome;
    if (const Json* pod = NewestPod(observation.pods)) {
      ExplainWaitingPod(*pod, events, &outcome);
    } else {
      ExplainMissingPod(events, &outcome);
    }
    return outcome;
  }

  outcome.finished = true;
  outcome.succeeded = complete != nullptr;
  const Json& condition = complete != nullptr ? *complete : *failed;
  outcome.finished_at = TimeField(job, {"status", "completionTime"});
  if (outcome.finished_at == absl::InfinitePast()) {
    outcome.finished_at = TimeField(condition, {"lastTransitionTime"});
  }
  if (const Json* pod = NewestPod(observation.pods)) FillContainerEnd(*pod, &outcome);
  if (!outcome.succeeded) ExplainFailure(observation, condition, events, &outcome);
  outcome.message = Clipped(std::move(outcome.message), kMaxOutcomeMessageBytes);
  return outcome;
}

JobFailure FailureOfCreate(const absl::Status& status) {
  const std::optional<ApiError> error = ApiErrorOf(status);
  if (!error.has_value()) return JobFailure::kNone;
  switch (error->http_code) {
    case 403: {
      const JobFailure failure = FailureOfRefusal(error->message);
      return failure == JobFailure::kResourceExhausted ? failure : JobFailure::kForbidden;
    }
    case 400:
    case 413:
    case 422:
      return absl::StrContains(error->message, "denied") ? JobFailure::kForbidden
                                                         : JobFailure::kConfiguration;
    case 404:
      return JobFailure::kConfiguration;  // the namespace does not exist
    default:
      return JobFailure::kNone;
  }
}

}  // namespace capstan::kubernetes
