#include "worker/action_effects.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/failpoint.h"
#include "core/kubernetes_names.h"
#include "core/log.h"
#include "core/status_macros.h"
#include "core/telemetry/span_names.h"
#include "worker/kubernetes/outcome.h"

namespace capstan::worker {
namespace {

using kubernetes::JobFailure;
using machine::Action;
using machine::Input;
using v1::Execution;

Execution::FailureReason ReasonOf(JobFailure failure) {
  switch (failure) {
    case JobFailure::kNone:
      return Execution::FAILURE_REASON_UNSPECIFIED;
    case JobFailure::kDeadlineExceeded:
      return Execution::FAILURE_REASON_DEADLINE_EXCEEDED;
    case JobFailure::kOomKilled:
      return Execution::FAILURE_REASON_OOM_KILLED;
    case JobFailure::kForbidden:
      return Execution::FAILURE_REASON_FORBIDDEN;
    case JobFailure::kAccountMissing:
      return Execution::FAILURE_REASON_ACCOUNT_MISSING;
    case JobFailure::kRoleMissing:
      return Execution::FAILURE_REASON_ROLE_MISSING;
    case JobFailure::kImagePull:
      return Execution::FAILURE_REASON_IMAGE_PULL;
    case JobFailure::kConfiguration:
      return Execution::FAILURE_REASON_CONFIGURATION;
    case JobFailure::kResourceExhausted:
    case JobFailure::kEvicted:
      return Execution::FAILURE_REASON_RESOURCE_EXHAUSTED;
    case JobFailure::kJobFailed:
      return Execution::FAILURE_REASON_JOB_FAILED;
    case JobFailure::kUnknownOutcome:
      return Execution::FAILURE_REASON_OUTCOME_UNKNOWN;
  }
  return Execution::FAILURE_REASON_INTERNAL;
}

std::optional<absl::Time> Known(absl::Time time) {
  if (time == absl::InfinitePast()) return std::nullopt;
  return time;
}

machine::JobEnded EndOf(const kubernetes::JobOutcome& outcome) {
  machine::JobEnded ended;
  ended.succeeded = outcome.succeeded;
  ended.reason = ReasonOf(outcome.failure);
  ended.exit_code = outcome.exit_code.value_or(-1);
  ended.message = outcome.message;
  ended.started = Known(outcome.started_at);
  ended.ended = Known(outcome.finished_at);
  return ended;
}

// Safe to send again: fixed name, one-shot patch, uid precondition.
kubernetes::CallOptions Repeatable() {
  kubernetes::CallOptions options;
  options.repeat = kubernetes::Repeat::kAlways;
  return options;
}

}  // namespace

kubernetes::JobRef JobRefOf(const Action& action) {
  return {action.data.job_namespace(), action.data.job_name(), action.data.job_uid()};
}

ActionEffects::ActionEffects(const catalog::Catalog& catalog, policy::PolicyEngine& policy,
                             const policy::ConditionSet& conditions, kubernetes::Client& client,
                             Clock& clock, const telemetry::Tracer& tracer,
                             telemetry::WorkerMetrics& metrics, ActionOptions options)
    : options_(std::move(options)),
      validator_(catalog, policy, conditions, client, clock, tracer, metrics, options_),
      launcher_(client, clock),
      tracer_(tracer),
      metrics_(metrics),
      clock_(clock) {}

Input ActionEffects::CreateJob(const ExecutionId& id, const Action& action,
                               const std::string& rendered_job,
                               const telemetry::TraceContext& trace) {
  using Kind = machine::JobCreateFailed::Kind;
  if (absl::Status failed = HitFailpoint("job.create.before"); !failed.ok()) {
    return machine::JobCreateFailed{
        .kind = Kind::kTransient, .message = std::string(failed.message()), .infrastructure = true};
  }
  telemetry::Span span = tracer_.StartSpan(telemetry::kSpanJobCreate, {.parent = trace});
  const absl::Duration began = clock_.BootTime();
  const absl::StatusOr<kubernetes::CreatedJob> created = launcher_.CreateSuspended(
      rendered_job, id.ToString(), action.data.job_spec_hash(), Repeatable());
  metrics_.job_create_duration.Observe(clock_.BootTime() - began);
  span.SetError(created.status());
  if (absl::Status failed = HitFailpoint("job.create.after"); !failed.ok()) {
    return machine::JobCreateFailed{
        .kind = Kind::kTransient, .message = std::string(failed.message()), .infrastructure = true};
  }
  if (created.ok()) {
    return machine::JobCreated{.uid = created->ref.uid,
                               .adopted = created->how == kubernetes::CreatedJob::How::kAdopted};
  }
  machine::JobCreateFailed failed;
  failed.message = absl::StrCat("creating the Job: ", created.status().message());
  const JobFailure why = kubernetes::FailureOfCreate(created.status());
  if (absl::IsAlreadyExists(created.status())) {
    failed.kind = Kind::kCollision;
  } else if (why == JobFailure::kNone || why == JobFailure::kResourceExhausted) {
    failed.kind = Kind::kTransient;  // quota may be given back
    failed.infrastructure =
        why == JobFailure::kResourceExhausted || IsInfrastructure(created.status());
  } else {
    failed.kind = Kind::kRefused;
    failed.reason = ReasonOf(why);
  }
  return failed;
}

machine::ArmResult ActionEffects::ArmJob(const Action& action,
                                         const telemetry::TraceContext& trace) {
  using Kind = machine::ArmResult::Kind;
  if (absl::Status failed = HitFailpoint("job.arm.before"); !failed.ok()) {
    return {.kind = Kind::kTransientError, .message = std::string(failed.message())};
  }
  telemetry::Span span = tracer_.StartSpan(telemetry::kSpanJobArm, {.parent = trace});
  const absl::Duration began = clock_.BootTime();
  const absl::StatusOr<kubernetes::ArmResult> armed = launcher_.Arm(JobRefOf(action), Repeatable());
  metrics_.job_arm_duration.Observe(clock_.BootTime() - began);
  span.SetError(armed.status());
  if (absl::Status failed = HitFailpoint("job.arm.after"); !failed.ok()) {
    return {.kind = Kind::kTransientError, .message = std::string(failed.message())};
  }
  if (armed.ok()) {
    switch (*armed) {
      case kubernetes::ArmResult::kArmed:
        return {.kind = Kind::kArmed, .message = ""};
      case kubernetes::ArmResult::kAlreadyArmed:
        return {.kind = Kind::kFoundArmed, .message = ""};
      case kubernetes::ArmResult::kArmedButSuspended:
        return {.kind = Kind::kArmedButSuspended, .message = ""};
      case kubernetes::ArmResult::kGone:
        return {.kind = Kind::kGone, .message = ""};
    }
  }
  const bool for_good =
      absl::IsPermissionDenied(armed.status()) || absl::IsInvalidArgument(armed.status());
  return {.kind = for_good ? Kind::kRefused : Kind::kTransientError,
          .message = absl::StrCat("arming the Job: ", armed.status().message())};
}

absl::StatusOr<ActionEffects::Look> ActionEffects::Observe(
    const Action& action, bool start_overdue, const std::vector<nlohmann::json>& seen_pods) {
  const kubernetes::JobRef ref = JobRefOf(action);
  Look look;
  CAPSTAN_ASSIGN_OR_RETURN(look.job, launcher_.Observe(ref));
  if (!look.job.found) {
    look.input = machine::JobGone{};
    return look;
  }
  kubernetes::JobObservation job = look.job;
  if (job.pods.empty()) {
    std::copy_if(seen_pods.begin(), seen_pods.end(), std::back_inserter(job.pods),
                 kubernetes::TellsItsEnd);
  }
  kubernetes::JobOutcome outcome = kubernetes::OutcomeOf(job);
  const bool needs_events = (outcome.finished && !outcome.succeeded) || start_overdue;
  if (needs_events) {  // only for a better message
    if (const auto events = launcher_.ReadEvents(ref); events.ok()) {
      outcome = kubernetes::OutcomeOf(job, *events);
    }
  }
  if (outcome.finished) {
    look.input = EndOf(outcome);
  } else if (job.armed && job.suspended) {
    look.input = machine::JobSuspended{};
  } else if (start_overdue && outcome.pods_started == 0) {
    machine::JobDidNotStart stuck;
    stuck.message = absl::StrCat(
        "the Job's pod did not start within ", absl::FormatDuration(options_.start_deadline),
        outcome.waiting_reason.empty() ? "" : absl::StrCat("; waiting: ", outcome.waiting_reason),
        outcome.waiting_message.empty() ? "" : absl::StrCat(": ", outcome.waiting_message));
    if (outcome.waiting_failure != JobFailure::kNone)
      stuck.reason = ReasonOf(outcome.waiting_failure);
    look.input = std::move(stuck);
  }
  return look;
}

Input ActionEffects::RemoveJob(const ExecutionId& id, const Action& action) {
  using Kind = machine::Removed::Kind;
  if (absl::Status failed = HitFailpoint("job.remove.before"); !failed.ok()) {
    return machine::Removed{.kind = Kind::kTransientError,
                            .message = std::string(failed.message())};
  }
  const absl::StatusOr<kubernetes::JobObservation> read = launcher_.Observe(JobRefOf(action));
  if (!read.ok()) {
    return machine::Removed{.kind = Kind::kTransientError,
                            .message = std::string(read.status().message())};
  }
  const bool uid_recorded = !action.data.job_uid().empty();
  if (!uid_recorded) {
    // Found by name only: ours when it carries this execution's label and hash. Nobody arms before
    // the uid is recorded.
    const auto metadata = read->found ? read->job.value("metadata", nlohmann::json::object())
                                      : nlohmann::json::object();
    const auto labels = metadata.value("labels", nlohmann::json::object());
    const auto annotations = metadata.value("annotations", nlohmann::json::object());
    const bool ours =
        labels.value(std::string(kExecutionLabel), "") == id.ToString() &&
        annotations.value(std::string(kSpecHashAnnotation), "") == action.data.job_spec_hash();
    if (!read->found || !ours) return machine::Removed{.kind = Kind::kNeverArmed, .message = ""};
  }
  if (read->found) {
    // A Job that fails while it is being deleted fails because its pods were ended: no end of its
    // own.
    const kubernetes::JobOutcome outcome = kubernetes::OutcomeOf(*read);
    if (outcome.finished && (outcome.succeeded || !read->being_deleted)) return EndOf(outcome);
    if (!read->armed && read->suspended) return RemoveUnarmed(*read, action);
  }
  kubernetes::JobRef ref = JobRefOf(action);
  if (read->found) ref.uid = read->uid;
  return RemoveArmed(ref);
}

// The DELETE names the version that was read unarmed, so when it succeeds the Job has never run.
Input ActionEffects::RemoveUnarmed(const kubernetes::JobObservation& job, const Action& action) {
  using Kind = machine::Removed::Kind;
  kubernetes::JobRef ref = JobRefOf(action);
  ref.uid = job.uid;
  const absl::StatusOr<kubernetes::DeleteResult> deleted = launcher_.DeleteJob(
      ref, job.resource_version, kubernetes::Propagation::kBackground, kubernetes::CallOptions{});
  if (deleted.ok() && *deleted == kubernetes::DeleteResult::kDeleted) {
    return machine::Removed{.kind = Kind::kNeverArmed, .message = ""};
  }
  // Changed meanwhile, gone, or unclear: look again.
  return machine::Removed{
      .kind = Kind::kTransientError,
      .message = deleted.ok() ? "the Job changed" : std::string(deleted.status().message())};
}

Input ActionEffects::RemoveArmed(const kubernetes::JobRef& ref) {
  using Kind = machine::Removed::Kind;
  const absl::StatusOr<kubernetes::DeleteResult> deleted =
      launcher_.DeleteJob(ref, std::nullopt, kubernetes::Propagation::kForeground, Repeatable());
  if (!deleted.ok()) {
    return machine::Removed{.kind = Kind::kTransientError,
                            .message = std::string(deleted.status().message())};
  }
  const absl::StatusOr<kubernetes::GoneReport> gone = launcher_.ConfirmGone(ref);
  if (!gone.ok()) {
    return machine::Removed{.kind = Kind::kTransientError,
                            .message = std::string(gone.status().message())};
  }
  switch (gone->kind) {
    case kubernetes::GoneReport::Kind::kGone:
      return machine::Removed{.kind = Kind::kGone, .message = ""};
    case kubernetes::GoneReport::Kind::kStillThere:
      return machine::Removed{.kind = Kind::kTransientError, .message = gone->detail};
    case kubernetes::GoneReport::Kind::kCannotBeShown:
      return machine::Removed{.kind = Kind::kCannotBeShown, .message = gone->detail};
  }
  return machine::Removed{.kind = Kind::kTransientError, .message = ""};
}

void ActionEffects::CleanUp(const Action& action) {
  if (action.data.job_uid().empty()) return;
  const absl::StatusOr<kubernetes::DeleteResult> deleted = launcher_.DeleteJob(
      JobRefOf(action), std::nullopt, kubernetes::Propagation::kBackground, Repeatable());
  if (deleted.ok()) return;
  metrics_.cleanup_failures.Increment();
  Log(Level::kWarning, "finished Job could not be deleted",
      {{"job", action.data.job_name()}, {"error", deleted.status().message()}});
}

}  // namespace capstan::worker
