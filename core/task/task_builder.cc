#include "core/task/task_builder.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/machine/event_writer.h"
#include "core/status_macros.h"
#include "core/task/step_values.h"
#include "core/task/task_budget.h"
#include "core/workflow/condition.h"

namespace capstan::task {

using machine::ToProto;
using v1::ApprovalSummary;

namespace {

bool IsMost(std::int64_t spent, std::int64_t limit) {
  return static_cast<double>(spent) >= kBudgetWarning * static_cast<double>(limit);
}

}  // namespace

Builder::Builder(const Task& task, absl::Time now)
    : task_(task), now_(now), cause_(absl::StrCat("event/", task.seq)), steps_(task.steps) {
  out_.ignored = false;
  out_.state = task.state;
  out_.data = task.data;
  for (const v1::WorkflowStep& step : workflow().steps()) {
    const bool known = std::any_of(out_.data.steps().begin(), out_.data.steps().end(),
                                   [&](const auto& one) { return one.name() == step.name(); });
    if (known) continue;
    TaskState::Step& added = *out_.data.add_steps();
    added.set_name(step.name());
    added.set_state(StepStatus::STATE_PENDING);
  }
  WarnOfProject();
}

TaskState::Step& Builder::Step(const std::string& name) {
  for (TaskState::Step& step : *out_.data.mutable_steps()) {
    if (step.name() == name) return step;
  }
  CAPSTAN_CHECK(false);
  return *out_.data.mutable_steps(0);
}

const v1::WorkflowStep& Builder::Definition(const std::string& name) const {
  const auto found = std::find_if(workflow().steps().begin(), workflow().steps().end(),
                                  [&](const auto& step) { return step.name() == name; });
  CAPSTAN_CHECK(found != workflow().steps().end());
  return *found;
}

v1::ExecutionEvent& Builder::Event() {
  return machine::AddEvent(task_.correlation_id, task_.seq, cause_, out_.events);
}

void Builder::CausedBySignal(int number) { cause_ = absl::StrCat("signal/", number); }

v1::StateChanged& Builder::To(Execution::State to) {
  v1::StateChanged& changed = *Event().mutable_state_changed();
  changed.set_from(out_.state);
  changed.set_to(to);
  out_.state = to;
  return changed;
}

void Builder::Started(const TaskState::Step& step) {
  const v1::WorkflowStep& definition = Definition(step.name());
  v1::StepStarted& started = *Event().mutable_step_started();
  started.set_step(step.name());
  started.set_attempt(step.attempt());
  started.set_iteration(step.iteration());
  if (!definition.has_llm()) return;
  started.set_model(definition.llm().model().empty() ? workflow().model()
                                                     : definition.llm().model());
  started.set_engine(definition.llm().engine());
}

bool Builder::Holds(const v1::StepCondition& condition, const TaskState::Step& step) const {
  return workflow::Holds(condition, ValuesFor(task_, out_.data, steps_, step));
}

void Builder::SetState(TaskState::Step& step, StepStatus::State state) {
  step.set_state(state);
  steps_[step.name()]["state"] = StepStateName(state);
}

void Builder::Finished(TaskState::Step& step, StepStatus::State state,
                       Execution::FailureReason reason, std::string message) {
  SetState(step, state);
  if (state != StepStatus::STATE_SKIPPED) step.set_rounds(step.rounds() + 1);
  step.set_not_before(0);
  step.set_feedback("");
  v1::StepFinished& finished = *Event().mutable_step_finished();
  finished.set_step(step.name());
  finished.set_state(state);
  finished.set_failure_reason(reason);
  finished.set_message(std::move(message));
}

void Builder::EndApproval(TaskState::Step& step, ApprovalSummary::State state,
                          std::string message) {
  auto& approval = *step.mutable_approval();
  v1::ApprovalEnded& ended = *Event().mutable_approval_ended();
  ended.set_number(approval.number());
  ended.set_state(state);
  ended.set_message(std::move(message));
  approval.set_ended(true);
  // One that was asked for in this very transition is stored once, as it stands at the end.
  std::erase_if(out_.approvals,
                [&](const auto& asked) { return asked.number == approval.number(); });
  out_.approvals.push_back(
      {approval.number(), state, absl::FromUnixMicros(approval.expires()), approval.plan_digest()});
}

void Builder::Ended(TaskState::Step& step, const IterationEnded& ended) {
  v1::IterationFinished& finished = *Event().mutable_iteration_finished();
  finished.set_step(ended.step);
  finished.set_attempt(ended.attempt);
  finished.set_iteration(ended.iteration);
  finished.set_status(ended.status);
  finished.set_message(ended.message);
  finished.set_error(ended.error);
  for (const v1::CheckResult& check : ended.checks) *finished.add_checks() = check;
  for (const std::string& warning : ended.warnings) finished.add_warnings(warning);
  const std::int64_t micros = absl::ToInt64Microseconds(ended.took);
  finished.mutable_duration()->set_seconds(micros / 1000000);
  finished.mutable_duration()->set_nanos(static_cast<std::int32_t>(micros % 1000000 * 1000));
  for (const v1::UsageRecorded& usage : ended.usage) Bill(step, usage);
}

void Builder::TakeWork(const IterationEnded& ended) {
  if (ended.kept.has_value()) data().set_kept_work(*ended.kept);
  if (!ended.commit.empty()) data().clear_kept_work();
  if (ended.commit.empty() || ended.commit == data().workspace().head_commit()) return;
  data().mutable_workspace()->set_head_commit(ended.commit);
  v1::WorkCommitted& committed = *Event().mutable_work_committed();
  committed.set_commit(ended.commit);
  committed.set_step(ended.step);
}

void Builder::Lost(TaskState::Step& step, int attempt, int iteration,
                   std::int64_t reserved_microusd) {
  if (reserved_microusd > 0) {
    v1::UsageRecorded usage;
    usage.set_step(step.name());
    usage.set_attempt(attempt);
    usage.set_iteration(iteration);
    usage.set_cost_microusd(reserved_microusd);
    usage.set_is_upper_bound(true);
    Bill(step, usage);
  }
  v1::IterationFinished& finished = *Event().mutable_iteration_finished();
  finished.set_step(step.name());
  finished.set_attempt(attempt);
  finished.set_iteration(iteration);
  finished.set_status(IterationFinished::STATUS_STOPPED);
  finished.set_message("its worker stopped or was lost");
}

void Builder::Bill(TaskState::Step& step, const v1::UsageRecorded& usage) {
  *Event().mutable_usage_recorded() = usage;
  v1::UsageTotals& totals = *out_.data.mutable_usage();
  totals.set_input_tokens(totals.input_tokens() + usage.effective_input_tokens());
  totals.set_output_tokens(totals.output_tokens() + usage.output_tokens());
  totals.set_cost_microusd(totals.cost_microusd() + usage.cost_microusd());
  totals.set_is_upper_bound(totals.is_upper_bound() || usage.is_upper_bound());
  WarnOfProject();
  const std::int64_t limit = task_.request.task().max_cost_microusd();
  if (limit == 0 || out_.data.budget_warned()) return;
  if (!IsMost(totals.cost_microusd(), limit)) return;
  out_.data.set_budget_warned(true);
  v1::BudgetWarning& warning = *Event().mutable_budget_warning();
  warning.set_spent_microusd(totals.cost_microusd());
  warning.set_max_cost_microusd(limit);
}

void Builder::WarnOfProject() {
  if (!task_.project.has_value() || task_.project->limit == 0) return;
  const ProjectStanding& standing = *task_.project;
  if (out_.data.project().warned_month() == standing.month) return;
  const std::int64_t spent = standing.spent + BilledIn(standing.month, task_, out_.events);
  if (!IsMost(spent, standing.limit)) return;
  out_.data.mutable_project()->set_warned_month(standing.month);
  v1::BudgetWarning& warning = *Event().mutable_budget_warning();
  warning.set_project(task_.request.task().project());
  warning.set_spent_microusd(spent);
  warning.set_max_cost_microusd(standing.limit);
}

Transition Builder::Block(Execution::BlockReason reason, std::string message, absl::Time until) {
  v1::StateChanged& changed = To(Execution::STATE_BLOCKED);
  changed.set_block_reason(reason);
  changed.set_message(std::move(message));
  if (until != absl::InfiniteFuture()) *changed.mutable_blocked_until() = ToProto(until);
  out_.data.set_block_reason(reason);
  out_.data.set_blocked_since(absl::ToUnixMicros(now_));
  out_.guard_signals = true;
  out_.park = std::clamp(until - now_, absl::ZeroDuration(), kLongestPark);
  return Done();
}

Transition Builder::End(Execution::State state, Execution::FailureReason reason,
                        std::string message) {
  EndChildrenWithTask(*this);
  bool began = false;
  for (TaskState::Step& step : *out_.data.mutable_steps()) {
    began = began || step.attempt() > 0;
    const bool asked = step.state() == StepStatus::STATE_WAITING ||
                       step.gate().stage() == TaskState::Gate::STAGE_ASKED;
    if (asked && !step.approval().ended())
      EndApproval(step, ApprovalSummary::STATE_VOID, "the task ended for another reason");
    CancelChild(*this, step, "its task has ended");  // nobody can wait for it
    if (step.state() == StepStatus::STATE_RUNNING || step.state() == StepStatus::STATE_WAITING) {
      Finished(step, StepStatus::STATE_CANCELLED, Execution::FAILURE_REASON_UNSPECIFIED,
               "stopped with the task");
    }
  }
  v1::StateChanged& changed = To(state);
  changed.set_failure_reason(reason);
  changed.set_message(std::move(message));
  v1::Outcome& outcome = *changed.mutable_outcome();
  outcome.set_exit_code(-1);
  outcome.set_dry_run(task_.request.dry_run() && state == Execution::STATE_SUCCEEDED);
  outcome.set_effect(!began                                ? Execution::EFFECT_NONE
                     : state == Execution::STATE_SUCCEEDED ? Execution::EFFECT_APPLIED
                                                           : Execution::EFFECT_POSSIBLE);
  out_.failure_reason = reason;
  out_.data.clear_block_reason();
  return Done();
}

std::vector<std::string> WithDependents(const v1::Workflow& workflow, const std::string& step) {
  std::set<std::string> reached = {step};
  for (bool grew = true; grew;) {
    grew = false;
    for (const v1::WorkflowStep& one : workflow.steps()) {
      const bool depends =
          std::any_of(one.depends_on().begin(), one.depends_on().end(),
                      [&](const std::string& name) { return reached.contains(name); });
      grew = (depends && reached.insert(one.name()).second) || grew;
    }
  }
  std::vector<std::string> out;
  for (const v1::WorkflowStep& one : workflow.steps()) {
    if (reached.contains(one.name())) out.push_back(one.name());
  }
  return out;
}

bool IsWorking(const TaskState::Step& step) {
  return step.state() == StepStatus::STATE_RUNNING && step.not_before() == 0 &&
         step.child().empty();
}

bool NeedsWorkspace(const v1::Workflow& workflow, const v1::WorkflowStep& step) {
  if (!step.has_action()) return !step.has_gate_only();
  const auto works_in_it = [](const v1::WorkflowStep& one) {
    return (!one.has_gate_only() && !one.has_action()) || one.gate().has_judge() ||
           one.gate().has_script();
  };
  return std::any_of(workflow.steps().begin(), workflow.steps().end(), works_in_it) ||
         std::any_of(workflow.triggers().begin(), workflow.triggers().end(),
                     [](const auto& one) { return one.has_command(); }) ||
         std::any_of(workflow.variables().begin(), workflow.variables().end(),
                     [](const auto& one) { return one.has_script(); });
}

absl::Time EndOf(const Builder& b, const TaskState::Step& step) {
  const absl::Duration timeout = Or(ToDuration(b.Definition(step.name()).timeout()), kStepTimeout);
  return std::min(absl::FromUnixMicros(step.started()) + timeout, Deadline(b.task(), b.data()));
}

StepRun RunOf(const Builder& b, const TaskState::Step& step) {
  const v1::WorkflowStep& definition = b.Definition(step.name());
  // What is submitted has all the time that the step has.
  const absl::Duration turn = definition.has_action()
                                  ? absl::InfiniteDuration()
                                  : Or(ToDuration(definition.turn_timeout()), kTurnTimeout);
  const absl::Duration left = std::max(EndOf(b, step) - b.now(), absl::ZeroDuration());
  return {step.name(),          step.attempt(),           step.iteration(),
          std::min(left, turn), step.reserved_microusd(), left};
}

bool IsAtWork(const TaskState::Step& step) { return IsWorking(step) || step.gate().working(); }

absl::Time Deadline(const Task& task, const TaskState& data) {
  if (data.began() == 0) return absl::InfiniteFuture();
  absl::Duration timeout = absl::Seconds(task.request.timeout().seconds());
  if (timeout == absl::ZeroDuration()) timeout = kTaskTimeout;
  return absl::FromUnixMicros(data.began()) + timeout + absl::Microseconds(data.waited());
}

}  // namespace capstan::task
