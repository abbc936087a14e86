#include "worker/action_effects.h"

#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/catalog/job_spec.h"
#include "core/catalog/parameters.h"
#include "core/catalog/target.h"
#include "core/failpoint.h"
#include "core/kubernetes_names.h"
#include "core/log.h"
#include "core/status_macros.h"
#include "core/telemetry/span_names.h"
#include "worker/kubernetes/facts.h"
#include "worker/kubernetes/outcome.h"

namespace capstan::worker {
namespace {

using kubernetes::JobFailure;
using machine::Action;
using machine::Input;
using machine::Validated;
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

nlohmann::json ToJson(const google::protobuf::Struct& value) {
  std::string text;
  CAPSTAN_CHECK(google::protobuf::util::MessageToJsonString(value, &text).ok());
  return nlohmann::json::parse(text);
}

google::protobuf::Struct ToStruct(const nlohmann::json& value) {
  google::protobuf::Struct out;
  CAPSTAN_CHECK(google::protobuf::util::JsonStringToMessage(value.dump(), &out).ok());
  return out;
}

v1::PolicyDecision ToProto(const policy::Decision& decision) {
  v1::PolicyDecision out;
  out.set_allow(decision.allow);
  for (const policy::Violation& violation : decision.violations) {
    v1::PolicyViolation& added = *out.add_violations();
    added.set_id(violation.id);
    added.set_message(violation.message);
  }
  for (const std::string& warning : decision.warnings) out.add_warnings(warning);
  if (policy::IsPolicyError(decision)) out.set_error(decision.error_message);
  out.set_bundle_digest(decision.bundle_digest);
  out.set_input_digest(decision.input_sha256);
  return out;
}

std::string ResultJson(const policy::Decision& decision) {
  nlohmann::json violations = nlohmann::json::array();
  for (const policy::Violation& violation : decision.violations) {
    violations.push_back({{"id", violation.id}, {"message", violation.message}});
  }
  return nlohmann::json{{"allow", decision.allow},
                        {"violations", violations},
                        {"requires_approval", decision.requires_approval},
                        {"warnings", decision.warnings},
                        {"error", decision.error_message}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Rules may ask for an approval, which this version cannot give: what cannot be approved does not
// run.
void DenyUnapprovable(policy::Decision& decision) {
  if (!decision.allow || !decision.requires_approval) return;
  decision.allow = false;
  decision.violations.push_back({"capstan/approval-required",
                                 "the rules ask for an approval, and approvals are not supported"});
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
                             kubernetes::Client& client, Clock& clock,
                             const telemetry::Tracer& tracer, telemetry::WorkerMetrics& metrics,
                             ActionOptions options)
    : catalog_(catalog),
      policy_(policy),
      client_(client),
      launcher_(client, clock),
      tracer_(tracer),
      metrics_(metrics),
      clock_(clock),
      options_(std::move(options)) {}

absl::StatusOr<ActionEffects::Facts> ActionEffects::ReadFacts(
    const catalog::ActionDefinition& definition, const v1::Target& target) {
  Facts facts;
  nlohmann::json all = nlohmann::json::object();
  for (const std::string& fact : definition.facts) {
    CAPSTAN_CHECK(fact == "deployment");  // the loader refuses what kKnownFacts lacks
    CAPSTAN_ASSIGN_OR_RETURN(
        facts.target, kubernetes::ReadDeploymentFacts(client_, target.namespace_(), target.name()));
    all[fact] = facts.target;
  }
  facts.as_struct = ToStruct(all);
  return facts;
}

Validation ActionEffects::Validate(const ExecutionId& id, const Action& action, absl::Time now,
                                   const telemetry::TraceContext& trace) {
  Validation out;
  Validated& result = out.input;
  const catalog::ActionDefinition* definition = catalog_.Find(action.request.action());
  if (definition == nullptr) {
    result.result = Validated::Result::kUnknownAction;
    result.message = absl::StrCat("action: got ", action.request.action(),
                                  ", want one of: ", catalog_.KnownNames());
    return out;
  }
  const absl::StatusOr<catalog::TypedParameters> parameters =
      catalog::ValidateParameters(*definition, action.request.parameters());
  if (!parameters.ok()) {
    result.result = Validated::Result::kInvalidParameters;
    result.message = std::string(parameters.status().message());
    return out;
  }
  result.target = catalog::TargetOf(*definition, *parameters);

  telemetry::Span facts_span = tracer_.StartSpan(telemetry::kSpanFacts, {.parent = trace});
  const absl::StatusOr<Facts> facts = ReadFacts(*definition, result.target);
  facts_span.SetError(facts.status());
  facts_span.End();
  if (!facts.ok()) {
    result.message =
        absl::StrCat("facts of the target could not be read: ", facts.status().message());
    return out;
  }
  result.target_found = facts->target.value("found", false);
  if (result.target_found) result.target.set_uid(facts->target.value("uid", ""));

  policy::PolicyInput input;
  input.action = definition->name;
  input.parameters = ToJson(catalog::ToStruct(*parameters));
  input.caller = action.request.caller();
  input.dry_run = action.request.dry_run();
  input.evaluation_time = now;
  input.target_resource = {result.target.kind(), result.target.name(), result.target.namespace_(),
                           facts->target.value("labels", std::map<std::string, std::string>{})};
  input.metadata = {ExecutionName(id), options_.actions_namespace};
  input.facts = ToJson(facts->as_struct);
  telemetry::Span policy_span = tracer_.StartSpan(telemetry::kSpanPolicy, {.parent = trace});
  policy::Decision decision = policy_.Evaluate(input);
  DenyUnapprovable(decision);
  policy_span.SetAttribute(telemetry::kAttributeDecision, decision.allow ? "allow" : "deny");
  policy_span.SetAttribute(telemetry::kAttributePolicyDigest, decision.bundle_digest);
  policy_span.End();
  metrics_.policy_duration.Observe(decision.took);
  (decision.allow                    ? metrics_.policy_allowed
   : policy::IsPolicyError(decision) ? metrics_.policy_errors
                                     : metrics_.policy_denied)
      .Increment();

  result.result = Validated::Result::kDecided;
  result.decision = ToProto(decision);
  out.decision_input_json = decision.input_json;
  out.decision_result_json = ResultJson(decision);
  if (!decision.allow || !result.target_found) return out;

  const absl::StatusOr<google::protobuf::Struct> before =
      catalog::Capture(*definition, facts->as_struct);
  if (!before.ok()) {
    result.result = Validated::Result::kInvalidParameters;
    result.message = std::string(before.status().message());
    return out;
  }
  result.before = *before;
  if (v1::RollbackPlan rollback = catalog::RollbackOf(*definition, *parameters, *before);
      !rollback.action().empty()) {
    result.rollback_digest = Sha256Hex(rollback.SerializeAsString());
    result.rollback = std::move(rollback);
  }
  const absl::Duration timeout = absl::Seconds(action.request.timeout().seconds());
  const absl::StatusOr<catalog::RenderedJob> job =
      catalog::RenderJob({.execution = id,
                          .action = *definition,
                          .parameters = *parameters,
                          .timeout = timeout,
                          .actions_namespace = options_.actions_namespace,
                          .installation = options_.installation,
                          .images = options_.images,
                          .traceparent = action.request.traceparent()});
  if (!job.ok()) {
    result.result = Validated::Result::kInvalidParameters;
    result.message = absl::StrCat("the Job could not be rendered: ", job.status().message());
    return out;
  }
  result.rendered_job = job->json;
  result.job_digest = Sha256Hex(job->json);
  result.job_namespace = options_.actions_namespace;
  result.job_name = job->name;
  result.job_spec_hash = job->spec_hash;
  result.plan_digest = Sha256Hex(absl::StrCat(job->json, "\n", decision.input_json));
  return out;
}

Input ActionEffects::CreateJob(const ExecutionId& id, const Action& action,
                               const std::string& rendered_job,
                               const telemetry::TraceContext& trace) {
  using Kind = machine::JobCreateFailed::Kind;
  if (absl::Status failed = HitFailpoint("job.create.before"); !failed.ok()) {
    return machine::JobCreateFailed{.kind = Kind::kTransient,
                                    .message = std::string(failed.message())};
  }
  telemetry::Span span = tracer_.StartSpan(telemetry::kSpanJobCreate, {.parent = trace});
  const absl::Duration began = clock_.BootTime();
  const absl::StatusOr<kubernetes::CreatedJob> created = launcher_.CreateSuspended(
      rendered_job, id.ToString(), action.data.job_spec_hash(), Repeatable());
  metrics_.job_create_duration.Observe(clock_.BootTime() - began);
  span.SetError(created.status());
  if (absl::Status failed = HitFailpoint("job.create.after"); !failed.ok()) {
    return machine::JobCreateFailed{.kind = Kind::kTransient,
                                    .message = std::string(failed.message())};
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

absl::StatusOr<ActionEffects::Look> ActionEffects::Observe(const Action& action,
                                                           bool start_overdue) {
  const kubernetes::JobRef ref = JobRefOf(action);
  Look look;
  CAPSTAN_ASSIGN_OR_RETURN(look.job, launcher_.Observe(ref));
  const kubernetes::JobObservation& job = look.job;
  if (!job.found) {
    look.input = machine::JobGone{};
    return look;
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
    look.input = machine::JobDidNotStart{absl::StrCat(
        "the Job's pod did not start within ", absl::FormatDuration(options_.start_deadline),
        outcome.waiting_reason.empty() ? "" : absl::StrCat("; waiting: ", outcome.waiting_reason),
        outcome.waiting_message.empty() ? "" : absl::StrCat(": ", outcome.waiting_message))};
  }
  return look;
}

machine::ReadBack ActionEffects::ReadBack(const Action& action) {
  machine::ReadBack out;
  const catalog::ActionDefinition* definition = catalog_.Find(action.request.action());
  if (definition == nullptr) return out;
  const absl::StatusOr<Facts> facts = ReadFacts(*definition, action.request.target());
  if (!facts.ok()) return out;
  if (auto after = catalog::Capture(*definition, facts->as_struct); after.ok())
    out.after = *std::move(after);
  return out;
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
    if (const kubernetes::JobOutcome outcome = kubernetes::OutcomeOf(*read); outcome.finished)
      return EndOf(outcome);
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
