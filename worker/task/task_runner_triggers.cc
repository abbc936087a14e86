// What the task runner does beside iterations, each on a thread of its own: the triggers of the
// moments that a task was created and is at its end.
#include <utility>

#include "absl/strings/ascii.h"
#include "core/log.h"
#include "core/task/step_values.h"
#include "core/workflow/loader.h"
#include "worker/task/task_runner.h"
#include "worker/task/triggers.h"

namespace capstan::worker {

using v1::WorkflowTrigger;

namespace {

// Names of work in Run::working; no step has them.
constexpr char kTriggers[] = "(triggers)";
constexpr char kPutAway[] = "(put away)";

// How a task ends, for its triggers.
void AddEnd(const task::TaskState& data, workflow::StepFacts& facts) {
  facts.end_state = "succeeded";
  if (!data.has_ending()) return;
  const task::TaskState::Ending& ending = data.ending();
  facts.end_state = absl::AsciiStrToLower(std::string(machine::StateName(ending.state())));
  if (ending.state() == v1::Execution::STATE_FAILED)
    facts.end_reason = std::string(machine::FailureReasonName(ending.reason()));
  facts.end_message = ending.message();
}

}  // namespace

void TaskRunner::AddValues(const Run& run, bool end, StepContext& context) {
  context.facts = task::FactsFor(run.task, run.task.data, run.task.steps, context.state);
  if (end) AddEnd(run.task.data, context.facts.step);
  context.values =
      workflow::BuildValues(*run.workflow, context.facts.task, context.facts.step, run.task.steps);
}

void TaskRunner::StartTriggers(const RunPtr& run) {
  Launch(run, {kTriggers, false}, 0, 0, [&] {
    StepContext context = ContextOf(*run);
    AddValues(*run, /*end=*/false, context);
    return [this, run, context = std::move(context)](std::stop_token stop) {
      return Fed{.input = task::Triggered{
                     RunTriggersOf(run, context, WorkflowTrigger::WHEN_CREATED, stop)}};
    };
  });
}

// Triggers first: they may look at the workspace. Where there are none, what has come of it at
// once.
std::optional<TaskRunner::Fed> TaskRunner::StartPutAway(const RunPtr& run) {
  {
    absl::MutexLock lock(&mu_);
    const auto triggers = run->working.find({kTriggers, false});
    if (triggers != run->working.end()) {  // it is asked for again when they have ended
      triggers->second.stop.request_stop();
      return std::nullopt;
    }
  }
  const bool succeeded = !run->task.data.has_ending();
  const WorkflowTrigger::When when =
      succeeded ? WorkflowTrigger::WHEN_COMPLETED : WorkflowTrigger::WHEN_FAILED;
  if (!workflow::HasTriggers(*run->workflow, when))
    return Fed{.input = effects_.PutAway(run->id, run->task, succeeded)};
  Launch(run, {kPutAway, false}, 0, 0, [&] {
    StepContext context = ContextOf(*run);
    AddValues(*run, /*end=*/true, context);
    return [this, run, when, succeeded, task = run->task,
            context = std::move(context)](std::stop_token stop) {
      task::PutAway put;
      std::vector<v1::TriggerRan> triggers = RunTriggersOf(run, context, when, stop);
      if (!stop.stop_requested()) put = effects_.PutAway(run->id, task, succeeded);
      put.triggers = std::move(triggers);
      return Fed{.input = std::move(put)};
    };
  });
  return std::nullopt;
}

std::vector<v1::TriggerRan> TaskRunner::RunTriggersOf(const RunPtr& run, StepContext context,
                                                      WorkflowTrigger::When when,
                                                      std::stop_token stop) {
  if (!context.workspace.path().empty()) {
    if (const absl::Status opened = OpenWorkspace(*run, context); !opened.ok()) {
      Log(Level::kWarning, "triggers run without the task's workspace",
          {{"execution", run->id.ToString()}, {"error", std::string(opened.message())}});
    }
  }
  IterationTranscript transcript(*run->transcript, tools_.redactor, "", 0, 0);
  std::vector<v1::TriggerRan> ran =
      RunTriggers(tools_, variables_, context, when, transcript, stop);
  const absl::Status stored = transcript.End();
  if (absl::IsFailedPrecondition(stored)) held_.Drop(run);  // somebody else owns it now
  return ran;
}

}  // namespace capstan::worker
