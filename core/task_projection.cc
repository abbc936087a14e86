#include "core/task_projection.h"

#include <algorithm>

#include "core/projection.h"
#include "core/text.h"

namespace capstan {
namespace {

using v1::Execution;
using v1::StepStatus;

// Null for a step that this execution does not have.
StepStatus* Find(const std::string& name, Execution& execution) {
  for (StepStatus& step : *execution.mutable_steps()) {
    if (step.name() == name) return &step;
  }
  return nullptr;
}

void Add(const v1::UsageRecorded& usage, v1::UsageTotals& totals) {
  totals.set_input_tokens(totals.input_tokens() + usage.effective_input_tokens());
  totals.set_output_tokens(totals.output_tokens() + usage.output_tokens());
  totals.set_cost_microusd(totals.cost_microusd() + usage.cost_microusd());
  totals.set_is_upper_bound(totals.is_upper_bound() || usage.is_upper_bound());
}

void Started(const v1::ExecutionEvent& event, StepStatus& step) {
  const v1::StepStarted& started = event.step_started();
  if (started.iteration() == 0) {  // of its gate
    const std::string model = started.model().empty() ? "" : Cat(" (", started.model(), ")");
    if (step.gate().empty()) step.set_gate(Cat("a model", model));
    return;
  }
  step.set_state(StepStatus::STATE_RUNNING);
  if (step.attempt() != started.attempt()) *step.mutable_start_time() = event.time();
  step.set_attempt(started.attempt());
  step.set_iteration(started.iteration());
  step.set_model(started.model());
  step.clear_message();
  step.clear_end_time();
}

void Iterated(const v1::IterationFinished& finished, StepStatus& step) {
  if (finished.iteration() == 0) return;  // of its gate
  step.set_message(finished.message());
  step.set_iteration(finished.iteration());
  if (finished.checks_size() > 0) *step.mutable_checks() = finished.checks();
}

void Finished(const v1::ExecutionEvent& event, StepStatus& step) {
  const v1::StepFinished& finished = event.step_finished();
  if (!StepStatus::State_IsValid(finished.state())) return;  // written by a newer program
  step.set_state(finished.state());
  step.set_message(finished.message());
  *step.mutable_end_time() = event.time();
}

void Reset(const v1::StepsReset& reset, Execution& execution) {
  for (const std::string& name : reset.steps()) {
    StepStatus* const step = Find(name, execution);
    if (step == nullptr) continue;
    step->set_state(StepStatus::STATE_PENDING);
    step->set_iteration(0);
    step->clear_message();
    step->clear_gate();
    step->clear_start_time();
    step->clear_end_time();
    if (name == reset.to_step()) step->set_retries(reset.retry());
  }
}

}  // namespace

void ApplyTaskAccepted(const v1::TaskRequest& request, Execution& execution) {
  execution.set_workflow(request.workflow());
  execution.set_workflow_digest(request.workflow_digest());
  *execution.mutable_task() = request.description();
  execution.set_context(request.context());
  execution.set_max_cost_microusd(request.max_cost_microusd());
  execution.set_project(request.project());
  for (const std::string& name : request.steps()) {
    StepStatus& step = *execution.add_steps();
    step.set_name(name);
    step.set_state(StepStatus::STATE_PENDING);
  }
}

void ApplyTaskEvent(const v1::ExecutionEvent& event, Execution& execution) {
  switch (event.payload_case()) {
    case v1::ExecutionEvent::kWorkspaceReady:
      *execution.mutable_workspace() = event.workspace_ready().workspace();
      return;
    case v1::ExecutionEvent::kWorkCommitted:
      if (!event.work_committed().commit().empty())
        execution.mutable_workspace()->set_head_commit(event.work_committed().commit());
      return;
    case v1::ExecutionEvent::kStepsReset:
      return Reset(event.steps_reset(), execution);
    case v1::ExecutionEvent::kUsageRecorded: {
      Add(event.usage_recorded(), *execution.mutable_usage());
      if (StepStatus* const step = Find(event.usage_recorded().step(), execution))
        Add(event.usage_recorded(), *step->mutable_usage());
      return;
    }
    case v1::ExecutionEvent::kStepStarted:
      if (StepStatus* const step = Find(event.step_started().step(), execution))
        Started(event, *step);
      return;
    case v1::ExecutionEvent::kIterationFinished:
      if (StepStatus* const step = Find(event.iteration_finished().step(), execution))
        Iterated(event.iteration_finished(), *step);
      return;
    case v1::ExecutionEvent::kStepFinished:
      if (StepStatus* const step = Find(event.step_finished().step(), execution))
        Finished(event, *step);
      return;
    case v1::ExecutionEvent::kChildSubmitted:
      if (StepStatus* const step = Find(event.child_submitted().step(), execution))
        step->set_child(event.child_submitted().child());
      return;
    case v1::ExecutionEvent::kApprovalRequested:
      if (StepStatus* const step = Find(event.approval_requested().step(), execution)) {
        if (event.approval_requested().beside()) {
          step->set_gate("people");
          return;
        }
        step->set_state(StepStatus::STATE_WAITING);
        step->set_message(event.approval_requested().rule().reason());
      }
      return;
    case v1::ExecutionEvent::kApprovalEnded:
      for (StepStatus& step : *execution.mutable_steps()) {  // it is asked about one at a time
        if (step.state() != StepStatus::STATE_WAITING) continue;
        step.set_state(execution.approval().question() ? StepStatus::STATE_RUNNING
                                                       : StepStatus::STATE_PENDING);
      }
      return;
    case v1::ExecutionEvent::kGateDecided:
      if (StepStatus* const step = Find(event.gate_decided().step(), execution))
        step->set_gate(event.gate_decided().action() == "run_script" ? "its script" : "");
      return;
    case v1::ExecutionEvent::kStateChanged:
      if (!IsTerminal(event.state_changed().to())) return;
      for (StepStatus& step : *execution.mutable_steps()) step.clear_gate();
      return;
    default:
      return;
  }
}

}  // namespace capstan
