// What follows from where the steps of a task stand: which begin, which are asked about, which run
// again, and when the task is at its end.
#include <algorithm>
#include <numeric>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/machine/approvals.h"
#include "core/machine/event_writer.h"
#include "core/task/task_budget.h"
#include "core/task/task_gates.h"
#include "core/workflow/loader.h"

namespace capstan::task {
namespace {

using machine::ToProto;
using v1::ApprovalSummary;

// While an emergency stop keeps steps from beginning beside others that run.
constexpr absl::Duration kStoppedLook = absl::Seconds(5);

bool IsDone(const TaskState::Step& step) {
  return step.state() == StepStatus::STATE_SUCCEEDED || step.state() == StepStatus::STATE_SKIPPED;
}

template <class Names>
bool AnyOf(const Names& names, const std::vector<std::string>& among) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return std::find(among.begin(), among.end(), name) != among.end();
  });
}

// Those that it depends on are done, and nothing of those that depend on it is still being stopped.
bool IsReady(Builder& b, const v1::WorkflowStep& definition) {
  if (!std::all_of(definition.depends_on().begin(), definition.depends_on().end(),
                   [&](const std::string& name) { return IsDone(b.Step(name)); })) {
    return false;
  }
  const std::vector<std::string> after = WithDependents(b.workflow(), definition.name());
  return std::none_of(after.begin(), after.end(), [&](const std::string& name) {
    const TaskState::Step& step = b.Step(name);
    return IsWorking(step) || AwaitsChild(step) || step.gate().stops();
  });
}

int RetryLimit(const Builder& b) {
  const int limit = workflow::MaxRetries(b.workflow());
  return b.task().request.task().profile() == v1::PROFILE_FAST ? std::min(limit, 2) : limit;
}

// ---- iterations

// An iteration of it is being worked on, and does not only begin with this transition.
bool RunsAlready(const Builder& b, const TaskState::Step& step) {
  const auto& before = b.task().data.steps();
  return IsWorking(step) && std::any_of(before.begin(), before.end(), [&](const auto& one) {
           return one.name() == step.name() && IsWorking(one) && one.attempt() == step.attempt() &&
                  one.iteration() == step.iteration();
         });
}

// Begins the next iteration, or the same one again. A transition: the task ends, or goes back.
std::optional<Transition> StartIteration(Builder& b, const std::string& name) {
  const v1::WorkflowStep& definition = b.Definition(name);
  TaskState::Step& step = b.Step(name);
  if (step.started() == 0) step.set_started(absl::ToUnixMicros(b.now()));
  if (b.now() >= EndOf(b, step)) {
    return StepFailed(std::move(b), name, Execution::FAILURE_REASON_TIMED_OUT, "its time is up",
                      step.feedback());
  }
  step.set_reserved_microusd(0);
  if (const std::optional<std::int64_t> cost = CostOf(definition)) {
    const std::optional<std::int64_t> reserved = Reserve(b, *cost);
    if (!reserved.has_value()) return OutOfBudget(std::move(b), name);
    const Reservation taken = ReserveOfProject(b, *reserved);
    step.set_reserved_microusd(taken.microusd);
    step.set_reserved_month(taken.month);
    step.set_reserved_less(taken.less);
  }
  step.set_not_before(0);
  b.SetState(step, StepStatus::STATE_RUNNING);
  b.Started(step);
  b.out().run.push_back(RunOf(b, step));
  return std::nullopt;
}

std::optional<Transition> StartStep(Builder& b, const v1::WorkflowStep& definition) {
  TaskState::Step& step = b.Step(definition.name());
  if (definition.has_gate_only()) {
    b.Finished(step, StepStatus::STATE_SUCCEEDED, Execution::FAILURE_REASON_UNSPECIFIED, "");
    return std::nullopt;
  }
  step.set_attempt(step.attempt() + 1);
  step.set_iteration(1);
  return StartIteration(b, step.name());
}

// ---- all of them

