// What follows from where the steps of a task stand: which begin, which are asked about, which run
// again, and when the task is at its end.
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/ids.h"
#include "core/machine/approvals.h"
#include "core/machine/event_writer.h"
#include "core/task/task_builder.h"
#include "core/workflow/loader.h"

namespace capstan::task {
namespace {

using machine::ToProto;
using v1::ApprovalSummary;
using v1::StepGate;

absl::Duration ToDuration(const google::protobuf::Duration& d) {
  return absl::Seconds(d.seconds()) + absl::Nanoseconds(d.nanos());
}

// While an emergency stop keeps steps from beginning beside others that run.
constexpr absl::Duration kStoppedLook = absl::Seconds(5);

absl::Duration Or(absl::Duration value, absl::Duration otherwise) {
  return value > absl::ZeroDuration() ? value : otherwise;
}

bool IsDone(const TaskState::Step& step) {
  return step.state() == StepStatus::STATE_SUCCEEDED || step.state() == StepStatus::STATE_SKIPPED;
}

// Those that it depends on are done, and none that depends on it is still being stopped.
template <class Names>
bool AnyOf(const Names& names, const std::vector<std::string>& among) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return std::find(among.begin(), among.end(), name) != among.end();
  });
}

bool IsReady(Builder& b, const v1::WorkflowStep& definition) {
  if (!std::all_of(definition.depends_on().begin(), definition.depends_on().end(),
                   [&](const std::string& name) { return IsDone(b.Step(name)); })) {
    return false;
  }
  const std::vector<std::string> after = WithDependents(b.workflow(), definition.name());
  return std::none_of(after.begin(), after.end(),
                      [&](const std::string& name) { return IsWorking(b.Step(name)); });
}

int RetryLimit(const Builder& b) {
  const int limit = workflow::MaxRetries(b.workflow());
  return b.task().request.task().profile() == v1::PROFILE_FAST ? std::min(limit, 2) : limit;
}

// ---- gates

// The gate in force before a step: the workflow's, or the one that the profile adds.
std::optional<StepGate> GateOf(const Builder& b, const v1::WorkflowStep& step) {
  if (step.has_gate()) return step.gate();
  if (b.task().request.task().profile() != v1::PROFILE_STRICT) return std::nullopt;
  const bool reads =
      std::any_of(step.depends_on().begin(), step.depends_on().end(),
                  [](const std::string& name) { return name == "spec" || name == "design"; });
  if (!reads) return std::nullopt;
  StepGate gate;
  gate.set_kind(StepGate::KIND_HUMAN);
  return gate;
}

bool NobodyIsAsked(const Builder& b) {
  const v1::Profile profile = b.task().request.task().profile();
  return profile == v1::PROFILE_AUTO || profile == v1::PROFILE_FAST;
}

const char* ActionName(bool passed, StepGate::OnReject action) {
  if (passed) return "continue";
  switch (action) {
    case StepGate::ON_REJECT_RETRY:
      return "retry";
    case StepGate::ON_REJECT_SKIP_STEP:
      return "skip_step";
    case StepGate::ON_REJECT_CONTINUE:
      return "continue";
    default:
      return "fail";
  }
}

void Record(Builder& b, const std::string& step, std::string decider, bool passed,
            StepGate::OnReject action, std::string message) {
  v1::GateDecided& decided = *b.Event().mutable_gate_decided();
  decided.set_step(step);
  decided.set_decider(std::move(decider));
  decided.set_passed(passed);
  decided.set_action(ActionName(passed, action));
  decided.set_message(std::move(message));
}

// What a person is asked to pass: the definition, the step, and everything that was done so far.
std::string DigestOf(const Builder& b, const TaskState::Step& step) {
  std::string text = absl::StrCat(b.task().request.task().workflow_digest(), "\n", step.name(),
                                  "\n", step.retries(), "\n", step.iteration(), "\n");
  for (const TaskState::Step& one : b.data().steps()) {
    absl::StrAppend(&text, one.name(), " ", one.attempt(), " ", one.iteration(), " ",
                    one.answer_artifact(), " ", one.text_artifact(), "\n");
  }
  return Sha256Hex(text);
}

