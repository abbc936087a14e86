#include "worker/kubernetes/job_launch.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_replace.h"
#include "core/kubernetes_names.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/json_fields.h"
#include "worker/kubernetes/outcome.h"

namespace capstan::kubernetes {
namespace {

// The Job that is about to be posted must be one that cannot run by itself and that the next worker
// will recognise.
absl::StatusOr<JobRef> CheckRendered(std::string_view rendered_job, std::string_view execution_id,
                                     std::string_view spec_hash) {
  const Json job = Json::parse(rendered_job, nullptr, false);
  if (StringField(job, {"kind"}) != "Job") {
    return absl::InvalidArgumentError("the rendered Job is no Job object");
  }
  JobRef ref{StringField(job, {"metadata", "namespace"}), StringField(job, {"metadata", "name"}),
             ""};
  if (ref.name_space.empty() || ref.name.empty()) {
    return absl::InvalidArgumentError("the rendered Job has no namespace or no name");
  }
  if (!BoolField(job, {"spec", "suspend"})) {
    return absl::InvalidArgumentError("the rendered Job is not suspended");
  }
  if (StringField(job, {"metadata", "annotations", kArmedAnnotation}) != kArmedFalse) {
    return absl::InvalidArgumentError("the rendered Job is not marked as unarmed");
  }
  if (StringField(job, {"metadata", "labels", kExecutionLabel}) != execution_id ||
      StringField(job, {"metadata", "annotations", kSpecHashAnnotation}) != spec_hash) {
    return absl::InvalidArgumentError(
        "the rendered Job belongs to another execution or has another hash");
  }
  return ref;
}

CreatedJob CreatedFrom(CreatedJob::How how, const JobRef& ref, Json job) {
  const JobObservation observation = ObservationOf(std::move(job), "", {});
  CreatedJob created;
  created.how = how;
  created.ref = {ref.name_space, ref.name, observation.uid};
  created.resource_version = observation.resource_version;
  created.armed = observation.armed;
  created.suspended = observation.suspended;
  created.being_deleted = observation.being_deleted;
  return created;
}

Json ArmPatch(std::string_view uid) {
  const std::string armed_path =
      Cat("/metadata/annotations/", absl::StrReplaceAll(AbslView(kArmedAnnotation), {{"/", "~1"}}));
  return Json::array({
      {{"op", "test"}, {"path", "/metadata/uid"}, {"value", uid}},
      {{"op", "test"}, {"path", armed_path}, {"value", kArmedFalse}},
      {{"op", "replace"}, {"path", armed_path}, {"value", kArmedTrue}},
      {{"op", "replace"}, {"path", "/spec/suspend"}, {"value", false}},
  });
}

// What an observation says about arming; nullopt: still unarmed.
std::optional<ArmResult> ArmedState(const JobObservation& observation) {
  if (!observation.found) return ArmResult::kGone;
  if (!observation.armed) return std::nullopt;
  if (observation.suspended && !OutcomeOf(observation).finished) {
    return ArmResult::kArmedButSuspended;
  }
  return ArmResult::kAlreadyArmed;
}

bool IsUnfinished(const Json& pod) {
  const std::string phase = StringField(pod, {"status", "phase"});
  return phase != "Succeeded" && phase != "Failed";
}

bool IsOnLostNode(const Json& pod, absl::Time now) {
  if (StringField(pod, {"status", "phase"}) == "Unknown" ||
      StringField(pod, {"status", "reason"}) == "NodeLost") {
    return true;
  }
  // The deletionTimestamp already includes the grace period: the kubelet should have finished by
  // then.
  const absl::Time deadline = TimeField(pod, {"metadata", "deletionTimestamp"});
  return deadline != absl::InfinitePast() && now > deadline + kLostPodGrace;
}

std::string Described(const Json& pod) {
  return Cat("pod ", StringField(pod, {"metadata", "name"}), " on node ",
             StringField(pod, {"spec", "nodeName"}), " is ", StringField(pod, {"status", "phase"}));
}

absl::Time EventTime(const Json& event) {
  const absl::Time last = TimeField(event, {"lastTimestamp"});
  return last != absl::InfinitePast() ? last : TimeField(event, {"eventTime"});
}

// "Created pod: capstan-0123-abcde" is how the Job controller says which pods it made.
std::set<std::string> PodsNamedBy(const std::vector<Json>& job_events, std::string_view job) {
  const std::string prefix = Cat("Created pod: ", job, "-");
  std::set<std::string> pods;
  for (const Json& event : job_events) {
    const std::string message = StringField(event, {"message"});
    if (message.starts_with(prefix)) pods.insert(message.substr(message.rfind(' ') + 1));
  }
  return pods;
}

// The rest of a call's time for its next request.
class Remaining {
 public:
  Remaining(const CallOptions& options, Clock& clock)
      : options_(options), clock_(clock), end_(clock.BootTime() + options.timeout) {}
  CallOptions With(Repeat repeat) const {
    CallOptions options = options_;
    options.timeout = std::max(end_ - clock_.BootTime(), absl::ZeroDuration());
    options.repeat = repeat;
    return options;
  }
  CallOptions Read() const { return With(Repeat::kOnlyIfNotApplied); }

