#include "core/task/task_gates.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/ids.h"
#include "core/machine/approvals.h"
#include "core/machine/event_writer.h"
#include "core/task/task_budget.h"

namespace capstan::task {
namespace {

using machine::ToProto;
using v1::ApprovalSummary;
using v1::StepGate;
using Gate = TaskState::Gate;

constexpr char kScriptDecides[] = "script";

// The gate in force before a step: the workflow's, or the one that the profile adds.
std::optional<StepGate> FindGate(const Builder& b, const v1::WorkflowStep& step) {
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

StepGate GateOf(const Builder& b, const std::string& step) {
  return FindGate(b, b.Definition(step)).value_or(StepGate());
}

// Its step goes on before it is decided.
bool IsBeside(const StepGate& gate) { return gate.mode() == StepGate::MODE_REACTION; }

bool NobodyIsAsked(const Builder& b) {
  const v1::Profile profile = b.task().request.task().profile();
  return profile == v1::PROFILE_AUTO || profile == v1::PROFILE_FAST;
}

// A question that the step itself asks, not its gate.
bool IsQuestion(const TaskState::Step& step) {
  return step.state() == StepStatus::STATE_WAITING && step.question();
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
    case StepGate::ON_REJECT_RUN_SCRIPT:
      return "run_script";
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

// ---- what a decision means

// The gate lets its step run, or has nothing more to say about it.
void Pass(Builder& b, TaskState::Step& step, bool beside) {
  step.mutable_gate()->set_stage(Gate::STAGE_UNSPECIFIED);
  step.set_gate_passed(true);
  if (!beside && step.state() == StepStatus::STATE_WAITING)
    b.SetState(step, StepStatus::STATE_PENDING);
}

// What is beside a step does not begin before it, and does not take the money that it needs.
bool WaitsForItsStep(const TaskState::Step& step) {
  return step.gate_passed() && step.state() == StepStatus::STATE_PENDING;
}

// Beside a step that may run, or has ended: nothing of the step itself changes.
Transition RefusedBeside(Builder b, const std::string& name, Execution::FailureReason reason,
                         const std::string& words, bool goes_back) {
  if (goes_back && !b.data().has_ending()) {
    const std::string& to = b.Definition(name).retry_from();
    return GoBack(std::move(b), name, to, words, words);
  }
  return Finish(std::move(b), Execution::STATE_FAILED, reason,
                absl::StrCat("step ", name, ": ", words));
}

// A gate that was not passed. A transition: the task ends, or goes back.
std::optional<Transition> Refused(Builder& b, const std::string& name, const std::string& words,
                                  Execution::FailureReason reason) {
  TaskState::Step& step = b.Step(name);
  const StepGate gate = GateOf(b, name);
  const bool beside = IsBeside(gate);
  step.mutable_gate()->set_stage(Gate::STAGE_UNSPECIFIED);
  switch (gate.on_reject()) {
    case StepGate::ON_REJECT_CONTINUE:
      Pass(b, step, beside);
      return std::nullopt;
    case StepGate::ON_REJECT_SKIP_STEP:
      b.Finished(step, StepStatus::STATE_SKIPPED, Execution::FAILURE_REASON_UNSPECIFIED, words);
      return std::nullopt;
    case StepGate::ON_REJECT_RUN_SCRIPT:
      if (step.state() == StepStatus::STATE_WAITING && !beside)
        b.SetState(step, StepStatus::STATE_PENDING);
      step.mutable_gate()->set_stage(Gate::STAGE_SCRIPT);
      step.mutable_gate()->set_reason(words);
      step.mutable_gate()->set_not_before(0);
      return std::nullopt;
    case StepGate::ON_REJECT_RETRY:
      if (beside) return RefusedBeside(std::move(b), name, reason, words, /*goes_back=*/true);
      return StepFailed(std::move(b), name, reason, words, words);
    default:
      if (beside) return RefusedBeside(std::move(b), name, reason, words, /*goes_back=*/false);
      b.Finished(step, StepStatus::STATE_FAILED, reason, words);
      return Finish(std::move(b), Execution::STATE_FAILED, reason,
                    absl::StrCat("step ", name, ": ", words));
  }
}

// What decides it could not, or the script ended with an error: as if the step had failed.
Transition Broken(Builder b, const std::string& name, Execution::FailureReason reason,
                  const std::string& words) {
  b.Step(name).mutable_gate()->set_stage(Gate::STAGE_UNSPECIFIED);
  if (!IsBeside(GateOf(b, name))) return StepFailed(std::move(b), name, reason, words, words);
  const bool goes_back = !b.Definition(name).retry_from().empty();
  return RefusedBeside(std::move(b), name, reason, words, goes_back);
}

// ---- criteria

std::optional<Transition> LookAtCriteria(Builder& b, const std::string& name,
                                         const StepGate& gate) {
  TaskState::Step& step = b.Step(name);
  const bool passed = b.Holds(gate.criteria(), step);
  const std::string words = passed ? "its criteria hold" : "its criteria do not hold";
  Record(b, name, "auto", passed, gate.on_reject(), words);
  if (!passed) return Refused(b, name, words, Execution::FAILURE_REASON_PRECONDITION_FAILED);
  Pass(b, step, IsBeside(gate));
  return std::nullopt;
}

// ---- people

// Asks people: about a gate, or a question of the step itself.
void Ask(Builder& b, TaskState::Step& step, const StepGate& gate, const std::string& reason) {
  engine::v1::ActionState::Approval approval;
  approval.set_number(b.data().approvals() + 1);
  approval.set_plan_digest(DigestOf(b, step));
  const absl::Time until = b.now() + Or(ToDuration(gate.timeout()), kGateTimeout);
  approval.set_expires(absl::ToUnixMicros(until));
  approval.set_quorum(std::max(1, gate.quorum()));
  *approval.mutable_groups() = gate.groups();
  b.data().set_approvals(approval.number());
  const bool beside = IsBeside(gate);
  if (beside) {
    step.mutable_gate()->set_stage(Gate::STAGE_ASKED);
  } else {
    b.SetState(step, StepStatus::STATE_WAITING);
    step.set_asked(reason);
  }
  v1::ApprovalRequested& requested = *b.Event().mutable_approval_requested();
  requested.set_number(approval.number());
  requested.set_plan_digest(approval.plan_digest());
  requested.set_step(step.name());
  requested.set_question(IsQuestion(step));
  requested.set_beside(beside);
  v1::ApprovalRule& rule = *requested.mutable_rule();
  rule.set_quorum(approval.quorum());
  *rule.mutable_groups() = approval.groups();
  rule.set_reason(reason);
  *requested.mutable_expire_time() = ToProto(until);
  b.out().approvals.push_back(
      {approval.number(), ApprovalSummary::STATE_PENDING, until, approval.plan_digest()});
  *step.mutable_approval() = std::move(approval);
}

// ---- a model, or a script

// Begins the next judgement, or the script. A transition: the task ends.
std::optional<Transition> Start(Builder& b, const v1::WorkflowStep& definition) {
  TaskState::Step& step = b.Step(definition.name());
  Gate& gate = *step.mutable_gate();
  const v1::ModelJudgement judge = GateOf(b, step.name()).judge();
  const bool judges = gate.stage() == Gate::STAGE_JUDGE;
  gate.clear_reserved_month();
  if (judges) {
    const std::optional<std::int64_t> reserved = Reserve(b, judge.max_cost_microusd());
    if (!reserved.has_value()) return OutOfBudget(std::move(b), definition.name());
    Reservation taken = ReserveOfProject(b, *reserved);
    gate.set_reserved_microusd(taken.microusd);
    gate.set_reserved_month(std::move(taken.month));
    gate.set_reserved_less(taken.less);
  }
  gate.set_number(gate.number() + 1);
  gate.set_working(true);
  gate.set_not_before(0);
  v1::StepStarted& started = *b.Event().mutable_step_started();
  started.set_step(step.name());
  started.set_attempt(gate.number());
  if (judges) {
    started.set_model(judge.model().empty() ? b.workflow().model() : judge.model());
    started.set_engine(judge.engine());
  }
  b.out().run.push_back(GateRunOf(b, step));
  return std::nullopt;
}

// "model:fast"; where nothing names one, the one that was billed.
std::string JudgeName(const Builder& b, const v1::ModelJudgement& judge,
                      const IterationEnded& ended) {
  if (!judge.model().empty()) return absl::StrCat("model:", judge.model());
  if (!b.workflow().model().empty()) return absl::StrCat("model:", b.workflow().model());
  return ended.usage.empty() ? "model" : absl::StrCat("model:", ended.usage.front().model());
}

Transition Judged(Builder b, const IterationEnded& ended) {
  const StepGate gate = GateOf(b, ended.step);
  const bool passed = ended.status == IterationFinished::STATUS_COMPLETE;
  Record(b, ended.step, JudgeName(b, gate.judge(), ended), passed, gate.on_reject(), ended.message);
  if (passed) {
    Pass(b, b.Step(ended.step), IsBeside(gate));
    return Advance(std::move(b));
  }
  std::optional<Transition> end =
      Refused(b, ended.step, ended.message, Execution::FAILURE_REASON_PRECONDITION_FAILED);
  return end.has_value() ? *std::move(end) : Advance(std::move(b));
}

Transition ScriptEnded(Builder b, const IterationEnded& ended) {
  const bool passed = ended.status == IterationFinished::STATUS_COMPLETE;
  const StepGate gate = GateOf(b, ended.step);
  if (passed) {
    Record(b, ended.step, kScriptDecides, true, gate.on_reject(), "its script succeeded");
    Pass(b, b.Step(ended.step), IsBeside(gate));
    return Advance(std::move(b));
  }
  const std::string words =
      absl::StrCat("its gate was refused (", b.Step(ended.step).gate().reason(),
                   "), and so it stays after its ", "script: ", ended.message);
  Record(b, ended.step, kScriptDecides, false,
         b.Definition(ended.step).retry_from().empty() ? StepGate::ON_REJECT_FAIL
                                                       : StepGate::ON_REJECT_RETRY,
         words);
  return Broken(std::move(b), ended.step, ended.reason, words);
}

// The model could not be asked, and will not be.
Transition NotAsked(Builder b, const IterationEnded& ended, const std::string& words) {
  const StepGate gate = GateOf(b, ended.step);
  const bool passed = !gate.judge().fail_on_api_error();
  const std::string why = absl::StrCat("the model could not be asked: ", words);
  Record(b, ended.step, "model", passed, gate.on_reject(), why);
  if (passed) {
    Pass(b, b.Step(ended.step), IsBeside(gate));
    return Advance(std::move(b));
  }
  std::optional<Transition> end = Refused(b, ended.step, why, ended.reason);
  return end.has_value() ? *std::move(end) : Advance(std::move(b));
}

// It could not be done, this time.
Transition NotDone(Builder b, const IterationEnded& ended) {
  if (ended.fatal) {
    return Finish(std::move(b), Execution::STATE_FAILED, ended.reason,
                  absl::StrCat("step ", ended.step, ": its gate: ", ended.message));
  }
  Gate& gate = *b.Step(ended.step).mutable_gate();
  const bool again = ended.transient || ended.status == IterationFinished::STATUS_STOPPED;
  std::string words = ended.message;
  if (again) {
    gate.set_transient_errors(gate.transient_errors() + 1);
    if (gate.transient_errors() <= kMaxTransientErrors) {
      const absl::Duration wait = std::max(Backoff(gate.transient_errors()), ended.retry_after);
      gate.set_not_before(absl::ToUnixMicros(b.now() + wait));
      return Advance(std::move(b));
    }
    words = absl::StrCat("tried ", kMaxTransientErrors + 1, " times, the last time: ", words);
  }
  const bool judges = gate.stage() == Gate::STAGE_JUDGE;
  const bool provider = ended.reason == Execution::FAILURE_REASON_PROVIDER ||
                        ended.reason == Execution::FAILURE_REASON_INVALID_ANSWER;
  if (judges && WantsMoreOfProject(b, b.Step(ended.step), ended)) {
    gate.set_not_before(absl::ToUnixMicros(b.now()));
    return Advance(std::move(b));
  }
  if (judges && provider) return NotAsked(std::move(b), ended, words);
  return Broken(
      std::move(b), ended.step, ended.reason,
      absl::StrCat(judges ? "its gate could not be judged: " : "its gate's script: ", words));
}

}  // namespace

std::optional<Transition> LookAtGate(Builder& b, const v1::WorkflowStep& definition) {
  TaskState::Step& step = b.Step(definition.name());
  const std::optional<StepGate> gate = FindGate(b, definition);
  if (!gate.has_value() || step.gate_passed()) {
    step.set_gate_passed(true);
    return std::nullopt;
  }
  if (step.gate().stage() != Gate::STAGE_UNSPECIFIED) return std::nullopt;
  const bool asks_nobody = gate->kind() == StepGate::KIND_HUMAN && NobodyIsAsked(b);
  if (gate->kind() == StepGate::KIND_SKIP || asks_nobody) {
    Record(b, step.name(), asks_nobody ? "profile" : "skip", true, gate->on_reject(),
           asks_nobody ? "the task's profile asks nobody" : "the workflow passes it");
    step.set_gate_passed(true);
    return std::nullopt;
  }
  const bool beside = IsBeside(*gate);
  if (beside) step.set_gate_passed(true);
  step.mutable_gate()->set_transient_errors(0);
  switch (gate->kind()) {
    case StepGate::KIND_MODEL:
      step.mutable_gate()->set_stage(Gate::STAGE_JUDGE);
      return std::nullopt;
    case StepGate::KIND_HUMAN:
      if (beside) {
        step.mutable_gate()->set_stage(Gate::STAGE_ASK);
      } else if (!Waiting(b.data()).has_value()) {  // one at a time
        Ask(b, step, *gate, absl::StrCat("the gate before step ", step.name()));
      }
      return std::nullopt;
    default:
      if (!beside) return LookAtCriteria(b, definition.name(), *gate);
      step.mutable_gate()->set_stage(Gate::STAGE_CRITERIA);
      return std::nullopt;
  }
}

bool WantsJudgement(const Builder& b, const TaskState::Step& step) {
  const Gate& gate = step.gate();
  return gate.stage() == Gate::STAGE_JUDGE && !gate.working() && !WaitsForItsStep(step) &&
         absl::FromUnixMicros(gate.not_before()) <= b.now();
}

std::optional<Transition> WorkOnGate(Builder& b, const v1::WorkflowStep& definition) {
  TaskState::Step& step = b.Step(definition.name());
  const Gate& gate = step.gate();
  if (gate.working() || b.now() < absl::FromUnixMicros(gate.not_before())) return std::nullopt;
  if (WaitsForItsStep(step)) return std::nullopt;
  switch (gate.stage()) {
    case Gate::STAGE_CRITERIA:
      if (step.state() != StepStatus::STATE_SUCCEEDED) return std::nullopt;
      return LookAtCriteria(b, definition.name(), GateOf(b, definition.name()));
    case Gate::STAGE_ASK:
      if (!Waiting(b.data()).has_value()) {
        Ask(b, step, GateOf(b, step.name()),
            absl::StrCat("the gate beside step ", step.name(), ", which goes on meanwhile"));
      }
      return std::nullopt;
    case Gate::STAGE_JUDGE:
      if (MustWaitToPay(b)) return std::nullopt;
      [[fallthrough]];
    case Gate::STAGE_SCRIPT:
      if (b.data().workspace().path().empty()) {
        b.out().prepare = true;
        return std::nullopt;
      }
      b.out().triggers = MustRunTriggers(b);
      return b.out().triggers ? std::nullopt : Start(b, definition);
    default:
      return std::nullopt;
  }
}

Transition GateEnded(Builder b, const IterationEnded& ended) {
  TaskState::Step& step = b.Step(ended.step);
  Gate& gate = *step.mutable_gate();
  gate.set_reserved_microusd(0);
  gate.set_working(false);
  if (gate.stage() != Gate::STAGE_SCRIPT) NeedsNoMoreOfProject(b);
  b.Ended(step, ended);
  b.TakeWork(ended);
  if (gate.stops() || b.data().has_ending()) {
    gate.set_stops(false);
    return Advance(std::move(b));
  }
  const bool decides = ended.status == IterationFinished::STATUS_COMPLETE ||
                       ended.status == IterationFinished::STATUS_FAILED;
  if (!decides) return NotDone(std::move(b), ended);
  gate.set_transient_errors(0);
  return gate.stage() == Gate::STAGE_SCRIPT ? ScriptEnded(std::move(b), ended)
                                            : Judged(std::move(b), ended);
}

void LoseGate(Builder& b, TaskState::Step& step) {
  Gate& gate = *step.mutable_gate();
  b.Lost(step, gate.number(), 0, gate.reserved_microusd());
  gate.set_reserved_microusd(0);
  gate.set_working(false);
  gate.set_stops(false);
  gate.set_not_before(absl::ToUnixMicros(b.now()));
}

void DropGate(Builder& b, TaskState::Step& step, const std::string& why) {
  Gate& gate = *step.mutable_gate();
  if (gate.stage() == Gate::STAGE_ASKED && !step.approval().ended())
    b.EndApproval(step, ApprovalSummary::STATE_VOID, why);
  gate.set_stage(Gate::STAGE_UNSPECIFIED);
  gate.set_not_before(0);
  gate.clear_reason();
  if (!gate.working() || gate.stops()) return;
  if (!GateRunsAlready(b, step)) return TakeBackGate(b, step);
  gate.set_stops(true);
  b.out().stop_gates.push_back(step.name());
}

bool GateRunsAlready(const Builder& b, const TaskState::Step& step) {
  const auto& before = b.task().data.steps();
  return step.gate().working() && std::any_of(before.begin(), before.end(), [&](const auto& one) {
           return one.name() == step.name() && one.gate().working() &&
                  one.gate().number() == step.gate().number();
         });
}

void TakeBackGate(Builder& b, TaskState::Step& step) {
  step.mutable_gate()->set_working(false);
  step.mutable_gate()->set_reserved_microusd(0);
  std::erase_if(b.out().run,
                [&](const StepRun& run) { return run.step == step.name() && run.iteration == 0; });
}

StepRun GateRunOf(const Builder& b, const TaskState::Step& step) {
  const absl::Duration turn = ToDuration(b.Definition(step.name()).turn_timeout());
  return {step.name(), step.gate().number(), 0,
          std::clamp(Deadline(b.task(), b.data()) - b.now(), absl::ZeroDuration(),
                     Or(turn, kTurnTimeout)),
          step.gate().reserved_microusd()};
}

// ---- people, and what they answer

std::optional<std::string> Waiting(const TaskState& data) {
  for (const TaskState::Step& step : data.steps()) {
    if (step.state() == StepStatus::STATE_WAITING || step.gate().stage() == Gate::STAGE_ASKED)
      return step.name();
  }
  return std::nullopt;
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
      machine::WhyIgnored(approval, IsQuestion(step) ? "" : b.task().request.caller(), vote);
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
  if (IsQuestion(step)) {
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
  const StepGate gate = GateOf(b, name);
  Record(b, name, "human", passed, gate.on_reject(), words);
  if (!passed) {
    const Execution::FailureReason reason = step.approval().expires() <= absl::ToUnixMicros(b.now())
                                                ? Execution::FAILURE_REASON_APPROVAL_TIMEOUT
                                                : Execution::FAILURE_REASON_APPROVAL_REJECTED;
    return Refused(b, name, words, reason);
  }
  Pass(b, step, IsBeside(gate));
  return std::nullopt;
}

void Unsettle(Builder& b) {
  TaskState::Step& step = b.Step(*Waiting(b.data()));
  if (step.state() == StepStatus::STATE_WAITING) {
    b.SetState(step, step.question() ? StepStatus::STATE_RUNNING : StepStatus::STATE_PENDING);
  } else {
    step.mutable_gate()->set_stage(Gate::STAGE_UNSPECIFIED);
  }
}

void AskQuestion(Builder& b, const std::string& name, std::string question) {
  TaskState::Step& step = b.Step(name);
  step.set_question(true);
  step.set_asked(std::move(question));
  step.set_not_before(absl::ToUnixMicros(b.now()));  // nothing of it runs
}

void PutQuestion(Builder& b, const std::string& name) {
  TaskState::Step& step = b.Step(name);
  if (!Waiting(b.data()).has_value()) Ask(b, step, StepGate(), step.asked());
}

}  // namespace capstan::task
