#include "cli/render_task_event.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "cli/render_task.h"
#include "cli/render_words.h"
#include "cli/text_format.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

using v1::ExecutionEvent;
using v1::IterationFinished;

constexpr size_t kShortDigest = 12;

// ": message", or nothing.
std::string Because(const std::string& message) {
  return message.empty() ? "" : Cat(": ", OneLine(message));
}

// "implement 2/3"; "gate of implement 1" for what decides it.
std::string Where(const std::string& step, int attempt, int iteration) {
  if (iteration == 0) return Cat("gate of ", OneLine(step), " ", attempt);
  return Cat(OneLine(step), " ", attempt, "/", iteration);
}

std::string StartedText(const v1::StepStarted& started) {
  std::string text = Cat(Where(started.step(), started.attempt(), started.iteration()), " begins");
  if (!started.model().empty()) Append(&text, " with ", OneLine(started.model()));
  if (!started.engine().empty()) Append(&text, " (", OneLine(started.engine()), ")");
  return text;
}

std::string IterationText(const IterationFinished& finished) {
  std::string text = Cat(Where(finished.step(), finished.attempt(), finished.iteration()), " ",
                         absl::AsciiStrToLower(EnumWord(*IterationFinished::Status_descriptor(),
                                                        finished.status(), "STATUS_")));
  if (!finished.error().empty()) Append(&text, " ", OneLine(finished.error()));
  if (finished.has_duration()) Append(&text, " after ", Length(finished.duration()));
  for (const v1::CheckResult& check : finished.checks()) Append(&text, ", ", CheckText(check));
  for (const std::string& warning : finished.warnings())
    Append(&text, ", warning: ", OneLine(warning));
  return Cat(text, Because(finished.message()));
}

std::string FinishedText(const v1::StepFinished& finished) {
  std::string text = Cat(OneLine(finished.step()), " ", StepWord(finished.state()));
  if (finished.state() == v1::StepStatus::STATE_FAILED)
    Append(&text, "(", ReasonWord(finished.failure_reason()), ")");
  return Cat(text, Because(finished.message()));
}

std::string ResetText(const v1::StepsReset& reset) {
  return OneLine(Cat("back from ", reset.from_step(), " to ", reset.to_step(), ", time ",
                     reset.retry(), ", runs again: ", absl::StrJoin(reset.steps(), ", "),
                     Because(reset.reason())));
}

std::string GateText(const v1::GateDecided& gate) {
  return OneLine(Cat(gate.step(), gate.passed() ? " passed" : " not passed", " (", gate.decider(),
                     "), ", gate.action(), Because(gate.message())));
}

// Input is all that the model read, cached or not.
std::string BilledText(const v1::UsageRecorded& usage) {
  v1::UsageTotals totals;
  totals.set_input_tokens(usage.effective_input_tokens());
  totals.set_output_tokens(usage.output_tokens());
  totals.set_cost_microusd(usage.cost_microusd());
  totals.set_is_upper_bound(usage.is_upper_bound());
  return Cat(Where(usage.step(), usage.attempt(), usage.iteration()), " ", OneLine(usage.model()),
             ": ", UsageText(totals, 0));
}

std::string WorkspaceText(const v1::WorkspaceReady& ready) {
  std::string text = Cat(ready.found() ? "found " : "made ", OneLine(ready.workspace().path()),
                         ", branch ", OneLine(ready.workspace().branch()));
  if (!ready.workspace().base_commit().empty()) {
    Append(&text, " from ", OneLine(ready.workspace().base_commit()).substr(0, kShortDigest));
  }
  return text;
}

std::string CommittedText(const v1::WorkCommitted& committed) {
  std::string text = committed.commit().empty()
                         ? "nothing to commit"
                         : Cat("committed ", OneLine(committed.commit()).substr(0, kShortDigest));
  if (!committed.step().empty()) Append(&text, " of ", OneLine(committed.step()));
  if (committed.workspace_removed()) Append(&text, ", folder removed");
  return text;
}