// Asks people: about a gate, or a question of the step itself.
void Ask(Builder& b, TaskState::Step& step, const StepGate& gate, std::string reason) {
  engine::v1::ActionState::Approval approval;
  approval.set_number(b.data().approvals() + 1);
  approval.set_plan_digest(DigestOf(b, step));
  const absl::Time until = b.now() + Or(ToDuration(gate.timeout()), kGateTimeout);
  approval.set_expires(absl::ToUnixMicros(until));
  approval.set_quorum(std::max(1, gate.quorum()));
  *approval.mutable_groups() = gate.groups();
  b.data().set_approvals(approval.number());
  b.SetState(step, StepStatus::STATE_WAITING);
  step.set_asked(reason);
  v1::ApprovalRequested& requested = *b.Event().mutable_approval_requested();
  requested.set_number(approval.number());
  requested.set_plan_digest(approval.plan_digest());
  requested.set_step(step.name());
  requested.set_question(step.question());
  v1::ApprovalRule& rule = *requested.mutable_rule();
  rule.set_quorum(approval.quorum());
  *rule.mutable_groups() = approval.groups();
  rule.set_reason(std::move(reason));
  *requested.mutable_expire_time() = ToProto(until);
  b.out().approvals.push_back(
      {approval.number(), ApprovalSummary::STATE_PENDING, until, approval.plan_digest()});
  *step.mutable_approval() = std::move(approval);
}

// A gate that was not passed. A transition: the task ends, or goes back.
std::optional<Transition> Refused(Builder& b, const std::string& name, StepGate::OnReject action,
                                  const std::string& words, Execution::FailureReason reason) {
  TaskState::Step& step = b.Step(name);
  switch (action) {
    case StepGate::ON_REJECT_CONTINUE:
      step.set_gate_passed(true);
      b.SetState(step, StepStatus::STATE_PENDING);
      return std::nullopt;
    case StepGate::ON_REJECT_SKIP_STEP:
      b.Finished(step, StepStatus::STATE_SKIPPED, Execution::FAILURE_REASON_UNSPECIFIED, words);
      return std::nullopt;
    case StepGate::ON_REJECT_RETRY:
      return StepFailed(std::move(b), name, reason, words, words);
    default:
      b.Finished(step, StepStatus::STATE_FAILED, reason, words);
      return Finish(std::move(b), Execution::STATE_FAILED, reason,
                    absl::StrCat("step ", name, ": ", words));
  }
}