// True when something changed that may let others begin.
bool LookAtStep(Builder& b, const v1::WorkflowStep& definition, std::optional<Transition>& end) {
  TaskState::Step& step = b.Step(definition.name());
  const bool asks_models = CostOf(definition).has_value();
  if (step.state() == StepStatus::STATE_RUNNING && step.question()) {
    PutQuestion(b, step.name());
    return false;
  }
  if (step.state() == StepStatus::STATE_RUNNING && step.not_before() != 0) {
    const bool later =
        (asks_models && MustWaitToPay(b)) || b.now() < absl::FromUnixMicros(step.not_before());
    if (!later) end = StartIteration(b, step.name());
    return false;
  }
  if (step.state() != StepStatus::STATE_PENDING || !IsReady(b, definition)) return false;
  if (definition.has_condition() && !b.Holds(definition.condition(), step)) {
    DropGate(b, step, "its step is left out");
    b.Finished(step, StepStatus::STATE_SKIPPED, Execution::FAILURE_REASON_UNSPECIFIED,
               "its condition does not hold");
    return true;
  }
  const TaskState::Gate::Stage stage = step.gate().stage();
  if ((end = LookAtGate(b, definition))) return false;
  const bool changed = step.gate().stage() != stage;  // then there is something to be done about it
  if (step.state() != StepStatus::STATE_PENDING) return true;  // skipped, or asked about
  if (!step.gate_passed()) return changed;
  if (asks_models && MustWaitToPay(b)) return changed;
  if (NeedsWorkspace(b.workflow(), definition) && b.data().workspace().path().empty()) {
    b.out().prepare = true;
    return changed;
  }
  if (!definition.has_gate_only() && MustRunTriggers(b)) {
    b.out().triggers = true;
    return changed;
  }
  end = StartStep(b, definition);
  if (end.has_value()) return false;
  return IsDone(step) || step.gate().stage() != TaskState::Gate::STAGE_UNSPECIFIED;
}

// One pass over the steps; true when something changed that may let others begin.
bool Pass(Builder& b, std::optional<Transition>& end) {
  bool changed = false;
  for (const v1::WorkflowStep& definition : b.workflow().steps()) {
    const TaskState::Gate::Stage stage = b.Step(definition.name()).gate().stage();
    if ((end = WorkOnGate(b, definition))) return false;
    changed = changed || b.Step(definition.name()).gate().stage() != stage;
  }
  for (const v1::WorkflowStep& definition : b.workflow().steps()) {
    changed = LookAtStep(b, definition, end) || changed;
    if (end.has_value()) return false;
  }
  return changed;
}

bool IsBetweenIterations(const TaskState::Step& step) {
  return step.state() == StepStatus::STATE_RUNNING && step.not_before() != 0 && !step.question();
}

// What is worked on for a gate waits to be tried again.
bool GateWaits(const TaskState::Step& step) {
  const TaskState::Gate& gate = step.gate();
  return !gate.working() && gate.not_before() != 0 &&
         (gate.stage() == TaskState::Gate::STAGE_JUDGE ||
          gate.stage() == TaskState::Gate::STAGE_SCRIPT);
}

// When an iteration that waits can begin, or what decides a gate, after `above`.
absl::Time NextTry(const TaskState& data, absl::Time above) {
  absl::Time next = absl::InfiniteFuture();
  for (const TaskState::Step& step : data.steps()) {
    const absl::Time then = absl::FromUnixMicros(step.not_before());
    if (IsBetweenIterations(step) && then > above) next = std::min(next, then);
    const absl::Time gate = absl::FromUnixMicros(step.gate().not_before());
    if (GateWaits(step) && gate > above) next = std::min(next, gate);
  }
  return next;
}

// Only for want of budget does a step not begin.
bool WaitsForProject(Builder& b) {
  if (!ProjectIsSpent(b)) return false;
  const auto& steps = b.workflow().steps();
  return std::any_of(steps.begin(), steps.end(), [&](const v1::WorkflowStep& definition) {
    const TaskState::Step& step = b.Step(definition.name());
    if (WantsJudgement(b, step)) return true;
    if (!CostOf(definition).has_value()) return false;
    if (IsBetweenIterations(step)) return absl::FromUnixMicros(step.not_before()) <= b.now();
    return step.state() == StepStatus::STATE_PENDING && step.gate_passed() &&
           IsReady(b, definition);
  });
}

