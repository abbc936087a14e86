#include "core/machine/action_machine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"

namespace capstan::machine {
namespace {

using google::protobuf::util::TimeUtil;

absl::Time ToTime(const google::protobuf::Timestamp& t) {
  return absl::FromUnixSeconds(t.seconds()) + absl::Nanoseconds(t.nanos());
}

google::protobuf::Timestamp ToProto(absl::Time t) {
  return TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(t));
}

// Collects the events of one transition and fills in what follows from their order.
class Builder {
 public:
  Builder(const Action& action, std::string first_cause)
      : action_(action), cause_(std::move(first_cause)) {
    out_.ignored = false;
    out_.state = action.state;
    out_.data = action.data;
  }
  explicit Builder(const Action& action) : Builder(action, absl::StrCat("event/", action.seq)) {}

  ActionState& data() { return out_.data; }

  ExecutionEvent& Event() {
    ExecutionEvent& event = out_.events.emplace_back();
    event.set_correlation_id(action_.correlation_id);
    event.set_causation_id(cause_);
    cause_ = absl::StrCat("event/", action_.seq + static_cast<int>(out_.events.size()));
    return event;
  }

  // The next event is caused by a signal.
  Builder& CausedBySignal(int number) {
    cause_ = absl::StrCat("signal/", number);
    return *this;
  }

  v1::StateChanged& To(Execution::State to) {
    v1::StateChanged& changed = *Event().mutable_state_changed();
    changed.set_from(out_.state);
    changed.set_to(to);
    out_.state = to;
    return changed;
  }

  Builder& Guarded() {
    out_.guard_signals = true;
    return *this;
  }
  Builder& Park(absl::Duration delay) {
    out_.park = delay;
    return *this;
  }
  Builder& StoreDecision() {
    out_.store_decision = true;
    return *this;
  }
  Builder& StoreArtifacts() {
    out_.store_artifacts = true;
    return *this;
  }

  Transition Then(ActionState::Step step, Effect effect,
                  absl::Duration delay = absl::ZeroDuration()) {
    out_.data.set_step(step);
    out_.effect = effect;
    out_.delay = delay;
    return std::move(out_);
  }

  // Writes the end. `effect` is what is known about the cluster.
  Transition End(Execution::State state, Execution::FailureReason reason, std::string message,
                 v1::Outcome outcome) {
    v1::StateChanged& changed = To(state);
    changed.set_failure_reason(reason);
    changed.set_message(std::move(message));
    *changed.mutable_outcome() = std::move(outcome);
    out_.failure_reason = reason;
    const bool job_may_exist = !out_.data.job_name().empty();
    return Then(ActionState::STEP_DONE, job_may_exist ? Effect::kCleanUp : Effect::kNone);
  }

  Transition Done() { return std::move(out_); }