 private:
  const CallOptions options_;
  Clock& clock_;
  const absl::Duration end_;
};

}  // namespace

JobLauncher::JobLauncher(Client& client, Clock& clock) : client_(client), clock_(clock) {}

absl::StatusOr<CreatedJob> JobLauncher::CreateSuspended(std::string_view rendered_job,
                                                        std::string_view execution_id,
                                                        std::string_view spec_hash,
                                                        const CallOptions& options) {
  CAPSTAN_ASSIGN_OR_RETURN(const JobRef ref, CheckRendered(rendered_job, execution_id, spec_hash));
  const Remaining remaining(options, clock_);
  absl::StatusOr<Json> created =
      client_.Create(kJobs, ref.name_space, rendered_job, remaining.With(Repeat::kAlways));
  if (created.ok()) return CreatedFrom(CreatedJob::How::kCreated, ref, *std::move(created));
  if (!absl::IsAlreadyExists(created.status()) && !absl::IsUnknown(created.status())) {
    return created.status();
  }

  absl::StatusOr<CreatedJob> adopted = Adopt(ref, execution_id, spec_hash, remaining.Read());
  if (adopted.ok() || absl::IsAlreadyExists(adopted.status())) return adopted;
  // Not found now proves nothing: the request may still be on its way, or the Job that was there is
  // gone.
  ApiError error = ApiErrorOf(created.status()).value_or(ApiError{});
  error.outcome_unknown = true;
  error.message = Cat(created.status().message(), "; then ", adopted.status().message());
  return MakeApiStatus(absl::StatusCode::kUnknown, Cat("create job ", ref.name), error);
}

absl::StatusOr<CreatedJob> JobLauncher::Adopt(const JobRef& wanted, std::string_view execution_id,
                                              std::string_view spec_hash,
                                              const CallOptions& options) {
  CAPSTAN_ASSIGN_OR_RETURN(Json job, client_.Get(kJobs, wanted.name_space, wanted.name, options));
  if (StringField(job, {"metadata", "labels", kExecutionLabel}) != execution_id ||
      StringField(job, {"metadata", "annotations", kSpecHashAnnotation}) != spec_hash) {
    return absl::AlreadyExistsError(
        Cat("the Job ", wanted.name_space, "/", wanted.name, " exists and is not ours"));
  }
  return CreatedFrom(CreatedJob::How::kAdopted, wanted, std::move(job));
}

absl::StatusOr<ArmResult> JobLauncher::Arm(const JobRef& ref, const CallOptions& options) {
  CAPSTAN_CHECK(!ref.uid.empty());
  const Remaining remaining(options, clock_);
  const Json patch = ArmPatch(ref.uid);
  absl::Status last;
  bool unknown = false;
  for (int attempt = 0; attempt < kMaxArmAttempts; ++attempt) {
    absl::StatusOr<Json> patched = client_.Patch(kJobs, ref.name_space, ref.name, PatchType::kJson,
                                                 patch, remaining.With(Repeat::kOnlyIfNotApplied));
    if (patched.ok()) return ArmResult::kArmed;
    last = patched.status();
    if (absl::IsNotFound(last)) return ArmResult::kGone;
    const bool refused = absl::IsInvalidArgument(last) || absl::IsAborted(last);
    unknown = unknown || absl::IsUnknown(last);
    if (!refused && !absl::IsUnknown(last)) break;

    // A failed test, a conflict or a lost answer: the Job itself tells.
    absl::StatusOr<Json> job = client_.Get(kJobs, ref.name_space, ref.name, remaining.Read());
    if (absl::IsNotFound(job.status())) return ArmResult::kGone;
    if (!job.ok()) {
      last = job.status();
      break;
    }
    const std::optional<ArmResult> state = ArmedState(ObservationOf(*std::move(job), ref.uid, {}));
    if (state.has_value()) return *state;
    // Unarmed still: the lost request may yet arrive, and the patch lets only one through.
  }
  if (!unknown) return last;
  ApiError error = ApiErrorOf(last).value_or(ApiError{});
  error.outcome_unknown = true;
  return MakeApiStatus(absl::StatusCode::kUnknown, Cat("arm job ", ref.name), error);
}

absl::StatusOr<JobObservation> JobLauncher::Observe(const JobRef& ref, const CallOptions& options) {
  const Remaining remaining(options, clock_);
  absl::StatusOr<Json> job = client_.Get(kJobs, ref.name_space, ref.name, remaining.Read());
  if (!job.ok() && !absl::IsNotFound(job.status())) return job.status();
  CAPSTAN_ASSIGN_OR_RETURN(std::vector<Json> pods, ListPods(ref, remaining.Read()));
  return ObservationOf(job.ok() ? *std::move(job) : Json(), ref.uid, std::move(pods));
}

absl::StatusOr<std::vector<Json>> JobLauncher::ListPods(const JobRef& ref,
                                                        const CallOptions& options) {
  ListRequest request;
  request.resource = kPods;
  request.name_space = ref.name_space;
  request.label_selector = Cat(kControllerUidLabel, "=", ref.uid);
  CAPSTAN_ASSIGN_OR_RETURN(ListResult list, client_.List(request, options));
  for (Json& pod : list.items) {
    if (auto metadata = pod.find("metadata"); metadata != pod.end() && metadata->is_object()) {
      metadata->erase("managedFields");
    }
  }
  return std::move(list.items);
}

absl::StatusOr<std::vector<Json>> JobLauncher::ReadEvents(const JobRef& ref,
                                                          const CallOptions& options) {
  const Remaining remaining(options, clock_);
  std::vector<Json> events;
  CAPSTAN_RETURN_IF_ERROR(
      AppendEventsOf(ref.name_space, "Job", ref.name, remaining.Read(), &events));
  std::erase_if(events, [&](const Json& event) {
    const std::string uid = StringField(event, {"involvedObject", "uid"});
    return !uid.empty() && uid != ref.uid;
  });
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<Json> pods, ListPods(ref, remaining.Read()));
  std::set<std::string> names = PodsNamedBy(events, ref.name);
  for (const Json& pod : pods) names.insert(StringField(pod, {"metadata", "name"}));
  size_t left = kMaxPodsWithEvents;
  for (const std::string& name : names) {
    if (left-- == 0) break;
    CAPSTAN_RETURN_IF_ERROR(AppendEventsOf(ref.name_space, "Pod", name, remaining.Read(), &events));
  }
  std::stable_sort(events.begin(), events.end(),
                   [](const Json& a, const Json& b) { return EventTime(a) < EventTime(b); });
  return events;
}

