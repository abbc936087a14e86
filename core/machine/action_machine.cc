#include "core/machine/action_machine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/machine/action_builder.h"
#include "core/machine/approvals.h"
#include "core/target_name.h"

namespace capstan::machine {
namespace {

Transition Ignore() { return {}; }

// Nothing to store, do the effect (again).
Transition Do(const Action& action, Effect effect, absl::Duration delay = absl::ZeroDuration()) {
  Transition out;
  out.state = action.state;
  out.data = action.data;
  out.effect = effect;
  out.delay = delay;
  return out;
}

Transition Fail(const Action& action, Execution::FailureReason reason, std::string message) {
  return Finish(Builder(action), action, Execution::STATE_FAILED, reason, std::move(message));
}

Transition DeadlineExceeded(const Action& action, const std::string& last_error) {
  std::string message = "not launched before its queue deadline";
  if (!last_error.empty()) absl::StrAppend(&message, "; last error: ", last_error);
  return Fail(action, Execution::FAILURE_REASON_DEADLINE_EXCEEDED, std::move(message));
}

// A transient error before the uid is recorded: wait without a lease and begin anew. One of the
// infrastructure does not use up the caller's retries.
Transition Retry(const Action& action, const std::string& message, bool infrastructure,
                 absl::Time now) {
  if (PastQueueDeadline(action, now)) return DeadlineExceeded(action, message);
  if (!infrastructure && action.data.transient_errors() >= action.request.max_retries()) {
    return Fail(action, Execution::FAILURE_REASON_RETRY_LIMIT,
                absl::StrCat("failed ", action.data.transient_errors() + 1,
                             " times before anything was launched, the last time: ", message));
  }
  Builder builder(action);
  ActionState& data = builder.data();
  if (infrastructure) {
    data.set_infrastructure_errors(data.infrastructure_errors() + 1);
  } else {
    data.set_transient_errors(data.transient_errors() + 1);
  }
  const absl::Duration backoff =
      RetryBackoff(data.transient_errors() + data.infrastructure_errors());
  v1::StateChanged& changed = builder.To(Execution::STATE_PENDING);
  changed.set_message(message);
  *changed.mutable_retry_time() = ToProto(now + backoff);
  return builder.Guarded().Park(backoff).Then(action.data.step(), Effect::kNone);
}

v1::Outcome Applied(const Action& action, const std::optional<google::protobuf::Struct>& after) {
  v1::Outcome outcome = OutcomeOf(Execution::EFFECT_APPLIED, action.data.exit_code());
  v1::ResourceChange& resource = *outcome.add_resources();
  *resource.mutable_target() = action.request.target();
  resource.mutable_target()->set_uid(action.data.target_uid());
  *resource.mutable_before() = action.data.before();
  if (after.has_value()) *resource.mutable_after() = *after;
  return outcome;
}

Transition Succeed(Builder builder, const Action& action,
                   const std::optional<google::protobuf::Struct>& after) {
  return builder.End(Execution::STATE_SUCCEEDED, Execution::FAILURE_REASON_UNSPECIFIED, "",
                     Applied(action, after));
}

Effect EffectOf(ActionState::Step step) {
  switch (step) {
    case ActionState::STEP_WATCH:
      return Effect::kWatchJob;
    case ActionState::STEP_VERIFY:
      return Effect::kReadBack;
    case ActionState::STEP_REMOVE:
      return Effect::kRemoveJob;
    case ActionState::STEP_DONE:
      return Effect::kNone;
    default:
      // Before arming everything is checked again: policy, deadline and signals may have changed.
      return Effect::kValidate;
  }
}

Transition TooLate(Builder builder, const Action& action) {
  std::string message = "not launched before its queue deadline";
  if (action.state == Execution::STATE_BLOCKED) {
    absl::StrAppend(&message, "; it was BLOCKED(",
                    std::string(BlockReasonName(action.data.block_reason())), ")");
  }
  return Finish(std::move(builder), action, Execution::STATE_FAILED,
                Execution::FAILURE_REASON_DEADLINE_EXCEEDED, std::move(message));
}

// Validates, whatever was found out before.
Transition Begin(Builder builder) {
  const ActionState& data = builder.data();
  builder.To(Execution::STATE_VALIDATING)
      .set_attempt(data.transient_errors() + data.infrastructure_errors() + 1);
  const ActionState::Step step = std::max(data.step(), ActionState::STEP_VALIDATE);
  return builder.Then(step, Effect::kValidate);
}

// What it waited for has come, or its time is up.
Transition Unblock(Builder builder, const Action& action, absl::Time now) {
  ActionState& data = builder.data();
  if (data.block_reason() == Execution::BLOCK_REASON_APPROVAL) {
    if (IsExpired(data, now)) return ExpireApproval(std::move(builder), action, now);
    const absl::Duration waited = now - absl::FromUnixMicros(data.blocked_since());
    data.set_approval_wait(data.approval_wait() +
                           absl::ToInt64Microseconds(std::max(absl::ZeroDuration(), waited)));
  }
  if (now >= QueueDeadline(data, action.request)) return TooLate(std::move(builder), action);
  data.clear_block_reason();
  builder.To(Execution::STATE_PENDING);
  return Begin(std::move(builder));
}

Transition On(const Action& action, const Resumed& resumed, absl::Time now) {
  const bool lost = resumed.takeovers > action.data.takeovers_seen();
  Builder builder(action);
  if (lost) {
    builder.Event().mutable_lease_lost()->set_takeovers(resumed.takeovers);
    builder.data().set_takeovers_seen(resumed.takeovers);
  }
  if (lost && resumed.alone && resumed.takeovers >= kMaxTakeovers) {
    const std::string message = absl::StrCat("given up: ", resumed.takeovers,
                                             " workers in a row were lost while they held it");
    if (action.data.job_uid().empty()) {
      return Finish(std::move(builder), action, Execution::STATE_FAILED,
                    Execution::FAILURE_REASON_LEASE_LOST, message);
    }
    if (action.data.step() ==
        ActionState::STEP_VERIFY) {  // it ended well; only reading it back is left out
      return Succeed(std::move(builder), action, std::nullopt);
    }
    if (action.data.step() == ActionState::STEP_REMOVE) {  // removing is what kills them: stop
      return builder.End(Execution::STATE_FAILED, Execution::FAILURE_REASON_OUTCOME_UNKNOWN,
                         message, OutcomeOf(Execution::EFFECT_POSSIBLE));
    }
    return Finish(std::move(builder), action, Execution::STATE_FAILED,
                  Execution::FAILURE_REASON_OUTCOME_UNKNOWN, message);
  }
  if (action.state == Execution::STATE_BLOCKED) return Unblock(std::move(builder), action, now);
  if (action.state == Execution::STATE_PENDING) {
    if (PastQueueDeadline(action, now)) return TooLate(std::move(builder), action);
    return Begin(std::move(builder));
  }
  const Effect effect = EffectOf(action.data.step());
  if (!lost) return Do(action, effect);
  return builder.Then(action.data.step(), effect);
}

Transition Denied(Builder builder, const Action& action, const Validated& validated) {
  const v1::PolicyDecision& decision = validated.decision;
  if (!decision.error().empty()) {
    return Finish(std::move(builder), action, Execution::STATE_FAILED,
                  Execution::FAILURE_REASON_POLICY_ERROR,
                  absl::StrCat("policy could not be evaluated, which denies: ", decision.error()));
  }
  std::string message = "denied by policy";
  for (const v1::PolicyViolation& violation : decision.violations()) {
    absl::StrAppend(&message, "; ", violation.id(), ": ", violation.message());
  }
  return Finish(std::move(builder), action, Execution::STATE_FAILED,
                Execution::FAILURE_REASON_POLICY_DENIED, std::move(message));
}

Transition DryRun(Builder builder, const Validated& validated) {
  v1::Outcome outcome = OutcomeOf(Execution::EFFECT_NONE);
  outcome.set_dry_run(true);
  *outcome.mutable_plan() = validated.plan;
  return builder.End(Execution::STATE_SUCCEEDED, Execution::FAILURE_REASON_UNSPECIFIED,
                     validated.decision.requires_approval()
                         ? "dry run: allowed once it is approved; nothing was launched"
                         : "dry run: allowed; nothing was launched",
                     std::move(outcome));
}

// The first allowed validation stores the intent: the Job as it will be posted, and how to undo it.
Transition StoreIntent(Builder builder, const Validated& validated) {
  ActionState& data = builder.data();
  data.set_job_namespace(validated.job_namespace);
  data.set_job_name(validated.job_name);
  data.set_job_spec_hash(validated.job_spec_hash);
  data.set_target_uid(validated.target.uid());
  *data.mutable_before() = validated.before;
  v1::ArtifactStored& job = *builder.Event().mutable_artifact_stored();
  job.set_artifact("job");
  job.set_digest(validated.job_digest);
  if (validated.rollback.has_value()) {
    v1::ArtifactStored& rollback = *builder.Event().mutable_artifact_stored();
    rollback.set_artifact("rollback");
    rollback.set_digest(validated.rollback_digest);
    *rollback.mutable_rollback() = *validated.rollback;
  }
  data.set_blocks_after_failure(validated.blocks_after_failure);
  if (!validated.claim.key.empty()) {
    builder.Use({TargetStep::Kind::kTake, validated.claim, TargetStanding::kFree,
                 TargetResult::kNeutral, ""});
  }
  const Action& action = builder.action();
  if (action.parent_limit > 0 && !action.request.parent().name().empty()) {
    builder.Use(ParentUse::kTake);
  } else if (data.at_parent()) {  // in line under a limit that is no more
    builder.Use(ParentUse::kLeave);
  }
  return builder.StoreArtifacts().Launches().Guarded().Then(ActionState::STEP_CREATE,
                                                            Effect::kCreateJob);
}

// The target is not free.
Transition AwaitTarget(Builder builder, const Action& action, const Validated& validated,
                       absl::Time now) {
  const TargetAnswer& answer = *validated.target_answer;
  const absl::Time until = std::min(answer.until, QueueDeadline(action.data, action.request));
  const auto block = [&](Execution::BlockReason reason) {
    return builder.Block(reason, answer.message, until, now, validated.claim, answer.standing);
  };
  switch (answer.standing) {
    case TargetStanding::kBusy:
      if (action.request.on_conflict() == Execution::ON_CONFLICT_REJECT) {
        return Finish(std::move(builder), action, Execution::STATE_FAILED,
                      Execution::FAILURE_REASON_TARGET_BUSY, answer.message);
      }
      return block(Execution::BLOCK_REASON_TARGET_LOCK);
    case TargetStanding::kCooldown:
      return block(Execution::BLOCK_REASON_COOLDOWN);
    case TargetStanding::kBackoff:
      return block(Execution::BLOCK_REASON_BACKOFF);
    case TargetStanding::kBlocked:
      return block(Execution::BLOCK_REASON_PREVIOUS_FAILURE);
    case TargetStanding::kSuperseded:
      return Finish(std::move(builder), action, Execution::STATE_CANCELLED,
                    Execution::FAILURE_REASON_UNSPECIFIED, answer.message);
    case TargetStanding::kFree:
      break;
  }
  return StoreIntent(std::move(builder), validated);
}

std::string StopMessage(const StoppedBy& stop) {
  return absl::StrCat("stopped by ", stop.name, ": ", stop.reason);
}

Transition AwaitLift(Builder builder, const Action& action, const StoppedBy& stop, absl::Time now) {
  return builder.Block(Execution::BLOCK_REASON_STOPPED, StopMessage(stop),
                       QueueDeadline(action.data, action.request), now);
}

// A required precondition that does not hold; null when all do.
const v1::ConditionResult* FirstFailed(const std::vector<v1::ConditionResult>& conditions) {
  const auto failed = std::find_if(conditions.begin(), conditions.end(), [](const auto& result) {
    return result.required() && !result.passed();
  });
  return failed == conditions.end() ? nullptr : &*failed;
}

Transition On(const Action& action, const Validated& validated, absl::Time now) {
  const ActionState::Step step = action.data.step();
  if (step < ActionState::STEP_VALIDATE || step > ActionState::STEP_ARM) return Ignore();
  if (action.state == Execution::STATE_PENDING || action.state == Execution::STATE_BLOCKED)
    return Ignore();  // an answer to an attempt that was given up
  switch (validated.result) {
    case Validated::Result::kUnknownAction:
      return Fail(action, Execution::FAILURE_REASON_UNKNOWN_ACTION, validated.message);
    case Validated::Result::kInvalidParameters:
      return Fail(action, Execution::FAILURE_REASON_INVALID_PARAMETERS, validated.message);
    case Validated::Result::kTransientError:
      if (step == ActionState::STEP_ARM) {
        if (PastQueueDeadline(action, now)) return DeadlineExceeded(action, validated.message);
        return Do(action, Effect::kValidate, RetryBackoff(1));
      }
      return Retry(action, validated.message, validated.infrastructure, now);
    case Validated::Result::kDecided:
      break;
  }
  Builder builder(action);
  builder.StoreDecision().data().set_decisions(action.data.decisions() + 1);
  v1::PolicyEvaluated& evaluated = *builder.Event().mutable_policy_evaluated();
  *evaluated.mutable_decision() = validated.decision;
  evaluated.set_target_uid(validated.target.uid());
  if (!validated.decision.allow()) return Denied(std::move(builder), action, validated);
  if (!validated.target_found) {
    return Finish(std::move(builder), action, Execution::STATE_FAILED,
                  Execution::FAILURE_REASON_PRECONDITION_FAILED,
                  absl::StrCat(TargetText(validated.target), " does not exist"));
  }
  for (const v1::ConditionResult& result : validated.preconditions) {
    *builder.Event().mutable_condition_evaluated()->mutable_result() = result;
  }
  if (const v1::ConditionResult* failed = FirstFailed(validated.preconditions)) {
    return Finish(std::move(builder), action, Execution::STATE_FAILED,
                  Execution::FAILURE_REASON_PRECONDITION_FAILED,
                  absl::StrCat("precondition ", failed->name(), ": ", failed->message()));
  }
  if (!validated.moved.empty()) {
    return Finish(std::move(builder), action, Execution::STATE_FAILED,
                  Execution::FAILURE_REASON_PRECONDITION_FAILED,
                  absl::StrCat("the target has moved since: ", validated.moved));
  }
  if (action.request.dry_run()) return DryRun(std::move(builder), validated);
  if (PastQueueDeadline(action, now)) return TooLate(std::move(builder), action);
  if (validated.stopped.has_value()) {
    return AwaitLift(std::move(builder), action, *validated.stopped, now);
  }
  if (validated.decision.requires_approval() && !IsApproved(action.data, validated.plan)) {
    if (step == ActionState::STEP_VALIDATE) {
      return AwaitApproval(std::move(builder), validated.plan, now);
    }
    return Finish(std::move(builder), action, Execution::STATE_FAILED,
                  Execution::FAILURE_REASON_POLICY_DENIED,
                  "what was approved has changed before it was launched: submit it again");
  }
  if (!validated.decision.requires_approval() && ApprovalIsOpen(builder.data())) {
    builder.EndApproval(v1::ApprovalSummary::STATE_VOID, "the rules ask for none any more");
  }
  builder.Guarded();
  switch (step) {
    case ActionState::STEP_VALIDATE:
      if (validated.target_answer.has_value()) {
        return AwaitTarget(std::move(builder), action, validated, now);
      }
      if (validated.parent_full.has_value()) {
        return builder.Block(Execution::BLOCK_REASON_PARENT_LIMIT, *validated.parent_full,
                             QueueDeadline(action.data, action.request), now);
      }
      return StoreIntent(std::move(builder), validated);
    case ActionState::STEP_CREATE:
      return builder.Launches().Then(step, Effect::kCreateJob);
    default:
      if (action.state == Execution::STATE_VALIDATING) builder.To(Execution::STATE_RUNNING);
      return builder.Launches().Then(step, Effect::kArmJob);
  }
}

// An answer to a create of an attempt that was given up finds the action PENDING.
bool Creating(const Action& action) {
  return action.state == Execution::STATE_VALIDATING &&
         action.data.step() == ActionState::STEP_CREATE;
}

Transition On(const Action& action, const JobCreated& created, absl::Time now) {
  if (!Creating(action)) return Ignore();
  Builder builder(action);
  builder.data().set_job_uid(created.uid);
  v1::JobCreated& event = *builder.Event().mutable_job_created();
  event.mutable_job()->set_namespace_(action.data.job_namespace());
  event.mutable_job()->set_name(action.data.job_name());
  event.mutable_job()->set_uid(created.uid);
  event.set_adopted(created.adopted);
  builder.To(Execution::STATE_RUNNING);
  return builder.Launches().Guarded().Then(ActionState::STEP_ARM, Effect::kArmJob);
}

Transition On(const Action& action, const JobCreateFailed& failed, absl::Time now) {
  if (!Creating(action)) return Ignore();
  switch (failed.kind) {
    case JobCreateFailed::Kind::kTransient:
      return Retry(action, failed.message, failed.infrastructure, now);
    case JobCreateFailed::Kind::kCollision: {
      // Not ours, so there is nothing to remove and nothing to clean up.
      Builder builder(action);
      builder.data().clear_job_name();
      return builder.End(Execution::STATE_FAILED, Execution::FAILURE_REASON_NAME_COLLISION,
                         failed.message, OutcomeOf(Execution::EFFECT_NONE));
    }
    case JobCreateFailed::Kind::kRefused:
      return Fail(action, failed.reason, failed.message);
  }
  return Ignore();
}

Transition On(const Action& action, const ArmResult& result, absl::Time now) {
  if (action.data.step() != ActionState::STEP_ARM || action.state != Execution::STATE_RUNNING)
    return Ignore();
  switch (result.kind) {
    case ArmResult::Kind::kArmed:
    case ArmResult::Kind::kFoundArmed: {
      Builder builder(action);
      builder.Event().mutable_job_armed()->set_found(result.kind == ArmResult::Kind::kFoundArmed);
      return builder.Then(ActionState::STEP_WATCH, Effect::kWatchJob);
    }
    case ArmResult::Kind::kArmedButSuspended:
      return Fail(action, Execution::FAILURE_REASON_OUTCOME_UNKNOWN,
                  "the Job was suspended by somebody else after it was armed; it may have run");
    case ArmResult::Kind::kGone:
      return Fail(
          action, Execution::FAILURE_REASON_OUTCOME_UNKNOWN,
          "the Job was deleted by somebody else before its result was recorded; it may have run");
    case ArmResult::Kind::kRefused:
      return Fail(action, Execution::FAILURE_REASON_FORBIDDEN, result.message);
    case ArmResult::Kind::kTransientError:
      if (PastQueueDeadline(action, now)) return DeadlineExceeded(action, result.message);
      return Do(action, Effect::kArmJob, RetryBackoff(1));
  }
  return Ignore();
}

Transition On(const Action& action, const JobEnded& ended, absl::Time now) {
  const ActionState::Step step = action.data.step();
  if (step != ActionState::STEP_WATCH && step != ActionState::STEP_REMOVE) return Ignore();
  Builder builder(action);
  // It ran, so it was armed: by an attempt that was lost before it could record that.
  if (step == ActionState::STEP_REMOVE && action.state == Execution::STATE_RUNNING &&
      !action.data.ending().was_armed()) {
    builder.Event().mutable_job_armed()->set_found(true);
  }
  v1::JobFinished& event = *builder.Event().mutable_job_finished();
  event.set_succeeded(ended.succeeded);
  event.set_failure_reason(ended.reason);
  event.set_exit_code(ended.exit_code);
  event.set_message(ended.message);
  if (ended.started.has_value()) *event.mutable_start_time() = ToProto(*ended.started);
  if (ended.ended.has_value()) *event.mutable_end_time() = ToProto(*ended.ended);
  builder.data().set_exit_code(ended.exit_code);
  builder.data().clear_ending();
  if (action.state !=
      Execution::STATE_RUNNING) {  // it ran although its uid was never recorded: not our doing
    return builder.End(Execution::STATE_FAILED, Execution::FAILURE_REASON_OUTCOME_UNKNOWN,
                       "the Job was started by somebody else",
                       OutcomeOf(Execution::EFFECT_POSSIBLE));
  }
  if (ended.succeeded) {
    builder.data().set_verify_began(absl::ToUnixMicros(now));
    builder.To(Execution::STATE_VERIFYING);
    return builder.Then(ActionState::STEP_VERIFY, Effect::kReadBack);
  }
  return builder.End(Execution::STATE_FAILED, ended.reason, ended.message,
                     OutcomeOf(Execution::EFFECT_POSSIBLE, ended.exit_code));
}

Transition On(const Action& action, const JobGone&, absl::Time now) {
  if (action.data.step() != ActionState::STEP_WATCH) return Ignore();
  return Fail(
      action, Execution::FAILURE_REASON_OUTCOME_UNKNOWN,
      "the Job was deleted by somebody else before its result was recorded; it may have run");
}

Transition On(const Action& action, const JobSuspended&, absl::Time now) {
  if (action.data.step() != ActionState::STEP_WATCH) return Ignore();
  return Fail(action, Execution::FAILURE_REASON_OUTCOME_UNKNOWN,
              "the Job was suspended by somebody else after it was armed; it may have run");
}

Transition On(const Action& action, const JobDidNotStart& stuck, absl::Time now) {
  if (action.data.step() != ActionState::STEP_WATCH) return Ignore();
  Transition end = Fail(action, stuck.reason, stuck.message);
  end.data.mutable_ending()->set_did_not_start(true);
  return end;
}

Transition On(const Action& action, const JobLost& lost, absl::Time now) {
  if (action.data.step() != ActionState::STEP_WATCH) return Ignore();
  return Fail(action, Execution::FAILURE_REASON_OUTCOME_UNKNOWN, lost.message);
}

bool SameAnswer(const v1::ConditionResult& a, const v1::ConditionResult& b) {
  return a.evaluated() == b.evaluated() && a.passed() == b.passed() && a.message() == b.message();
}

// Looks again until every required postcondition holds at one look, or the time of one is up.
Transition On(const Action& action, const ReadBack& read, absl::Time now) {
  if (action.data.step() != ActionState::STEP_VERIFY) return Ignore();
  Builder builder(action);
  bool changed = false, waiting = false;
  const v1::ConditionResult* late = nullptr;
  for (const ReadBack::Postcondition& one : read.postconditions) {
    const auto before = action.data.postconditions().find(one.result.name());
    if (before == action.data.postconditions().end() || !SameAnswer(before->second, one.result)) {
      changed = true;
      (*builder.data().mutable_postconditions())[one.result.name()] = one.result;
      *builder.Event().mutable_condition_evaluated()->mutable_result() = one.result;
    }
    if (one.result.passed() || !one.result.required()) continue;
    waiting = true;
    const absl::Time ends = absl::FromUnixMicros(action.data.verify_began()) + one.timeout;
    if (now >= ends && late == nullptr) late = &one.result;
  }
  if (late != nullptr) {
    return builder.End(Execution::STATE_FAILED, Execution::FAILURE_REASON_POSTCONDITION_FAILED,
                       absl::StrCat("the action ran, but postcondition ", late->name(),
                                    " did not come true in time: ", late->message()),
                       Applied(action, read.after));
  }
  if (!waiting) return Succeed(std::move(builder), action, read.after);
  if (!changed) return Do(action, Effect::kReadBack, kPostconditionInterval);
  return builder.Then(ActionState::STEP_VERIFY, Effect::kReadBack, kPostconditionInterval);
}

Transition On(const Action& action, const Removed& removed, absl::Time now) {
  if (action.data.step() != ActionState::STEP_REMOVE) return Ignore();
  const ActionState::Ending& ending = action.data.ending();
  switch (removed.kind) {
    case Removed::Kind::kTransientError:
      return Do(action, Effect::kRemoveJob, RetryBackoff(1));
    case Removed::Kind::kCannotBeShown:
      return Builder(action).End(
          Execution::STATE_FAILED, Execution::FAILURE_REASON_OUTCOME_UNKNOWN,
          absl::StrCat(ending.message(),
                       "; the Job could not be shown to be gone: ", removed.message),
          OutcomeOf(Execution::EFFECT_POSSIBLE));
    case Removed::Kind::kNeverArmed:
    case Removed::Kind::kGone:
      break;
  }
  const bool none = removed.kind == Removed::Kind::kNeverArmed && !ending.was_armed();
  return Builder(action).End(ending.state(), ending.reason(), ending.message(),
                             OutcomeOf(none ? Execution::EFFECT_NONE : Execution::EFFECT_POSSIBLE));
}

// What was about to be stored must not be: a stop is in force. What is launched already goes on.
Transition On(const Action& action, const Stopped& stopped, absl::Time now) {
  const ActionState::Step step = action.data.step();
  if (action.state != Execution::STATE_VALIDATING || step > ActionState::STEP_ARM) return Ignore();
  return AwaitLift(Builder(action), action, stopped.by, now);
}

// Votes first: a cancel among them ends the execution whatever they say.
Transition On(const Action& action, const Signalled& signalled, absl::Time now) {
  Builder builder(action);
  const int seen = action.data.signals_seen();
  int last = seen;
  const bool waits = action.state == Execution::STATE_BLOCKED &&
                     action.data.block_reason() == Execution::BLOCK_REASON_APPROVAL;
  for (const Signalled::Vote& vote : signalled.votes) last = std::max(last, vote.number);
  for (const Signalled::Cancel& cancel : signalled.cancels) last = std::max(last, cancel.number);
  if (last == seen) return Ignore();
  builder.data().set_signals_seen(last);
  for (const Signalled::Vote& vote : signalled.votes) {
    if (vote.number <= seen) continue;
    builder.CausedBySignal(vote.number);
    if (std::optional<Transition> end = CountVote(builder, action, vote)) return *std::move(end);
  }
  std::string message;
  for (const Signalled::Cancel& cancel : signalled.cancels) {
    if (cancel.number <= seen) continue;
    builder.CausedBySignal(cancel.number);
    v1::CancelRequested& event = *builder.Event().mutable_cancel_requested();
    event.set_caller(cancel.caller);
    event.set_reason(cancel.reason);
    if (message.empty()) {
      message = absl::StrCat("cancelled by ", cancel.caller);
      if (!cancel.reason.empty()) absl::StrAppend(&message, ": ", cancel.reason);
    }
  }
  const ActionState::Step step = action.data.step();
  if (!message.empty()) {
    builder.data().set_cancel_requested(true);
    if (step == ActionState::STEP_VERIFY ||
        step == ActionState::STEP_REMOVE) {  // too late to change the end
      return builder.Then(step, EffectOf(step));
    }
    return Finish(std::move(builder), action, Execution::STATE_CANCELLED,
                  Execution::FAILURE_REASON_UNSPECIFIED, std::move(message));
  }
  if (waits && builder.data().approval().given()) return Unblock(std::move(builder), action, now);
  if (waits && !IsExpired(action.data, now)) {  // not enough yet
    const absl::Time until = absl::FromUnixMicros(action.data.approval().expires());
    return builder.Guarded().Park(until - now).Then(step, Effect::kNone);
  }
  // Nothing that changes its course. What was about to be stored may have been dropped for this.
  const bool deciding = action.state == Execution::STATE_VALIDATING ||
                        (action.state == Execution::STATE_RUNNING && step == ActionState::STEP_ARM);
  return builder.Then(step, deciding ? Effect::kValidate : Effect::kNone);
}

}  // namespace

absl::Duration RetryBackoff(int transient_errors) {
  const int doublings = std::clamp(transient_errors - 1, 0, 6);
  return std::min(absl::Seconds(60), absl::Seconds(1) * (1 << doublings));
}

Transition Next(const Action& action, const Input& input, absl::Time now) {
  if (IsTerminal(action.state)) return Ignore();
  return std::visit([&](const auto& in) { return On(action, in, now); }, input);
}

}  // namespace capstan::machine