std::string TriggerText(const v1::TriggerRan& ran) {
  std::string text = OneLine(ran.trigger());
  if (!ran.step().empty()) Append(&text, " before ", OneLine(ran.step()));
  Append(&text, " ",
         absl::AsciiStrToLower(
             EnumWord(*v1::TriggerRan::Result_descriptor(), ran.result(), "RESULT_")));
  if (ran.has_duration()) Append(&text, " after ", Length(ran.duration()));
  return Cat(text, Because(ran.message()));
}

std::string PauseText(const v1::PauseRequested& pause) {
  return Cat(pause.resume() ? "ended by " : "asked for by ", OneLine(pause.caller()),
             Because(pause.reason()));
}

std::string BudgetWarningText(const v1::BudgetWarning& warning) {
  std::string text =
      Cat(Money(warning.spent_microusd()), " of ", Money(warning.max_cost_microusd()), " is spent");
  if (!warning.project().empty()) Append(&text, " by project ", warning.project(), " this month");
  if (warning.overridden()) Append(&text, "; the task goes on beyond it");
  return OneLine(text);
}

std::string SubmittedText(const v1::ChildSubmitted& submitted) {
  return OneLine(
      Cat(submitted.step(), " submitted ", submitted.action(), " as ", submitted.child()));
}

}  // namespace

std::optional<EventWords> TaskEventWords(const ExecutionEvent& event) {
  switch (event.payload_case()) {
    case ExecutionEvent::kWorkspaceReady:
      return EventWords{"work", WorkspaceText(event.workspace_ready())};
    case ExecutionEvent::kWorkCommitted:
      return EventWords{"work", CommittedText(event.work_committed())};
    case ExecutionEvent::kStepStarted:
      return EventWords{"step", StartedText(event.step_started())};
    case ExecutionEvent::kIterationFinished:
      return EventWords{"step", IterationText(event.iteration_finished())};
    case ExecutionEvent::kStepFinished:
      return EventWords{"step", FinishedText(event.step_finished())};
    case ExecutionEvent::kStepsReset:
      return EventWords{"step", ResetText(event.steps_reset())};
    case ExecutionEvent::kGateDecided:
      return EventWords{"gate", GateText(event.gate_decided())};
    case ExecutionEvent::kUsageRecorded:
      return EventWords{"usage", BilledText(event.usage_recorded())};
    case ExecutionEvent::kBudgetWarning:
      return EventWords{"budget", BudgetWarningText(event.budget_warning())};
    case ExecutionEvent::kTriggerRan:
      return EventWords{"trigger", TriggerText(event.trigger_ran())};
    case ExecutionEvent::kChildSubmitted:
      return EventWords{"child", SubmittedText(event.child_submitted())};
    case ExecutionEvent::kChildCancelled:
      return EventWords{"child", Cat("asked to end: ", OneLine(event.child_cancelled().child()),
                                     Because(event.child_cancelled().reason()))};
    case ExecutionEvent::kPauseRequested:
      return EventWords{"pause", PauseText(event.pause_requested())};
    default:
      return std::nullopt;
  }
}

std::string TaskRequestText(const v1::TaskRequest& request) {
  std::string text = Cat(request.workflow(), "@", request.workflow_digest().substr(0, kShortDigest),
                         " ", request.description().title());
  if (request.max_cost_microusd() > 0)
    Append(&text, " (at most ", Money(request.max_cost_microusd()), ")");
  if (!request.project().empty()) Append(&text, " (project ", request.project(), ")");
  if (!request.budget_override().empty())
    Append(&text, " (beyond its budget: ", request.budget_override(), ")");
  if (!request.from_step().empty()) Append(&text, " (from step ", request.from_step(), ")");
  return OneLine(text);
}

}  // namespace capstan::cli