absl::Status JobLauncher::AppendEventsOf(const std::string& name_space, std::string_view kind,
                                         const std::string& name, const CallOptions& options,
                                         std::vector<Json>* events) {
  ListRequest request;
  request.resource = kEvents;
  request.name_space = name_space;
  request.field_selector = Cat("involvedObject.kind=", kind, ",involvedObject.name=", name);
  request.max_items = kMaxEventsRead;
  CAPSTAN_ASSIGN_OR_RETURN(ListResult list, client_.List(request, options));
  for (Json& event : list.items) {
    if (StringField(event, {"involvedObject", "kind"}) == kind &&
        StringField(event, {"involvedObject", "name"}) == name) {
      events->push_back(std::move(event));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<DeleteResult> JobLauncher::DeleteJob(const JobRef& ref,
                                                    std::optional<std::string> resource_version,
                                                    Propagation propagation,
                                                    const CallOptions& options) {
  CAPSTAN_CHECK(!ref.uid.empty());
  const Remaining remaining(options, clock_);
  // Without resourceVersion twice is as good as once. With it, a second attempt could not tell
  // "changed by our first attempt" from "armed by somebody".
  const Repeat repeat = resource_version.has_value() ? Repeat::kOnlyIfNotApplied : Repeat::kAlways;
  const absl::Status deleted =
      client_.Delete(kJobs, ref.name_space, ref.name, propagation,
                     {ref.uid, std::move(resource_version)}, remaining.With(repeat));
  if (deleted.ok()) return DeleteResult::kDeleted;
  if (absl::IsNotFound(deleted)) return DeleteResult::kGone;
  if (!absl::IsAborted(deleted)) return deleted;

  // A precondition failed: which one?
  absl::StatusOr<Json> job = client_.Get(kJobs, ref.name_space, ref.name, remaining.Read());
  if (absl::IsNotFound(job.status())) return DeleteResult::kGone;
  CAPSTAN_RETURN_IF_ERROR(job.status());
  return StringField(*job, {"metadata", "uid"}) == ref.uid ? DeleteResult::kChanged
                                                           : DeleteResult::kGone;
}

absl::StatusOr<GoneReport> JobLauncher::ConfirmGone(const JobRef& ref, const CallOptions& options) {
  CAPSTAN_ASSIGN_OR_RETURN(const JobObservation observation, Observe(ref, options));
  GoneReport report;
  report.kind = GoneReport::Kind::kGone;
  if (observation.found) {
    report.kind = GoneReport::Kind::kStillThere;
    report.detail = Cat("Job ", ref.name_space, "/", ref.name,
                        observation.being_deleted ? " is being deleted" : " exists");
  }
  for (const Json& pod : observation.pods) {
    if (!IsUnfinished(pod)) continue;
    if (IsOnLostNode(pod, clock_.Now())) {
      return GoneReport{GoneReport::Kind::kCannotBeShown, Described(pod)};
    }
    report = {GoneReport::Kind::kStillThere, Described(pod)};
  }
  return report;
}

}  // namespace capstan::kubernetes