// When something is to be done although nothing has ended. What only waits for others to end, or
// for ResumeExecution, is not in the future.
std::optional<absl::Time> NextLook(Builder& b) {
  absl::Time look = std::min(NextTry(b.data(), b.now()), NextChildLook(b));
  if (WaitsForProject(b)) look = std::min(look, b.now() + kProjectLook);
  if (const auto waiting = Waiting(b.data()))
    look = std::min(look, absl::FromUnixMicros(b.Step(*waiting).approval().expires()));
  if (b.task().stopped.has_value()) look = std::min(look, b.now() + kStoppedLook);
  if (b.out().triggers) look = std::min(look, Deadline(b.task(), b.data()));
  if (look == absl::InfiniteFuture()) return std::nullopt;
  return look;
}

// Nothing can be done now.
Transition Wait(Builder b) {
  const absl::Time deadline = Deadline(b.task(), b.data());
  if (b.task().stopped.has_value()) {
    b.out().stopped = true;
    return b.Block(
        Execution::BLOCK_REASON_STOPPED,
        absl::StrCat("stopped by ", b.task().stopped->name, ": ", b.task().stopped->reason),
        deadline);
  }
  if (b.data().paused()) {
    return b.Block(Execution::BLOCK_REASON_PAUSED, "paused; ResumeExecution lets it go on",
                   absl::InfiniteFuture());
  }
  const std::optional<std::string> waiting = Waiting(b.data());
  if (!b.task().leaving && WaitsForProject(b)) {
    absl::Time next = std::min(NextTry(b.data(), b.now()), NextChildLook(b));
    if (waiting.has_value())
      next = std::min(next, absl::FromUnixMicros(b.Step(*waiting).approval().expires()));
    return BlockForProject(std::move(b), next);
  }
  const absl::Time next = b.task().leaving ? b.now() : NextTry(b.data(), absl::InfinitePast());
  if (next != absl::InfiniteFuture()) {
    const absl::Time until = std::min({next, deadline, NextChildLook(b)});
    v1::StateChanged& changed = b.To(Execution::STATE_PENDING);
    changed.set_message(b.task().leaving ? "its worker stops; another one goes on"
                                         : "a step is tried again later");
    *changed.mutable_retry_time() = ToProto(until);
    b.out().guard_signals = true;
    b.out().park = std::max(absl::ZeroDuration(), until - b.now());
    return b.Done();
  }
  if (!waiting.has_value()) return WaitForChildren(std::move(b));
  const TaskState::Step& step = b.Step(*waiting);
  const bool asks = step.state() == StepStatus::STATE_WAITING && step.question();
  return b.Block(asks ? Execution::BLOCK_REASON_USER_INPUT : Execution::BLOCK_REASON_APPROVAL,
                 absl::StrCat("step ", step.name(), " ", machine::WaitMessage(step.approval())),
                 absl::FromUnixMicros(step.approval().expires()));
}

}  // namespace

Transition OutOfBudget(Builder b, const std::string& step) {
  return Finish(std::move(b), Execution::STATE_FAILED, Execution::FAILURE_REASON_BUDGET_EXCEEDED,
                absl::StrCat("step ", step, " cannot go on: what the task may cost is spent"));
}