 private:
  const Action& action_;
  std::string cause_;
  Transition out_;
};

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

v1::Outcome OutcomeOf(Execution::Effect effect, int exit_code = -1) {
  v1::Outcome outcome;
  outcome.set_effect(effect);
  outcome.set_exit_code(exit_code);
  return outcome;
}

bool PastQueueDeadline(const Action& action, absl::Time now) {
  return action.request.has_queue_deadline() && now >= ToTime(action.request.queue_deadline());
}

// A Job of ours may exist in the cluster: the intent is stored, so someone may have posted it.
bool JobMayExist(const Action& action) { return action.data.step() >= ActionState::STEP_CREATE; }

// Ends the execution: at once while nothing can have been launched, otherwise only when the Job is
// seen to be gone.
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

Transition Fail(const Action& action, Execution::FailureReason reason, std::string message) {
  return Finish(Builder(action), action, Execution::STATE_FAILED, reason, std::move(message));
}

Transition DeadlineExceeded(const Action& action, const std::string& last_error) {
  std::string message = "not launched before its queue deadline";
  if (!last_error.empty()) absl::StrAppend(&message, "; last error: ", last_error);
  return Fail(action, Execution::FAILURE_REASON_DEADLINE_EXCEEDED, std::move(message));
}

// A transient error before the uid is recorded: wait without a lease and begin anew.
Transition Retry(const Action& action, const std::string& message, absl::Time now) {
  if (PastQueueDeadline(action, now)) return DeadlineExceeded(action, message);
  Builder builder(action);
  const int errors = action.data.transient_errors() + 1;
  builder.data().set_transient_errors(errors);
  const absl::Duration backoff = RetryBackoff(errors);
  v1::StateChanged& changed = builder.To(Execution::STATE_PENDING);
  changed.set_message(message);
  *changed.mutable_retry_time() = ToProto(now + backoff);
  return builder.Guarded().Park(backoff).Then(action.data.step(), Effect::kNone);
}

Transition Succeed(Builder builder, const Action& action,
                   const std::optional<google::protobuf::Struct>& after) {
  v1::Outcome outcome = OutcomeOf(Execution::EFFECT_APPLIED, action.data.exit_code());
  v1::ResourceChange& resource = *outcome.add_resources();
  *resource.mutable_target() = action.request.target();
  resource.mutable_target()->set_uid(action.data.target_uid());
  *resource.mutable_before() = action.data.before();
  if (after.has_value()) *resource.mutable_after() = *after;
  return builder.End(Execution::STATE_SUCCEEDED, Execution::FAILURE_REASON_UNSPECIFIED, "",
                     std::move(outcome));
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
  if (action.state == Execution::STATE_PENDING) {
    if (PastQueueDeadline(action, now)) {
      return Finish(std::move(builder), action, Execution::STATE_FAILED,
                    Execution::FAILURE_REASON_DEADLINE_EXCEEDED,
                    "not launched before its queue deadline");
    }
    builder.To(Execution::STATE_VALIDATING).set_attempt(action.data.transient_errors() + 1);
    const ActionState::Step step = std::max(action.data.step(), ActionState::STEP_VALIDATE);
    return builder.Then(step, Effect::kValidate);
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
  v1::Plan& plan = *outcome.mutable_plan();
  plan.set_digest(validated.plan_digest);
  plan.set_rendered_job(validated.rendered_job);
  *plan.mutable_policy_decision() = validated.decision;
  if (validated.rollback.has_value()) *plan.mutable_rollback() = *validated.rollback;
  return builder.End(Execution::STATE_SUCCEEDED, Execution::FAILURE_REASON_UNSPECIFIED,
                     "dry run: allowed; nothing was launched", std::move(outcome));
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
  return builder.StoreArtifacts().Guarded().Then(ActionState::STEP_CREATE, Effect::kCreateJob);
}

Transition On(const Action& action, const Validated& validated, absl::Time now) {
  const ActionState::Step step = action.data.step();
  if (step < ActionState::STEP_VALIDATE || step > ActionState::STEP_ARM) return Ignore();
  if (action.state == Execution::STATE_PENDING)
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
      return Retry(action, validated.message, now);
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
                  absl::StrCat(validated.target.kind(), " ", validated.target.namespace_(), "/",
                               validated.target.name(), " does not exist"));
  }
  if (action.request.dry_run()) return DryRun(std::move(builder), validated);
  if (PastQueueDeadline(action, now)) {
    return Finish(std::move(builder), action, Execution::STATE_FAILED,
                  Execution::FAILURE_REASON_DEADLINE_EXCEEDED,
                  "not launched before its queue deadline");
  }
  builder.Guarded();
  switch (step) {
    case ActionState::STEP_VALIDATE:
      return StoreIntent(std::move(builder), validated);
    case ActionState::STEP_CREATE:
      return builder.Then(step, Effect::kCreateJob);
    default:
      return builder.Then(step, Effect::kArmJob);
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
  return builder.Guarded().Then(ActionState::STEP_ARM, Effect::kArmJob);
}

Transition On(const Action& action, const JobCreateFailed& failed, absl::Time now) {
  if (!Creating(action)) return Ignore();
  switch (failed.kind) {
    case JobCreateFailed::Kind::kTransient:
      return Retry(action, failed.message, now);
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
  if (action.data.step() != ActionState::STEP_ARM) return Ignore();
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
  return Fail(action, Execution::FAILURE_REASON_FAILED_TO_START, stuck.message);
}

Transition On(const Action& action, const JobLost& lost, absl::Time now) {
  if (action.data.step() != ActionState::STEP_WATCH) return Ignore();
  return Fail(action, Execution::FAILURE_REASON_OUTCOME_UNKNOWN, lost.message);
}

Transition On(const Action& action, const ReadBack& read, absl::Time now) {
  if (action.data.step() != ActionState::STEP_VERIFY) return Ignore();
  return Succeed(Builder(action), action, read.after);
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

Transition On(const Action& action, const Signalled& signalled, absl::Time now) {
  Builder builder(action);
  int last = action.data.signals_seen();
  std::string message;
  for (const Signalled::Cancel& cancel : signalled.cancels) {
    if (cancel.number <= last) continue;
    last = cancel.number;
    builder.CausedBySignal(cancel.number);
    v1::CancelRequested& event = *builder.Event().mutable_cancel_requested();
    event.set_caller(cancel.caller);
    event.set_reason(cancel.reason);
    if (message.empty()) {
      message = absl::StrCat("cancelled by ", cancel.caller);
      if (!cancel.reason.empty()) absl::StrAppend(&message, ": ", cancel.reason);
    }
  }
  if (last == action.data.signals_seen()) return Ignore();
  builder.data().set_signals_seen(last);
  builder.data().set_cancel_requested(true);
  const ActionState::Step step = action.data.step();
  if (step == ActionState::STEP_VERIFY ||
      step == ActionState::STEP_REMOVE) {  // too late to change the end
    return builder.Then(step, EffectOf(step));
  }
  return Finish(std::move(builder), action, Execution::STATE_CANCELLED,
                Execution::FAILURE_REASON_UNSPECIFIED, std::move(message));
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
