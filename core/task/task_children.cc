// Steps that have submitted an execution of their own: what they wait for, and what follows from
// how it ended. What a child's end says is noted first, when its signal is read; what follows from
// it happens when policy has let the task go on.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/ids.h"
#include "core/task/task_gates.h"
#include "core/workflow/loader.h"

namespace capstan::task {
namespace {

bool IsUnknown(const engine::v1::ChildEnd& end) {
  return end.failure_reason() == Execution::FAILURE_REASON_OUTCOME_UNKNOWN;
}

// "executions/… FAILED(POLICY_DENIED): no".
std::string Words(const engine::v1::ChildEnd& end) {
  std::string words = absl::StrCat(end.child(), " ", std::string(machine::StateName(end.state())));
  if (end.state() == Execution::STATE_FAILED) {
    absl::StrAppend(&words, "(", std::string(machine::FailureReasonName(end.failure_reason())),
                    ")");
  }
  if (!end.message().empty()) absl::StrAppend(&words, ": ", end.message());
  return words;
}

nlohmann::json AnswerOf(const engine::v1::ChildEnd& end) {
  return {{"execution", end.child()},
          {"state", std::string(machine::StateName(end.state()))},
          {"failure_reason", end.state() == Execution::STATE_FAILED
                                 ? std::string(machine::FailureReasonName(end.failure_reason()))
                                 : ""},
          {"effect", Execution::Effect_Name(end.effect()).substr(sizeof("EFFECT_") - 1)},
          {"message", end.message()}};
}

// The step waits for nothing any more.
engine::v1::ChildEnd Take(TaskState::Step& step) {
  engine::v1::ChildEnd end = step.child_end();
  step.clear_child();
  step.clear_child_end();
  step.clear_child_cancelled();
  step.clear_child_timed_out();
  return end;
}

// How a step ends whose task ends for another reason.
void EndWithTask(Builder& b, TaskState::Step& step) {
  const engine::v1::ChildEnd end = Take(step);
  step.set_restarts(false);
  if (end.state() == Execution::STATE_SUCCEEDED) {
    b.Finished(step, StepStatus::STATE_SUCCEEDED, Execution::FAILURE_REASON_UNSPECIFIED,
               Words(end));
  } else if (end.state() == Execution::STATE_CANCELLED) {
    b.Finished(step, StepStatus::STATE_CANCELLED, Execution::FAILURE_REASON_UNSPECIFIED,
               "stopped with the task");
  } else {
    b.Finished(step, StepStatus::STATE_FAILED,
               IsUnknown(end) ? Execution::FAILURE_REASON_OUTCOME_UNKNOWN
                              : Execution::FAILURE_REASON_STEP_FAILED,
               Words(end));
  }
  if (!IsUnknown(end) || !b.data().has_ending()) return;
  TaskState::Ending& ending = *b.data().mutable_ending();
  ending.set_message(absl::StrCat(ending.message(), "; step ", step.name(),
                                  ": what it did is not known: ", Words(end)));
}

// Nobody needs to answer any more.
void VoidApproval(Builder& b) {
  const std::optional<std::string> waiting = Waiting(b.data());
  if (!waiting.has_value()) return;
  TaskState::Step& step = b.Step(*waiting);
  if (step.gate().stage() == TaskState::Gate::STAGE_ASKED)
    return DropGate(b, step, "the task ends for another reason");
  if (!step.approval().ended()) {
    b.EndApproval(step, v1::ApprovalSummary::STATE_VOID, "the task ends for another reason");
  }
  b.SetState(step, step.question() ? StepStatus::STATE_RUNNING : StepStatus::STATE_PENDING);
}

}  // namespace

bool AwaitsChild(const TaskState::Step& step) {
  return !step.child().empty() && !step.has_child_end();
}

bool AnyAwaitsChild(const TaskState& data) {
  return std::any_of(data.steps().begin(), data.steps().end(), AwaitsChild);
}

bool AnyChildHasEnded(const TaskState& data) {
  return std::any_of(data.steps().begin(), data.steps().end(),
                     [](const auto& step) { return step.has_child_end(); });
}

Transition Submit(Builder b, const IterationEnded& ended) {
  TaskState::Step& step = b.Step(ended.step);
  step.set_child(ended.child);
  step.set_transient_errors(0);
  AddTriggers(b, ended.triggers);
  v1::ChildSubmitted& submitted = *b.Event().mutable_child_submitted();
  submitted.set_step(ended.step);
  submitted.set_attempt(ended.attempt);
  submitted.set_child(ended.child);
  submitted.set_action(b.Definition(ended.step).action().action());
  b.out().store_child = true;
  b.out().guard_signals = true;
  return Advance(std::move(b));
}

void CancelChild(Builder& b, TaskState::Step& step, std::string reason) {
  if (!AwaitsChild(step) || step.child_cancelled()) return;
  step.set_child_cancelled(true);
  v1::ChildCancelled& cancelled = *b.Event().mutable_child_cancelled();
  cancelled.set_step(step.name());
  cancelled.set_child(step.child());
  cancelled.set_reason(reason);
  b.out().cancel_children.push_back({step.child(), std::move(reason)});
}

void NoteChildEnd(Builder& b, const engine::v1::ChildEnd& end) {
  auto& steps = *b.data().mutable_steps();
  const auto found = std::find_if(steps.begin(), steps.end(), [&](const auto& step) {
    return AwaitsChild(step) && step.child() == end.child();
  });
  v1::IterationFinished& finished = *b.Event().mutable_iteration_finished();
  finished.set_message(Words(end));
  finished.set_status(end.state() == Execution::STATE_SUCCEEDED ? IterationFinished::STATUS_COMPLETE
                      : end.state() == Execution::STATE_FAILED  ? IterationFinished::STATUS_FAILED
                                                               : IterationFinished::STATUS_STOPPED);
  if (found == steps.end()) return;  // nobody waits for it; it is on record
  TaskState::Step& step = *found;
  finished.set_step(step.name());
  finished.set_attempt(step.attempt());
  finished.set_iteration(step.iteration());
  *step.mutable_child_end() = end;

  StepAnswer answer{.step = step.name(), .answer = AnswerOf(end)};
  answer.artifact =
      absl::StrCat(step.name(), "/", step.attempt(), ".", step.iteration(), "/answer");
  answer.body = answer.answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  v1::ArtifactStored& stored = *b.Event().mutable_artifact_stored();
  stored.set_artifact(answer.artifact);
  stored.set_digest(Sha256Hex(answer.body));
  stored.set_step(step.name());
  step.set_answer_artifact(answer.artifact);
  step.clear_text_artifact();
  step.clear_artifact_execution();
  b.steps()[step.name()]["output"] = answer.answer;
  b.out().answers.push_back(std::move(answer));
}

void EndChildrenWithTask(Builder& b) {
  for (TaskState::Step& step : *b.data().mutable_steps()) {
    if (step.has_child_end()) EndWithTask(b, step);
  }
}

std::optional<Transition> Completed(Builder& b, const std::string& name,
                                    const std::string& message) {
  TaskState::Step& step = b.Step(name);
  b.Finished(step, StepStatus::STATE_SUCCEEDED, Execution::FAILURE_REASON_UNSPECIFIED, message);
  const v1::WorkflowStep& definition = b.Definition(name);
  if (!definition.has_loop() || !b.Holds(definition.loop().condition(), step)) return std::nullopt;
  const int limit = workflow::MaxLoops(definition.loop());
  if (step.loops() >= limit) {
    return Finish(std::move(b), Execution::STATE_FAILED, Execution::FAILURE_REASON_RETRY_LIMIT,
                  absl::StrCat("step ", name, ": its loop to ", definition.loop().to_step(),
                               " was gone through ", limit, " times"));
  }
  step.set_loops(step.loops() + 1);
  const std::string reason = absl::StrCat("loop ", step.loops(), " of ", limit);
  return GoBack(std::move(b), name, definition.loop().to_step(), reason, message);
}

std::optional<Transition> SettleChildren(Builder& b) {
  // First what must not be done again, whatever else sends the task back.
  for (TaskState::Step& step : *b.data().mutable_steps()) {
    if (!step.has_child_end() || !IsUnknown(step.child_end())) continue;
    const std::string name = step.name(), words = Words(Take(step));
    step.set_restarts(false);
    b.Finished(step, StepStatus::STATE_FAILED, Execution::FAILURE_REASON_OUTCOME_UNKNOWN, words);
    return Finish(std::move(b), Execution::STATE_FAILED, Execution::FAILURE_REASON_OUTCOME_UNKNOWN,
                  absl::StrCat("step ", name, ": ", words));
  }
  for (TaskState::Step& step : *b.data().mutable_steps()) {
    if (!step.has_child_end()) continue;
    const std::string name = step.name();
    const bool timed_out = step.child_timed_out();
    const engine::v1::ChildEnd end = Take(step);
    if (step.restarts()) {
      Reset(b, step);
    } else if (end.state() == Execution::STATE_SUCCEEDED) {
      if (std::optional<Transition> out = Completed(b, name, Words(end))) return out;
    } else if (timed_out) {
      return StepFailed(std::move(b), name, Execution::FAILURE_REASON_TIMED_OUT,
                        absl::StrCat("its time is up: ", Words(end)), Words(end));
    } else {
      return StepFailed(std::move(b), name, Execution::FAILURE_REASON_STEP_FAILED, Words(end),
                        Words(end));
    }
  }
  return std::nullopt;
}

void TimeOutChildren(Builder& b) {
  for (TaskState::Step& step : *b.data().mutable_steps()) {
    if (!AwaitsChild(step) || step.child_cancelled() || b.now() < EndOf(b, step)) continue;
    step.set_child_timed_out(true);
    CancelChild(b, step, "the step's time is up");
  }
}

absl::Time NextChildLook(const Builder& b) {
  absl::Time next = absl::InfiniteFuture();
  for (const TaskState::Step& step : b.data().steps()) {
    if (AwaitsChild(step) && !step.child_cancelled()) next = std::min(next, EndOf(b, step));
  }
  return next;
}

Transition WaitForChildren(Builder b) {
  std::string message = "waits for";
  for (const TaskState::Step& step : b.data().steps()) {
    if (!AwaitsChild(step)) continue;
    absl::StrAppend(&message, message.back() == 'r' ? " " : ", ", step.child(), " of step ",
                    step.name());
  }
  const bool ending = b.data().has_ending();
  if (ending) VoidApproval(b);
  const bool blocked_otherwise = b.state() == Execution::STATE_BLOCKED &&
                                 b.data().block_reason() != Execution::BLOCK_REASON_CHILD;
  if (b.state() == Execution::STATE_RUNNING || b.state() == Execution::STATE_VALIDATING ||
      blocked_otherwise) {
    const absl::Time deadline = Deadline(b.task(), b.data());
    return b.Block(Execution::BLOCK_REASON_CHILD, std::move(message),
                   ending ? absl::InfiniteFuture() : std::min(deadline, NextChildLook(b)));
  }
  b.out().guard_signals = true;
  b.out().park = kLongestPark;
  return b.Done();
}

}  // namespace capstan::task