Transition Advance(Builder b) {
  if (b.data().has_ending()) {  // what still runs is being stopped
    EndChildrenWithTask(b);
    const bool working = std::any_of(b.data().steps().begin(), b.data().steps().end(), IsAtWork);
    if (!working && AnyAwaitsChild(b.data())) return WaitForChildren(std::move(b));
    if (!working) b.out().put_away = true;
    return b.Done();
  }
  if (b.state() == Execution::STATE_BLOCKED) return Reopen(std::move(b));
  if (b.state() != Execution::STATE_RUNNING) {
    b.out().decide = b.state() == Execution::STATE_VALIDATING;
    return b.Done();
  }
  if (b.now() >= Deadline(b.task(), b.data())) {
    return Finish(std::move(b), Execution::STATE_FAILED, Execution::FAILURE_REASON_TIMED_OUT,
                  "the task took too long");
  }
  if (std::optional<Transition> end = Expire(b)) return *std::move(end);
  if (std::optional<Transition> end = SettleChildren(b)) return *std::move(end);
  TimeOutChildren(b);
  if (!b.data().paused() && !b.task().stopped.has_value() && !b.task().leaving) {
    std::optional<Transition> end;
    while (Pass(b, end)) {
    }
    if (end.has_value()) return *std::move(end);
  }
  const auto& steps = b.data().steps();
  const bool done = std::all_of(steps.begin(), steps.end(), [](const TaskState::Step& step) {
    return IsDone(step) && step.gate().stage() == TaskState::Gate::STAGE_UNSPECIFIED;
  });
  if (done) {
    const bool triggers = workflow::HasTriggers(b.workflow(), v1::WorkflowTrigger::WHEN_COMPLETED);
    if (triggers && b.task().stopped.has_value()) return Wait(std::move(b));
    b.To(Execution::STATE_VERIFYING);
    b.out().triggers = triggers;
    b.out().put_away = true;
    return b.Done();
  }
  if (b.out().prepare) return b.Done();
  if (!b.out().triggers && std::none_of(steps.begin(), steps.end(), IsAtWork))
    return Wait(std::move(b));
  b.out().look_again = NextLook(b);
  return b.Done();
}

Transition Begin(Builder b) {
  if (b.data().began() == 0) b.data().set_began(absl::ToUnixMicros(b.now()));
  b.To(Execution::STATE_VALIDATING).set_attempt(b.data().decisions() + 1);
  b.out().decide = true;
  return b.Done();
}

Transition Reopen(Builder b) {
  TaskState& data = b.data();
  // Waiting for what it has submitted is its own time.
  const absl::Duration waited = data.block_reason() == Execution::BLOCK_REASON_CHILD
                                    ? absl::ZeroDuration()
                                    : b.now() - absl::FromUnixMicros(data.blocked_since());
  const std::int64_t micros = absl::ToInt64Microseconds(std::max(absl::ZeroDuration(), waited));
  data.set_waited(data.waited() + micros);
  for (TaskState::Step& step : *data.mutable_steps()) {
    if (step.started() != 0 && step.started() <= data.blocked_since())
      step.set_started(step.started() + micros);
  }
  data.clear_block_reason();
  b.To(Execution::STATE_PENDING);
  return Begin(std::move(b));
}

Transition StepFailed(Builder b, const std::string& name, Execution::FailureReason reason,
                      std::string message, std::string feedback) {
  TaskState::Step& step = b.Step(name);
  b.Finished(step, StepStatus::STATE_FAILED, reason, message);
  const std::string& to = b.Definition(name).retry_from();
  // What may have been done is not done again on a guess.
  const bool unknown = reason == Execution::FAILURE_REASON_OUTCOME_UNKNOWN;
  if (to.empty() || unknown || b.data().has_ending()) {
    return Finish(std::move(b), Execution::STATE_FAILED, reason,
                  absl::StrCat("step ", name, ": ", message));
  }
  return GoBack(std::move(b), name, to, std::move(message), std::move(feedback));
}