// Looks at the gate of a step whose turn has come. A transition: the task ends, or goes back.
std::optional<Transition> LookAtGate(Builder& b, const v1::WorkflowStep& definition) {
  TaskState::Step& step = b.Step(definition.name());
  const std::optional<StepGate> gate = GateOf(b, definition);
  if (!gate.has_value() || step.gate_passed()) {
    step.set_gate_passed(true);
    return std::nullopt;
  }
  if (gate->kind() == StepGate::KIND_AUTO) {
    const bool passed = b.Holds(gate->criteria(), step);
    const std::string words = passed ? "its criteria hold" : "its criteria do not hold";
    Record(b, step.name(), "auto", passed, gate->on_reject(), words);
    step.set_gate_passed(passed);
    if (passed) return std::nullopt;
    return Refused(b, step.name(), gate->on_reject(), words,
                   Execution::FAILURE_REASON_PRECONDITION_FAILED);
  }
  if (gate->kind() == StepGate::KIND_HUMAN && !NobodyIsAsked(b)) {
    if (Waiting(b.data()).has_value()) return std::nullopt;  // one at a time
    Ask(b, step, *gate, absl::StrCat("the gate before step ", step.name()));
    return std::nullopt;
  }
  const bool skip = gate->kind() == StepGate::KIND_SKIP;
  Record(b, step.name(), skip ? "skip" : "profile", true, gate->on_reject(),
         skip ? "the workflow passes it" : "the task's profile asks nobody");
  step.set_gate_passed(true);
  return std::nullopt;
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

// What of the budget is neither spent nor reserved.
std::int64_t BudgetLeft(const Builder& b) {
  std::int64_t left =
      b.task().request.task().max_cost_microusd() - b.data().usage().cost_microusd();
  for (const TaskState::Step& step : b.data().steps()) left -= step.reserved_microusd();
  return left;
}

// Nothing is left now, and there may be when what runs has ended.
bool BudgetIsReserved(const Builder& b) {
  const std::int64_t limit = b.task().request.task().max_cost_microusd();
  return limit > 0 && BudgetLeft(b) <= 0 && b.data().usage().cost_microusd() < limit;
}

// What may be spent on one more iteration, 0 meaning any amount; nullopt: nothing is left.
std::optional<std::int64_t> Reserve(const Builder& b, const v1::ModelStep& model) {
  if (b.task().request.task().max_cost_microusd() == 0) return 0;
  const std::int64_t left = BudgetLeft(b);
  if (left <= 0) return std::nullopt;
  return model.max_cost_microusd() > 0 ? std::min(left, model.max_cost_microusd()) : left;
}

// When a step's time is up.
absl::Time EndOf(const Builder& b, const TaskState::Step& step) {
  const absl::Duration timeout = ToDuration(b.Definition(step.name()).timeout());
  return std::min(absl::FromUnixMicros(step.started()) + Or(timeout, kStepTimeout),
                  Deadline(b.task(), b.data()));
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
  if (definition.has_llm()) {
    const std::optional<std::int64_t> reserved = Reserve(b, definition.llm());
    if (!reserved.has_value()) {
      return Finish(std::move(b), Execution::STATE_FAILED,
                    Execution::FAILURE_REASON_BUDGET_EXCEEDED,
                    absl::StrCat("step ", name, " cannot go on: what the task may cost is spent"));
    }
    step.set_reserved_microusd(*reserved);
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

// One pass over the steps; true when something changed that may let others begin.
bool Pass(Builder& b, std::optional<Transition>& end) {
  bool changed = false;
  for (const v1::WorkflowStep& definition : b.workflow().steps()) {
    TaskState::Step& step = b.Step(definition.name());
    if (step.state() == StepStatus::STATE_RUNNING && step.question()) {
      if (!Waiting(b.data()).has_value()) Ask(b, step, StepGate(), step.asked());
      continue;
    }
    if (step.state() == StepStatus::STATE_RUNNING && step.not_before() != 0) {
      if (definition.has_llm() && BudgetIsReserved(b)) continue;
      if (b.now() < absl::FromUnixMicros(step.not_before())) continue;
      if ((end = StartIteration(b, step.name()))) return false;
      continue;
    }
    if (step.state() != StepStatus::STATE_PENDING || !IsReady(b, definition)) continue;
    if (definition.has_condition() && !b.Holds(definition.condition(), step)) {
      b.Finished(step, StepStatus::STATE_SKIPPED, Execution::FAILURE_REASON_UNSPECIFIED,
                 "its condition does not hold");
      changed = true;
      continue;
    }
    if ((end = LookAtGate(b, definition))) return false;
    if (step.state() != StepStatus::STATE_PENDING) {  // skipped, or asked about
      changed = true;
      continue;
    }
    if (!step.gate_passed()) continue;
    if (!definition.has_gate_only() && b.data().workspace().path().empty()) {
      b.out().prepare = true;
      continue;
    }
    if (!definition.has_gate_only() && MustRunTriggers(b)) {
      b.out().triggers = true;
      continue;
    }
    if (definition.has_llm() && BudgetIsReserved(b)) continue;
    if ((end = StartStep(b, definition))) return false;
    changed = changed || IsDone(step);
  }
  return changed;
}

// When an iteration that waits can begin.
absl::Time NextTry(const TaskState& data) {
  absl::Time next = absl::InfiniteFuture();
  for (const TaskState::Step& step : data.steps()) {
    if (step.state() == StepStatus::STATE_RUNNING && step.not_before() != 0 && !step.question())
      next = std::min(next, absl::FromUnixMicros(step.not_before()));
  }
  return next;
}

// When something is to be done although nothing has ended. What only waits for others to end, or
// for ResumeExecution, is not in the future.
std::optional<absl::Time> NextLook(Builder& b) {
  absl::Time look = absl::InfiniteFuture();
  for (const TaskState::Step& step : b.data().steps()) {
    if (step.state() != StepStatus::STATE_RUNNING || step.question()) continue;
    const absl::Time next = absl::FromUnixMicros(step.not_before());
    if (next > b.now()) look = std::min(look, next);
  }
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
  if (const absl::Time next = NextTry(b.data()); next != absl::InfiniteFuture()) {
    const absl::Time until = std::min(next, deadline);
    v1::StateChanged& changed = b.To(Execution::STATE_PENDING);
    changed.set_message("a step is tried again later");
    *changed.mutable_retry_time() = ToProto(until);
    b.out().guard_signals = true;
    b.out().park = std::max(absl::ZeroDuration(), until - b.now());
    return b.Done();
  }
  const TaskState::Step& step = b.Step(*Waiting(b.data()));
  return b.Block(
      step.question() ? Execution::BLOCK_REASON_USER_INPUT : Execution::BLOCK_REASON_APPROVAL,
      absl::StrCat("step ", step.name(), " ", machine::WaitMessage(step.approval())),
      absl::FromUnixMicros(step.approval().expires()));
}

}  // namespace

Transition Advance(Builder b) {
  if (b.data().has_ending()) {  // what still runs is being stopped
    const bool working = std::any_of(b.data().steps().begin(), b.data().steps().end(), IsWorking);
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
  if (!b.data().paused() && !b.task().stopped.has_value()) {
    std::optional<Transition> end;
    while (Pass(b, end)) {
    }
    if (end.has_value()) return *std::move(end);
  }
  const auto& steps = b.data().steps();
  if (std::all_of(steps.begin(), steps.end(), IsDone)) {
    const bool triggers = HasTriggers(b, v1::WorkflowTrigger::WHEN_COMPLETED);
    if (triggers && b.task().stopped.has_value()) return Wait(std::move(b));
    b.To(Execution::STATE_VERIFYING);
    b.out().triggers = triggers;
    b.out().put_away = true;
    return b.Done();
  }
  if (b.out().prepare) return b.Done();
  if (!b.out().triggers && std::none_of(steps.begin(), steps.end(), IsWorking))
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
  const absl::Duration waited = b.now() - absl::FromUnixMicros(data.blocked_since());
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

std::optional<Transition> Expire(Builder& b) {
  const std::optional<std::string> name = Waiting(b.data());
  if (!name.has_value()) return std::nullopt;
  TaskState::Step& step = b.Step(*name);
  if (step.approval().ended() || absl::FromUnixMicros(step.approval().expires()) > b.now())
    return std::nullopt;
  b.out().guard_signals = true;  // a vote that came in time counts
  b.EndApproval(step, ApprovalSummary::STATE_EXPIRED, "nobody decided in time");
  return Settle(b, *name, false, "nobody decided in time");
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
    if (RunsAlready(b, step)) {
      step.set_restarts(true);
      b.out().stop.push_back(name);
      continue;
    }
    std::erase_if(b.out().run, [&](const StepRun& run) { return run.step == name; });
    if (step.state() == StepStatus::STATE_WAITING && !step.approval().ended())
      b.EndApproval(step, ApprovalSummary::STATE_VOID, absl::StrCat("the task goes back to ", to));
    const bool passed = step.gate_passed() && !AnyOf(b.Definition(name).depends_on(), again);
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
}

Transition Finish(Builder b, Execution::State state, Execution::FailureReason reason,
                  std::string message) {
  b.out().run.clear();
  b.out().prepare = b.out().triggers = false;
  if (b.data().has_ending()) return Advance(std::move(b));
  std::vector<std::string> working;
  for (TaskState::Step& step : *b.data().mutable_steps()) {
    if (RunsAlready(b, step)) {
      working.push_back(step.name());
    } else if (IsWorking(step)) {  // was about to begin in this very transition
      step.set_reserved_microusd(0);
      step.set_not_before(absl::ToUnixMicros(b.now()));
    }
  }
  if (working.empty() && b.data().workspace().path().empty())
    return b.End(state, reason, std::move(message));
  TaskState::Ending& ending = *b.data().mutable_ending();
  ending.set_state(state);
  ending.set_reason(reason);
  ending.set_message(message);
  v1::EndDecided& decided = *b.Event().mutable_end_decided();
  decided.set_state(state);
  decided.set_failure_reason(reason);
  decided.set_message(std::move(message));
  b.out().stop = working;
  b.out().put_away = working.empty();
  return b.Done();
}

bool CountVote(Builder& b, const machine::Signalled::Vote& vote) {
  const std::optional<std::string> name = Waiting(b.data());
  if (!name.has_value() || b.Step(*name).approval().ended()) {
    *b.Event().mutable_approval_decided() = machine::DecidedOf(0, vote, "no approval is open");
    return false;
  }
  TaskState::Step& step = b.Step(*name);
  auto& approval = *step.mutable_approval();
  // Who submitted a task may answer its questions, and does not pass its gates.
  std::string ignored =
      machine::WhyIgnored(approval, step.question() ? "" : b.task().request.caller(), vote);
  const bool counts = ignored.empty();
  *b.Event().mutable_approval_decided() =
      machine::DecidedOf(approval.number(), vote, std::move(ignored));
  if (!counts) return false;
  if (!vote.approve) {
    b.EndApproval(step, ApprovalSummary::STATE_REJECTED, vote.reason);
    return true;
  }
  approval.add_approvers(vote.caller);
  if (approval.approvers_size() < approval.quorum()) return false;
  approval.set_given(true);
  b.EndApproval(step, ApprovalSummary::STATE_APPROVED,
                absl::StrCat("approved by ", absl::StrJoin(approval.approvers(), ", ")));
  return true;
}

std::optional<Transition> Settle(Builder& b, const std::string& name, bool passed,
                                 const std::string& words) {
  TaskState::Step& step = b.Step(name);
  if (step.question()) {
    step.set_question(false);
    if (!passed) {
      return StepFailed(std::move(b), name, Execution::FAILURE_REASON_APPROVAL_REJECTED, words,
                        words);
    }
    step.set_feedback(words);
    step.set_iteration(step.iteration() + 1);
    step.set_started(absl::ToUnixMicros(b.now()));  // the wait is not its own time
    step.set_not_before(absl::ToUnixMicros(b.now()));
    b.SetState(step, StepStatus::STATE_RUNNING);
    return std::nullopt;
  }
  const StepGate gate = GateOf(b, b.Definition(name)).value_or(StepGate());
  Record(b, name, "human", passed, gate.on_reject(), words);
  if (!passed) {
    const Execution::FailureReason reason = step.approval().expires() <= absl::ToUnixMicros(b.now())
                                                ? Execution::FAILURE_REASON_APPROVAL_TIMEOUT
                                                : Execution::FAILURE_REASON_APPROVAL_REJECTED;
    return Refused(b, name, gate.on_reject(), words, reason);
  }
  step.set_gate_passed(true);
  b.SetState(step, StepStatus::STATE_PENDING);
  return std::nullopt;
}

void AskQuestion(Builder& b, const std::string& name, std::string question) {
  TaskState::Step& step = b.Step(name);
  step.set_question(true);
  step.set_asked(std::move(question));
  step.set_not_before(absl::ToUnixMicros(b.now()));  // nothing of it runs
}

StepRun RunOf(const Builder& b, const TaskState::Step& step) {
  const absl::Duration turn = ToDuration(b.Definition(step.name()).turn_timeout());
  return {step.name(), step.attempt(), step.iteration(),
          std::clamp(EndOf(b, step) - b.now(), absl::ZeroDuration(), Or(turn, kTurnTimeout)),
          step.reserved_microusd()};
}

}  // namespace capstan::task
