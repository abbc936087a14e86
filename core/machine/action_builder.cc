#include "core/machine/action_builder.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/machine/event_writer.h"

namespace capstan::machine {
namespace {

// What an end says about the target. Reasons that mean that the pod never ran its program.
bool NeverStarted(Execution::FailureReason reason) {
  switch (reason) {
    case Execution::FAILURE_REASON_FAILED_TO_START:
    case Execution::FAILURE_REASON_IMAGE_PULL:
    case Execution::FAILURE_REASON_CONFIGURATION:
    case Execution::FAILURE_REASON_ACCOUNT_MISSING:
      return true;
    default:
      return false;
  }
}

// Ends before anything was launched that are the cluster's or our doing, not the caller's.
bool CouldNotStart(Execution::FailureReason reason) {
  switch (reason) {
    case Execution::FAILURE_REASON_NAME_COLLISION:
    case Execution::FAILURE_REASON_FORBIDDEN:
    case Execution::FAILURE_REASON_ROLE_MISSING:
    case Execution::FAILURE_REASON_RESOURCE_EXHAUSTED:
    case Execution::FAILURE_REASON_LEASE_LOST:
      return true;
    default:
      return NeverStarted(reason);
  }
}

TargetResult ResultOf(Execution::State state, Execution::FailureReason reason,
                      const v1::Outcome& outcome, const ActionState& data) {
  if (state == Execution::STATE_SUCCEEDED) return TargetResult::kSucceeded;
  if (reason == Execution::FAILURE_REASON_OUTCOME_UNKNOWN) return TargetResult::kBlocks;
  const bool did_not_start = data.ending().did_not_start() && reason == data.ending().reason();
  if (did_not_start || NeverStarted(reason)) return TargetResult::kFailedToStart;
  if (outcome.effect() == Execution::EFFECT_NONE) {
    return CouldNotStart(reason) ? TargetResult::kFailedToStart : TargetResult::kNeutral;
  }
  return data.blocks_after_failure() ? TargetResult::kBlocks : TargetResult::kNeutral;
}

}  // namespace

Builder::Builder(const Action& action, std::string first_cause)
    : action_(action), cause_(std::move(first_cause)) {
  out_.ignored = false;
  out_.state = action.state;
  out_.data = action.data;
}

Builder::Builder(const Action& action) : Builder(action, absl::StrCat("event/", action.seq)) {}

ExecutionEvent& Builder::Event() {
  return AddEvent(action_.correlation_id, action_.seq, cause_, out_.events);
}

Builder& Builder::CausedBySignal(int number) {
  cause_ = absl::StrCat("signal/", number);
  return *this;
}

v1::StateChanged& Builder::To(Execution::State to) {
  v1::StateChanged& changed = *Event().mutable_state_changed();
  changed.set_from(out_.state);
  changed.set_to(to);
  out_.state = to;
  return changed;
}

Builder& Builder::Guarded() {
  out_.guard_signals = true;
  return *this;
}

Builder& Builder::Park(absl::Duration delay) {
  out_.park = std::max(absl::ZeroDuration(), delay);
  return *this;
}

Builder& Builder::StoreDecision() {
  out_.store_decision = true;
  return *this;
}

Builder& Builder::StoreArtifacts() {
  out_.store_artifacts = true;
  return *this;
}

Builder& Builder::Launches() {
  out_.launches = true;
  return *this;
}

Builder& Builder::Approval(Transition::Approval approval) {
  out_.approvals.push_back(std::move(approval));
  return *this;
}

Builder& Builder::Use(TargetStep step) {
  out_.data.set_target_key(step.claim.key);
  out_.data.set_at_target(step.kind != TargetStep::Kind::kLeave);
  out_.target = std::move(step);
  return *this;
}

Builder& Builder::Use(ParentUse use) {
  out_.data.set_at_parent(use != ParentUse::kLeave);
  out_.parent = use;
  return *this;
}

Transition Builder::Block(Execution::BlockReason reason, std::string message, absl::Time until,
                          absl::Time now, const TargetClaim& claim, TargetStanding target) {
  v1::StateChanged& changed = To(Execution::STATE_BLOCKED);
  changed.set_block_reason(reason);
  changed.set_message(std::move(message));
  if (until != absl::InfiniteFuture()) *changed.mutable_blocked_until() = ToProto(until);
  out_.data.set_block_reason(reason);
  out_.data.set_blocked_since(absl::ToUnixMicros(now));
  out_.stopped = reason == Execution::BLOCK_REASON_STOPPED;
  const bool in_line = target == TargetStanding::kBusy || target == TargetStanding::kBlocked;
  if (target != TargetStanding::kFree) {
    Use({TargetStep::Kind::kWait, claim, target, TargetResult::kNeutral, ""});
    out_.data.set_at_target(in_line);
  } else if (out_.data.at_target() && !JobMayExist(action_)) {
    Use({TargetStep::Kind::kLeave,
         {out_.data.target_key(), action_.request.action(), false, absl::ZeroDuration()},
         TargetStanding::kFree,
         TargetResult::kNeutral,
         ""});
  }
  if (reason == Execution::BLOCK_REASON_PARENT_LIMIT) {
    Use(ParentUse::kWait);
  } else if (out_.data.at_parent() && !JobMayExist(action_)) {
    Use(ParentUse::kLeave);
  }
  Guarded().Park(until - now);
  return Then(out_.data.step(), Effect::kNone);
}

Transition Builder::Then(ActionState::Step step, Effect effect, absl::Duration delay) {
  out_.data.set_step(step);
  out_.effect = effect;
  out_.delay = delay;
  return std::move(out_);
}

void Builder::EndApproval(v1::ApprovalSummary::State state, std::string message) {
  const ActionState::Approval& approval = out_.data.approval();
  Approval(
      {approval.number(), state, absl::FromUnixMicros(approval.expires()), approval.plan_digest()});
  v1::ApprovalEnded& ended = *Event().mutable_approval_ended();
  ended.set_number(approval.number());
  ended.set_state(state);
  ended.set_message(std::move(message));
  out_.data.mutable_approval()->set_ended(state != v1::ApprovalSummary::STATE_APPROVED);
}

bool ApprovalIsOpen(const ActionState& data) {
  return data.has_approval() && !data.approval().given() && !data.approval().ended();
}

Transition Builder::End(Execution::State state, Execution::FailureReason reason,
                        std::string message, v1::Outcome outcome) {
  if (ApprovalIsOpen(out_.data))
    EndApproval(v1::ApprovalSummary::STATE_VOID, "the execution ended for another reason");
  if (out_.data.at_target()) {
    Use({TargetStep::Kind::kLeave,
         {out_.data.target_key(), action_.request.action(), false, absl::ZeroDuration()},
         TargetStanding::kFree,
         ResultOf(state, reason, outcome, out_.data),
         message});
  }
  if (out_.data.at_parent()) Use(ParentUse::kLeave);
  v1::StateChanged& changed = To(state);
  changed.set_failure_reason(reason);
  changed.set_message(std::move(message));
  *changed.mutable_outcome() = std::move(outcome);
  out_.failure_reason = reason;
  out_.data.clear_block_reason();
  const bool job_may_exist = !out_.data.job_name().empty();
  return Then(ActionState::STEP_DONE, job_may_exist ? Effect::kCleanUp : Effect::kNone);
}

v1::Outcome OutcomeOf(Execution::Effect effect, int exit_code) {
  v1::Outcome outcome;
  outcome.set_effect(effect);
  outcome.set_exit_code(exit_code);
  return outcome;
}

bool JobMayExist(const Action& action) { return action.data.step() >= ActionState::STEP_CREATE; }

Transition Finish(Builder builder, const Action& action, Execution::State state,
                  Execution::FailureReason reason, std::string message) {
  if (!JobMayExist(action)) {
    return builder.End(state, reason, std::move(message), OutcomeOf(Execution::EFFECT_NONE));
  }
  ActionState::Ending& ending = *builder.data().mutable_ending();
  ending.set_state(state);
  ending.set_reason(reason);
  ending.set_message(std::move(message));
  v1::EndDecided& event = *builder.Event().mutable_end_decided();
  event.set_state(state);
  event.set_failure_reason(reason);
  event.set_message(ending.message());
  ending.set_was_armed(action.data.step() >= ActionState::STEP_WATCH);
  return builder.Then(ActionState::STEP_REMOVE, Effect::kRemoveJob);
}

absl::Time QueueDeadline(const ActionState& data, const v1::Accepted& request) {
  if (!request.has_queue_deadline()) return absl::InfiniteFuture();
  return ToTime(request.queue_deadline()) + absl::Microseconds(data.approval_wait());
}

bool PastQueueDeadline(const Action& action, absl::Time now) {
  return now >= QueueDeadline(action.data, action.request);
}

}  // namespace capstan::machine