Transition GoBack(Builder b, const std::string& from, const std::string& to, std::string reason,
                  std::string feedback) {
  if (const int limit = RetryLimit(b); b.Step(to).retries() >= limit) {
    return Finish(std::move(b), Execution::STATE_FAILED, Execution::FAILURE_REASON_RETRY_LIMIT,
                  absl::StrCat("step ", from, ": the task went back to ", to, " ", limit,
                               limit == 1 ? " time" : " times", " already: ", reason));
  }
  const std::vector<std::string> again = WithDependents(b.workflow(), to);
  TaskState::Step& source = b.Step(from);
  source.set_sent_back(source.sent_back() + 1);
  TaskState::Step& target = b.Step(to);
  target.set_retries(target.retries() + 1);
  target.set_retry_from(from);
  target.set_retry_reason(reason);
  target.set_retry_feedback(feedback.empty() ? reason : feedback);
  v1::StepsReset& reset = *b.Event().mutable_steps_reset();
  reset.set_to_step(to);
  reset.set_from_step(from);
  reset.set_reason(std::move(reason));
  reset.set_retry(target.retries());
  for (const std::string& name : again) {
    TaskState::Step& step = b.Step(name);
    reset.add_steps(name);
    DropGate(b, step, absl::StrCat("the task goes back to ", to));
    if (RunsAlready(b, step)) {
      step.set_restarts(true);
      b.out().stop.push_back(name);
      continue;
    }
    if (AwaitsChild(step)) {
      step.set_restarts(true);
      CancelChild(b, step, absl::StrCat("the task goes back to ", to));
      continue;
    }
    std::erase_if(b.out().run,
                  [&](const StepRun& run) { return run.step == name && run.iteration != 0; });
    if (step.state() == StepStatus::STATE_WAITING && !step.approval().ended())
      b.EndApproval(step, ApprovalSummary::STATE_VOID, absl::StrCat("the task goes back to ", to));
    const v1::WorkflowStep& definition = b.Definition(name);
    const bool passed = step.gate_passed() && !AnyOf(definition.depends_on(), again) &&
                        definition.gate().mode() != v1::StepGate::MODE_REACTION;
    Reset(b, step);
    step.set_gate_passed(passed);  // nothing that it was about has changed
  }
  return Advance(std::move(b));
}

void Reset(Builder& b, TaskState::Step& step) {
  b.SetState(step, StepStatus::STATE_PENDING);
  step.set_iteration(0);
  step.set_started(0);
  step.set_not_before(0);
  step.set_transient_errors(0);
  step.set_reserved_microusd(0);
  step.set_same_digest(0);
  step.clear_last_digest();
  step.clear_session();  // a retry begins a new conversation
  step.clear_session_artifact();
  step.clear_feedback();
  step.set_question(false);
  step.clear_asked();
  step.set_gate_passed(false);
  step.set_restarts(false);
  step.clear_child();
  step.clear_child_end();
  step.clear_child_cancelled();
  step.clear_child_timed_out();
}

Transition Finish(Builder b, Execution::State state, Execution::FailureReason reason,
                  std::string message) {
  b.out().run.clear();
  b.out().prepare = b.out().triggers = false;
  if (b.data().has_ending()) return Advance(std::move(b));
  std::vector<std::string> working;
  for (TaskState::Step& step : *b.data().mutable_steps()) {
    if (GateRunsAlready(b, step)) {
      if (!step.gate().stops()) b.out().stop_gates.push_back(step.name());
      step.mutable_gate()->set_stops(true);
    } else if (step.gate().working()) {
      TakeBackGate(b, step);
    }
    if (RunsAlready(b, step)) {
      working.push_back(step.name());
    } else if (IsWorking(step)) {  // was about to begin in this very transition
      step.set_reserved_microusd(0);
      step.set_not_before(absl::ToUnixMicros(b.now()));
    }
  }
  const bool at_work = std::any_of(b.data().steps().begin(), b.data().steps().end(), IsAtWork);
  if (!at_work && b.data().workspace().path().empty() && !AnyAwaitsChild(b.data()))
    return b.End(state, reason, std::move(message));
  TaskState::Ending& ending = *b.data().mutable_ending();
  ending.set_state(state);
  ending.set_reason(reason);
  ending.set_message(message);
  v1::EndDecided& decided = *b.Event().mutable_end_decided();
  decided.set_state(state);
  decided.set_failure_reason(reason);
  decided.set_message(message);
  b.out().stop = working;
  for (TaskState::Step& step : *b.data().mutable_steps()) CancelChild(b, step, message);
  return Advance(std::move(b));
}

}  // namespace capstan::task
