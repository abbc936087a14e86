#include "core/task/task_machine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/machine/event_writer.h"
#include "core/task/task_budget.h"
#include "core/task/task_gates.h"
#include "core/workflow/loader.h"

namespace capstan::task {
namespace {

using machine::ToProto;

Transition Ignore() { return {}; }

// Nothing to store, the effects (again).
Transition Again(const Task& task) {
  Transition out;
  out.state = task.state;
  out.data = task.data;
  return out;
}

// Before anything was decided: what can be wrong then is tried again without a lease.
Transition Retry(Builder b, std::string message) {
  TaskState& data = b.data();
  data.set_transient_errors(data.transient_errors() + 1);
  if (data.transient_errors() > kMaxTransientErrors) {
    return Finish(
        std::move(b), Execution::STATE_FAILED, Execution::FAILURE_REASON_RETRY_LIMIT,
        absl::StrCat("tried ", kMaxTransientErrors + 1, " times, the last time: ", message));
  }
  const absl::Duration backoff = Backoff(data.transient_errors());
  v1::StateChanged& changed = b.To(Execution::STATE_PENDING);
  changed.set_message(std::move(message));
  *changed.mutable_retry_time() = ToProto(b.now() + backoff);
  b.out().guard_signals = true;
  b.out().park = backoff;
  return b.Done();
}

// ---- the worker that was at it is gone

void Lose(Builder& b, TaskState::Step& step) {
  b.Lost(step, step.attempt(), step.iteration(), step.reserved_microusd());
  step.set_reserved_microusd(0);
}

void TryAgain(TaskState::Step& step, absl::Time when) {
  step.set_attempt(step.attempt() + 1);
  step.set_not_before(absl::ToUnixMicros(when));
}

bool MayRunAgain(const Builder& b, const TaskState::Step& step) {
  return workflow::IsRepeatable(b.Definition(step.name()));
}

// Nobody works on it any more. An end that was decided stays what it is.
Transition GiveUp(Builder b, Execution::FailureReason reason, std::string message) {
  for (TaskState::Step& step : *b.data().mutable_steps()) {
    if (step.gate().working()) LoseGate(b, step);
    if (IsWorking(step)) Lose(b, step);
  }
  if (b.data().has_ending()) {
    const TaskState::Ending end = b.data().ending();
    return b.End(end.state(), end.reason(),
                 absl::StrCat(end.message(), "; the work was not put away: ", message));
  }
  return b.End(Execution::STATE_FAILED, reason, std::move(message));
}

// Too many workers were lost over it.
Transition GiveUpAfter(Builder b, int takeovers) {
  const auto& steps = b.data().steps();
  const bool unknown = std::any_of(steps.begin(), steps.end(), [&](const auto& step) {
    return IsWorking(step) && !MayRunAgain(b, step);
  });
  return GiveUp(
      std::move(b),
      unknown ? Execution::FAILURE_REASON_OUTCOME_UNKNOWN : Execution::FAILURE_REASON_LEASE_LOST,
      absl::StrCat("given up: ", takeovers, " workers in a row were lost while they held it"));
}

Transition GoOnAnew(Builder b) {
  std::optional<std::string> unknown;
  for (TaskState::Step& step : *b.data().mutable_steps()) {
    if (step.gate().working()) LoseGate(b, step);
    if (!IsWorking(step)) continue;
    Lose(b, step);
    if (b.data().has_ending()) {
      b.Finished(step, StepStatus::STATE_CANCELLED, Execution::FAILURE_REASON_UNSPECIFIED,
                 "stopped with the task");
    } else if (step.restarts()) {
      Reset(b, step);
    } else if (!MayRunAgain(b, step)) {
      b.Finished(step, StepStatus::STATE_FAILED, Execution::FAILURE_REASON_OUTCOME_UNKNOWN,
                 "its worker was lost while it ran, and it is not repeatable");
      unknown = step.name();
    } else {
      TryAgain(step, b.now());
    }
  }
  if (unknown.has_value()) {
    return Finish(
        std::move(b), Execution::STATE_FAILED, Execution::FAILURE_REASON_OUTCOME_UNKNOWN,
        absl::StrCat("step ", *unknown, ": it may have been carried out, and may not be repeated"));
  }
  return Advance(std::move(b));
}

// All that should be running, for a worker that may have forgotten to start it.
Transition Restart(const Task& task, absl::Time now) {
  Builder b(task, now);
  Transition out = Again(task);
  for (const TaskState::Step& step : task.data.steps()) {
    if (step.gate().working()) {
      if (step.gate().stops()) {
        out.stop_gates.push_back(step.name());
      } else {
        out.run.push_back(GateRunOf(b, step));
      }
    }
    if (!IsWorking(step)) continue;
    if (task.data.has_ending() || step.restarts()) {
      out.stop.push_back(step.name());
      continue;
    }
    out.run.push_back(RunOf(b, step));
  }
  return out;
}

Transition On(const Task& task, const Resumed& resumed, absl::Time now) {
  const bool lost = resumed.takeovers > task.data.takeovers_seen();
  Builder b(task, now);
  if (lost) {
    b.Event().mutable_lease_lost()->set_takeovers(resumed.takeovers);
    b.data().set_takeovers_seen(resumed.takeovers);
    if (resumed.alone && resumed.takeovers >= machine::kMaxTakeovers)
      return GiveUpAfter(std::move(b), resumed.takeovers);
  }
  const bool working = std::any_of(task.data.steps().begin(), task.data.steps().end(), IsAtWork);
  if (task.data.has_ending() && !working && AnyAwaitsChild(task.data)) {
    if (lost || task.state == Execution::STATE_RUNNING ||
        task.state == Execution::STATE_VALIDATING) {
      return WaitForChildren(std::move(b));
    }
    return Again(task);  // nothing has come: it is held until something does
  }
  if (task.data.has_ending() && !working) {
    Transition out = lost ? b.Done() : Again(task);
    out.put_away = true;
    return out;
  }
  switch (task.state) {
    case Execution::STATE_BLOCKED:
      if (std::optional<Transition> end = Expire(b)) return *std::move(end);
      return Reopen(std::move(b));
    case Execution::STATE_PENDING:
      return Begin(std::move(b));
    case Execution::STATE_VALIDATING: {
      Transition out = lost ? b.Done() : Again(task);
      out.decide = true;
      return out;
    }
    case Execution::STATE_VERIFYING: {
      Transition out = lost ? b.Done() : Again(task);
      out.put_away = true;
      return out;
    }
    default:
      break;
  }
  if (resumed.anew && (working || lost)) return GoOnAnew(std::move(b));
  if (working) return Restart(task, now);
  Transition out = Advance(std::move(b));
  // Nothing happened: only the effects are wanted.
  if (out.events.empty()) out.ignored = true;
  return out;
}

Transition On(const Task& task, const Unusable& unusable, absl::Time now) {
  return GiveUp(Builder(task, now), Execution::FAILURE_REASON_CONFIGURATION, unusable.message);
}

Transition On(const Task& task, const Decided& decided, absl::Time now) {
  if (task.state != Execution::STATE_VALIDATING || task.data.has_ending()) return Ignore();
  Builder b(task, now);
  if (!decided.transient_error.empty()) return Retry(std::move(b), decided.transient_error);
  b.data().set_decisions(b.data().decisions() + 1);
  b.out().store_decision = true;
  *b.Event().mutable_policy_evaluated()->mutable_decision() = decided.decision;
  if (!decided.decision.allow()) {
    const bool broken = !decided.decision.error().empty();
    std::string message = broken ? absl::StrCat("policy could not be evaluated, which denies: ",
                                                decided.decision.error())
                                 : "denied by policy";
    for (const v1::PolicyViolation& violation : decided.decision.violations())
      absl::StrAppend(&message, "; ", violation.id(), ": ", violation.message());
    return Finish(
        std::move(b), Execution::STATE_FAILED,
        broken ? Execution::FAILURE_REASON_POLICY_ERROR : Execution::FAILURE_REASON_POLICY_DENIED,
        std::move(message));
  }
  if (task.request.dry_run()) {
    return b.End(Execution::STATE_SUCCEEDED, Execution::FAILURE_REASON_UNSPECIFIED,
                 "dry run: allowed; nothing was run");
  }
  if (task.data.decisions() == 0) {
    for (const v1::CarriedStep& carried : task.request.task().carried()) {
      TaskState::Step& step = b.Step(carried.step());
      step.set_answer_artifact(carried.answer_artifact());
      step.set_text_artifact(carried.text_artifact());
      step.set_artifact_execution(carried.execution());
      b.Finished(step, carried.state(), Execution::FAILURE_REASON_UNSPECIFIED,
                 absl::StrCat("taken over from ", carried.execution()));
    }
  }
  b.To(Execution::STATE_RUNNING);
  b.out().guard_signals = true;
  Transition out = Advance(std::move(b));
  // Those of the workspace count on from one decision to the next.
  if (!out.prepare) out.data.set_transient_errors(0);
  return out;
}

Transition On(const Task& task, const Prepared& prepared, absl::Time now) {
  if (task.state != Execution::STATE_RUNNING || !task.data.workspace().path().empty())
    return Ignore();
  Builder b(task, now);
  if (prepared.error.empty()) {
    b.data().set_transient_errors(0);
    *b.data().mutable_workspace() = prepared.workspace;
    v1::WorkspaceReady& ready = *b.Event().mutable_workspace_ready();
    *ready.mutable_workspace() = prepared.workspace;
    ready.set_found(prepared.found);
    return Advance(std::move(b));
  }
  if (task.data.has_ending()) return Advance(std::move(b));
  if (prepared.transient) return Retry(std::move(b), prepared.error);
  return Finish(std::move(b), Execution::STATE_FAILED, Execution::FAILURE_REASON_CONFIGURATION,
                absl::StrCat("no workspace: ", prepared.error));
}

Transition On(const Task& task, const Triggered& triggered, absl::Time now) {
  if (task.state != Execution::STATE_RUNNING || task.data.created_triggers_ran()) return Ignore();
  return AfterTriggers(Builder(task, now), triggered);
}

// ---- an iteration ended

void TakeNote(Builder& b, TaskState::Step& step, const IterationEnded& ended) {
  step.set_reserved_microusd(0);
  if (CostOf(b.Definition(ended.step)).has_value()) NeedsNoMoreOfProject(b);
  AddTriggers(b, ended.triggers);
  b.Ended(step, ended);
  for (const auto& [artifact, digest] : {std::pair(ended.answer_artifact, ended.answer_digest),
                                         std::pair(ended.text_artifact, ended.text_digest)}) {
    if (artifact.empty()) continue;
    v1::ArtifactStored& stored = *b.Event().mutable_artifact_stored();
    stored.set_artifact(artifact);
    stored.set_digest(digest);
    stored.set_step(ended.step);
  }
  if (!ended.answer_artifact.empty()) step.set_answer_artifact(ended.answer_artifact);
  if (!ended.text_artifact.empty()) step.set_text_artifact(ended.text_artifact);
  if (!ended.answer_artifact.empty() || !ended.text_artifact.empty())
    step.clear_artifact_execution();
  if (!ended.answer.is_null()) b.steps()[ended.step]["output"] = ended.answer;
  if (!ended.text_artifact.empty()) b.steps()[ended.step]["artifact"] = ended.text;
  b.TakeWork(ended);
  b.out().store_result = true;
}

// The conversation to go on with, of the step or of the whole task.
void KeepSession(Builder& b, TaskState::Step& step, const IterationEnded& ended) {
  if (b.workflow().session() == v1::Workflow::SESSION_FRESH) return;
  if (b.Definition(step.name()).llm().fresh_session()) return;
  step.set_session(ended.session);
  step.set_session_artifact(ended.session_artifact);
  if (b.workflow().session() != v1::Workflow::SESSION_PER_TASK) return;
  b.data().set_session(ended.session);
  b.data().set_session_artifact(ended.session_artifact);
}

Transition Complete(Builder b, const IterationEnded& ended) {
  if (std::optional<Transition> end = Completed(b, ended.step, ended.message))
    return *std::move(end);
  return Advance(std::move(b));
}

// There is more to do.
Transition Iterate(Builder b, const IterationEnded& ended) {
  TaskState::Step& step = b.Step(ended.step);
  const bool same = !ended.digest.empty() && ended.digest == step.last_digest();
  step.set_same_digest(same ? step.same_digest() + 1 : 1);
  step.set_last_digest(ended.digest);
  if (same && step.same_digest() >= kMaxSameIterations) {
    return StepFailed(std::move(b), ended.step, Execution::FAILURE_REASON_ITERATION_LIMIT,
                      absl::StrCat("no progress: ", kMaxSameIterations,
                                   " iterations in a row gave the same answer and changed nothing"),
                      ended.feedback);
  }
  const int limit = workflow::MaxIterations(b.Definition(ended.step));
  if (step.iteration() >= limit) {
    return StepFailed(
        std::move(b), ended.step,
        ended.checks_block ? Execution::FAILURE_REASON_QUALITY_CHECK
                           : Execution::FAILURE_REASON_ITERATION_LIMIT,
        ended.checks_block
            ? absl::StrCat("its quality checks did not pass within ", limit, " iterations")
            : absl::StrCat("not complete after ", limit, " iterations"),
        ended.feedback);
  }
  step.set_iteration(step.iteration() + 1);
  step.set_feedback(ended.feedback);
  step.set_not_before(absl::ToUnixMicros(b.now()));
  return Advance(std::move(b));
}

Transition Failed(Builder b, const IterationEnded& ended) {
  TaskState::Step& step = b.Step(ended.step);
  if (ended.fatal) {
    b.Finished(step, StepStatus::STATE_FAILED, ended.reason, ended.message);
    return Finish(std::move(b), Execution::STATE_FAILED, ended.reason,
                  absl::StrCat("step ", ended.step, ": ", ended.message));
  }
  if (WantsMoreOfProject(b, step, ended)) {
    TryAgain(step, b.now());
    return Advance(std::move(b));
  }
  if (!ended.transient) {
    return StepFailed(std::move(b), ended.step, ended.reason, ended.message,
                      ended.feedback.empty() ? ended.message : ended.feedback);
  }
  step.set_transient_errors(step.transient_errors() + 1);
  if (step.transient_errors() > kMaxTransientErrors) {
    return StepFailed(
        std::move(b), ended.step, ended.reason,
        absl::StrCat("tried ", kMaxTransientErrors + 1, " times, the last time: ", ended.message),
        ended.feedback);
  }
  const absl::Duration wait = std::max(Backoff(step.transient_errors()), ended.retry_after);
  TryAgain(step, b.now() + wait);
  return Advance(std::move(b));
}

Transition On(const Task& task, const IterationEnded& ended, absl::Time now) {
  const auto found = std::find_if(task.data.steps().begin(), task.data.steps().end(),
                                  [&](const auto& step) { return step.name() == ended.step; });
  if (found != task.data.steps().end() && ended.iteration == 0 && found->gate().working() &&
      found->gate().number() == ended.attempt) {
    return GateEnded(Builder(task, now), ended);
  }
  if (found == task.data.steps().end() || !IsWorking(*found) || found->attempt() != ended.attempt ||
      found->iteration() != ended.iteration) {
    return Ignore();
  }
  Builder b(task, now);
  TaskState::Step& step = b.Step(ended.step);
  if (!ended.child.empty()) {
    if (!task.data.has_ending() && !step.restarts()) return Submit(std::move(b), ended);
    IterationEnded stopped = ended;
    stopped.child.clear();
    stopped.status = IterationFinished::STATUS_STOPPED;
    stopped.message = "stopped before it was submitted";
    return On(task, stopped, now);
  }
  TakeNote(b, step, ended);
  if (task.data.has_ending()) {
    const bool done = ended.status == IterationFinished::STATUS_COMPLETE;
    b.Finished(step, done ? StepStatus::STATE_SUCCEEDED : StepStatus::STATE_CANCELLED,
               Execution::FAILURE_REASON_UNSPECIFIED,
               done ? ended.message : "stopped with the task");
    return Advance(std::move(b));
  }
  if (step.restarts()) {
    Reset(b, step);
    return Advance(std::move(b));
  }
  if (ended.status != IterationFinished::STATUS_ERROR) {
    step.set_transient_errors(0);
    KeepSession(b, step, ended);
  }
  switch (ended.status) {
    case IterationFinished::STATUS_COMPLETE:
      if (!ended.checks_block) return Complete(std::move(b), ended);
      return Iterate(std::move(b), ended);
    case IterationFinished::STATUS_CONTINUE:
      return Iterate(std::move(b), ended);
    case IterationFinished::STATUS_BLOCKED:
      if (!b.Definition(ended.step).retry_from().empty()) {
        return StepFailed(std::move(b), ended.step, Execution::FAILURE_REASON_STEP_FAILED,
                          ended.message, ended.feedback);
      }
      AskQuestion(b, ended.step, ended.message);
      return Advance(std::move(b));
    case IterationFinished::STATUS_FAILED:
      return StepFailed(std::move(b), ended.step, ended.reason, ended.message,
                        ended.feedback.empty() ? ended.message : ended.feedback);
    default:
      return Failed(std::move(b), ended);
  }
}

// ---- the end

Transition On(const Task& task, const PutAway& put, absl::Time now) {
  const bool ending = task.data.has_ending();
  if (!ending && task.state != Execution::STATE_VERIFYING) return Ignore();
  if (std::any_of(task.data.steps().begin(), task.data.steps().end(), IsAtWork)) return Ignore();
  if (AnyAwaitsChild(task.data)) return Ignore();
  Builder b(task, now);
  AddTriggers(b, put.triggers);
  if (!put.commit.empty() || put.removed) {
    v1::WorkCommitted& committed = *b.Event().mutable_work_committed();
    committed.set_commit(put.commit);
    committed.set_workspace_removed(put.removed);
  }
  std::string message = task.data.ending().message();
  if (!put.error.empty()) {
    absl::StrAppend(&message, message.empty() ? "" : "; ", "the work was left in ",
                    task.data.workspace().path(), ": ", put.error);
  }
  if (!ending) {
    const bool lost = put.reason != Execution::FAILURE_REASON_UNSPECIFIED;
    return b.End(lost ? Execution::STATE_FAILED : Execution::STATE_SUCCEEDED, put.reason,
                 std::move(message));
  }
  return b.End(task.data.ending().state(), task.data.ending().reason(), std::move(message));
}

Transition On(const Task& task, const Tick&, absl::Time now) {
  if (task.state != Execution::STATE_RUNNING) return Ignore();
  Transition out = Advance(Builder(task, now));
  if (out.events.empty()) out.ignored = true;
  return out;
}

// ---- signals

// What a blocked task waits for has not come.
bool GoesOnWaiting(const TaskState& data) {
  if (data.has_ending()) return false;
  // The stop may have been lifted, and the budget raised, meanwhile: that is looked at.
  if (data.block_reason() == Execution::BLOCK_REASON_STOPPED ||
      data.block_reason() == Execution::BLOCK_REASON_BUDGET) {
    return false;
  }
  if (data.block_reason() == Execution::BLOCK_REASON_PAUSED) return data.paused();
  if (AnyChildHasEnded(data)) return false;
  if (data.block_reason() == Execution::BLOCK_REASON_CHILD) return AnyAwaitsChild(data);
  return Waiting(data).has_value();
}

Transition ParkAgain(Builder b) {
  const std::optional<std::string> name = Waiting(b.data());
  const bool paused = b.data().block_reason() == Execution::BLOCK_REASON_PAUSED;
  const absl::Time until = paused ? absl::InfiniteFuture()
                           : name.has_value()
                               ? absl::FromUnixMicros(b.Step(*name).approval().expires())
                               : std::min(Deadline(b.task(), b.data()), NextChildLook(b));
  b.out().guard_signals = true;
  b.out().park = std::clamp(until - b.now(), absl::ZeroDuration(), kLongestPark);
  return b.Done();
}

Transition On(const Task& task, const Signalled& signalled, absl::Time now) {
  const int seen = task.data.signals_seen();
  int last = seen;
  for (const auto& vote : signalled.votes) last = std::max(last, vote.number);
  for (const auto& cancel : signalled.cancels) last = std::max(last, cancel.number);
  for (const auto& pause : signalled.pauses) last = std::max(last, pause.number);
  for (const auto& ended : signalled.child_ends) last = std::max(last, ended.number);
  if (last == seen) return Ignore();
  Builder b(task, now);
  b.data().set_signals_seen(last);
  for (const Signalled::Pause& pause : signalled.pauses) {
    if (pause.number <= seen) continue;
    b.CausedBySignal(pause.number);
    v1::PauseRequested& event = *b.Event().mutable_pause_requested();
    event.set_caller(pause.caller);
    event.set_reason(pause.reason);
    event.set_resume(pause.resume);
    b.data().set_paused(!pause.resume);
  }
  for (const Signalled::ChildEnded& ended : signalled.child_ends) {
    if (ended.number <= seen) continue;
    b.CausedBySignal(ended.number);
    NoteChildEnd(b, ended.end);
  }
  const machine::Signalled::Vote* settles = nullptr;
  for (const machine::Signalled::Vote& vote : signalled.votes) {
    if (vote.number <= seen) continue;
    b.CausedBySignal(vote.number);
    if (CountVote(b, vote)) settles = &vote;
  }
  std::string message;
  for (const auto& cancel : signalled.cancels) {
    if (cancel.number <= seen) continue;
    b.CausedBySignal(cancel.number);
    v1::CancelRequested& event = *b.Event().mutable_cancel_requested();
    event.set_caller(cancel.caller);
    event.set_reason(cancel.reason);
    if (!message.empty()) continue;
    message = absl::StrCat("cancelled by ", cancel.caller);
    if (!cancel.reason.empty()) absl::StrAppend(&message, ": ", cancel.reason);
  }
  if (task.state == Execution::STATE_VERIFYING) {  // too late to change the end
    Transition out = b.Done();
    out.put_away = true;
    return out;
  }
  if (settles != nullptr && (!message.empty() || task.data.has_ending())) {
    Unsettle(b);
    settles = nullptr;
  }
  if (!message.empty()) {
    return Finish(std::move(b), Execution::STATE_CANCELLED, Execution::FAILURE_REASON_UNSPECIFIED,
                  std::move(message));
  }
  if (settles != nullptr) {
    const std::string words = absl::StrCat(settles->caller, ": ", settles->reason);
    std::optional<Transition> end = Settle(b, *Waiting(b.data()), settles->approve, words);
    if (end.has_value()) return *std::move(end);
  }
  if (task.state == Execution::STATE_BLOCKED && GoesOnWaiting(b.data()))
    return ParkAgain(std::move(b));
  return Advance(std::move(b));
}

}  // namespace

absl::Duration Backoff(int errors) {
  const int doublings = std::clamp(errors - 1, 0, 6);
  return std::min(absl::Minutes(2), absl::Seconds(2) * (1 << doublings));
}

Transition Next(const Task& task, const Input& input, absl::Time now) {
  if (machine::IsTerminal(task.state)) return Ignore();
  Transition out = std::visit([&](const auto& in) { return On(task, in, now); }, input);
  // Whoever takes it up next has another lease, which nobody has lost yet.
  if (out.park.has_value()) out.data.set_takeovers_seen(0);
  return out;
}

}  // namespace capstan::task
