#include "core/projection.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "core/task_projection.h"
#include "core/text.h"

namespace capstan {
namespace {

using v1::Execution;

constexpr char kActionValidated[] = "ActionValidated";
constexpr char kPolicyEvaluated[] = "PolicyEvaluated";
constexpr char kDryRunCompleted[] = "DryRunCompleted";
constexpr char kJobCompleted[] = "JobCompleted";

constexpr char kValidationSucceeded[] = "ValidationSucceeded";
constexpr char kSafetyPolicyDenied[] = "SafetyPolicyDenied";

// FAILURE_REASON_OOM_KILLED -> OomKilled.
std::string ReasonOf(Execution::FailureReason reason) {
  if (reason == Execution::FAILURE_REASON_POLICY_DENIED) return kSafetyPolicyDenied;
  std::string_view name = Execution::FailureReason_Name(reason);
  constexpr std::string_view kPrefix = "FAILURE_REASON_";
  if (name.substr(0, kPrefix.size()) == kPrefix) name.remove_prefix(kPrefix.size());
  std::string out;
  for (absl::string_view word : absl::StrSplit(std::string(name), '_', absl::SkipEmpty())) {
    Append(&out, word.substr(0, 1), absl::AsciiStrToLower(word.substr(1)));
  }
  return out;
}

// The one condition of this type gets these values; its time moves only when something changed.
void Upsert(Execution& execution, std::string_view type, bool status, std::string_view reason,
            std::string_view message, const google::protobuf::Timestamp& time) {
  v1::Condition* condition = nullptr;
  for (v1::Condition& existing : *execution.mutable_conditions()) {
    if (existing.type() == type) condition = &existing;
  }
  const bool is_new = condition == nullptr;
  if (is_new) {
    condition = execution.add_conditions();
    condition->set_type(std::string(type));
  }
  if (!is_new && condition->status() == status && condition->reason() == reason &&
      condition->message() == message) {
    return;
  }
  condition->set_status(status);
  condition->set_reason(std::string(reason));
  condition->set_message(std::string(message));
  *condition->mutable_last_transition_time() = time;
}

void ApplyAccepted(const v1::ExecutionEvent& event, Execution& execution) {
  const v1::Accepted& accepted = event.accepted();
  execution.set_name(event.execution());
  execution.set_state(Execution::STATE_PENDING);
  execution.set_action(accepted.action());
  *execution.mutable_parameters() = accepted.parameters();
  execution.set_dry_run(accepted.dry_run());
  *execution.mutable_timeout() = accepted.timeout();
  execution.set_priority(accepted.priority());
  *execution.mutable_labels() = accepted.labels();
  if (accepted.has_parent()) *execution.mutable_parent() = accepted.parent();
  *execution.mutable_target() = accepted.target();
  execution.set_caller(accepted.caller());
  execution.set_request_id(accepted.request_id());
  execution.set_correlation_id(event.correlation_id());
  *execution.mutable_create_time() = event.time();
  if (accepted.has_queue_deadline()) {
    *execution.mutable_queue_deadline() = accepted.queue_deadline();
  }
  execution.set_on_conflict(accepted.on_conflict());
  execution.set_max_retries(accepted.max_retries());
  execution.set_retry_of(accepted.retry_of());
  execution.set_rollback_of(accepted.rollback_of());
  if (accepted.has_task()) ApplyTaskAccepted(accepted.task(), execution);
}

// What leaving VALIDATING says about the validation itself.
void ApplyValidationEnd(const v1::ExecutionEvent& event, Execution& execution) {
  const v1::StateChanged& change = event.state_changed();
  *execution.mutable_validation_end_time() = event.time();
  if (change.to() == Execution::STATE_FAILED) {
    Upsert(execution, kActionValidated, false, ReasonOf(change.failure_reason()), change.message(),
           event.time());
  } else if (change.to() == Execution::STATE_RUNNING || change.to() == Execution::STATE_SUCCEEDED) {
    Upsert(execution, kActionValidated, true, kValidationSucceeded, "", event.time());
  }
}

void ApplyStateChanged(const v1::ExecutionEvent& event, Execution& execution) {
  const v1::StateChanged& change = event.state_changed();
  if (!Execution::State_IsValid(change.to())) return;  // written by a newer program
  execution.set_state(change.to());
  execution.set_failure_reason(change.failure_reason());
  execution.set_message(change.message());
  execution.set_block_reason(change.block_reason());
  execution.clear_blocked_until();
  if (change.has_blocked_until()) *execution.mutable_blocked_until() = change.blocked_until();
  if (change.to() == Execution::STATE_VALIDATING) {
    if (!execution.has_validation_start_time()) {
      *execution.mutable_validation_start_time() = event.time();
    }
  } else if (change.from() == Execution::STATE_VALIDATING &&
             change.to() != Execution::STATE_PENDING && change.to() != Execution::STATE_BLOCKED) {
    ApplyValidationEnd(event, execution);
  }
  if (!IsTerminal(change.to())) return;
  *execution.mutable_finish_time() = event.time();
  *execution.mutable_outcome() = change.outcome();
  if (change.to() == Execution::STATE_SUCCEEDED && change.outcome().dry_run()) {
    Upsert(execution, kDryRunCompleted, true, kValidationSucceeded, change.message(), event.time());
  }
}

void ApplyPolicyEvaluated(const v1::ExecutionEvent& event, Execution& execution) {
  const v1::PolicyEvaluated& evaluated = event.policy_evaluated();
  const v1::PolicyDecision& decision = evaluated.decision();
  *execution.mutable_policy_decision() = decision;
  if (!evaluated.target_uid().empty()) {
    execution.mutable_target()->set_uid(evaluated.target_uid());
  }
  if (!decision.error().empty()) {
    Upsert(execution, kPolicyEvaluated, false, "PolicyError", decision.error(), event.time());
    return;
  }
  if (decision.allow()) {
    Upsert(execution, kPolicyEvaluated, true, "SafetyPolicyAllowed", "", event.time());
    return;
  }
  std::string message;
  for (const v1::PolicyViolation& violation : decision.violations()) {
    Append(&message, message.empty() ? "" : "; ", violation.id(), ": ", violation.message());
  }
  Upsert(execution, kPolicyEvaluated, false, kSafetyPolicyDenied, message, event.time());
}

void ApplyJobFinished(const v1::ExecutionEvent& event, Execution& execution) {
  const v1::JobFinished& finished = event.job_finished();
  *execution.mutable_execution_end_time() = event.time();
  Upsert(execution, kJobCompleted, finished.succeeded(),
         finished.succeeded() ? "JobSucceeded" : ReasonOf(finished.failure_reason()),
         finished.message(), event.time());
}

// The latest answer of each condition, preconditions first.
void ApplyConditionEvaluated(const v1::ConditionResult& result, Execution& execution) {
  auto& results = *execution.mutable_condition_results();
  const auto place = std::find_if(results.begin(), results.end(), [&](const auto& known) {
    return known.phase() == result.phase() && known.name() == result.name();
  });
  if (place != results.end()) {
    *place = result;
    return;
  }
  *results.Add() = result;
  std::stable_sort(results.begin(), results.end(),
                   [](const auto& a, const auto& b) { return a.phase() < b.phase(); });
}

void ApplyApprovalRequested(const v1::ApprovalRequested& requested, Execution& execution) {
  v1::ApprovalSummary& approval = *execution.mutable_approval();
  approval.Clear();
  approval.set_number(requested.number());
  approval.set_state(v1::ApprovalSummary::STATE_PENDING);
  approval.set_plan_digest(requested.plan_digest());
  approval.set_quorum(requested.rule().quorum());
  *approval.mutable_groups() = requested.rule().groups();
  approval.set_reason(requested.rule().reason());
  *approval.mutable_expire_time() = requested.expire_time();
  approval.set_step(requested.step());
  approval.set_question(requested.question());
}

void ApplyApproval(const v1::ExecutionEvent& event, Execution& execution) {
  v1::ApprovalSummary& approval = *execution.mutable_approval();
  if (event.has_approval_decided()) {
    if (event.approval_decided().ignored().empty())
      *approval.add_decisions() = event.approval_decided().decision();
  } else if (event.approval_ended().number() == approval.number()) {
    approval.set_state(event.approval_ended().state());
  }
}

}  // namespace

Execution::State StateAfter(const v1::ExecutionEvent& event) {
  return event.has_state_changed() ? event.state_changed().to() : Execution::STATE_UNSPECIFIED;
}

void Apply(const v1::ExecutionEvent& event, Execution& execution) {
  execution.set_seq(event.seq());
  *execution.mutable_update_time() = event.time();
  ApplyTaskEvent(event, execution);
  switch (event.payload_case()) {
    case v1::ExecutionEvent::kAccepted:
      return ApplyAccepted(event, execution);
    case v1::ExecutionEvent::kStateChanged:
      return ApplyStateChanged(event, execution);
    case v1::ExecutionEvent::kPolicyEvaluated:
      return ApplyPolicyEvaluated(event, execution);
    case v1::ExecutionEvent::kJobCreated:
      *execution.mutable_job() = event.job_created().job();
      *execution.mutable_execution_start_time() = event.time();
      return;
    case v1::ExecutionEvent::kJobFinished:
      return ApplyJobFinished(event, execution);
    case v1::ExecutionEvent::kConditionEvaluated:
      return ApplyConditionEvaluated(event.condition_evaluated().result(), execution);
    case v1::ExecutionEvent::kApprovalRequested:
      return ApplyApprovalRequested(event.approval_requested(), execution);
    case v1::ExecutionEvent::kApprovalDecided:
    case v1::ExecutionEvent::kApprovalEnded:
      if (execution.has_approval()) ApplyApproval(event, execution);
      return;
    case v1::ExecutionEvent::kArtifactStored:
      if (event.artifact_stored().has_rollback())
        *execution.mutable_rollback() = event.artifact_stored().rollback();
      return;
    case v1::ExecutionEvent::kCancelRequested:
      execution.set_cancel_requested(true);
      return;
    default:  // says nothing about the execution itself
      return;
  }
}

Execution Project(absl::Span<const v1::ExecutionEvent> events) {
  Execution execution;
  for (const v1::ExecutionEvent& event : events) Apply(event, execution);
  return execution;
}

}  // namespace capstan
