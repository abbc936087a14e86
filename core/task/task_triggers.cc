// Triggers of a task: when they are due, and what a no means.
#include "absl/strings/str_cat.h"
#include "core/task/task_builder.h"
#include "core/workflow/loader.h"

namespace capstan::task {

bool MustRunTriggers(const Builder& b) {
  return !b.data().created_triggers_ran() &&
         workflow::HasTriggers(b.workflow(), v1::WorkflowTrigger::WHEN_CREATED);
}

void AddTriggers(Builder& b, const std::vector<v1::TriggerRan>& triggers) {
  for (const v1::TriggerRan& trigger : triggers) *b.Event().mutable_trigger_ran() = trigger;
}

Transition AfterTriggers(Builder b, const Triggered& triggered) {
  AddTriggers(b, triggered.triggers);
  b.data().set_created_triggers_ran(true);
  std::optional<std::string> no = NoOf(triggered.triggers);
  if (!no.has_value()) return Advance(std::move(b));
  return Finish(std::move(b), Execution::STATE_FAILED,
                Execution::FAILURE_REASON_PRECONDITION_FAILED, *std::move(no));
}

std::optional<std::string> NoOf(const std::vector<v1::TriggerRan>& triggers) {
  for (const v1::TriggerRan& ran : triggers) {
    if (ran.result() == v1::TriggerRan::RESULT_REJECTED)
      return absl::StrCat("trigger ", ran.trigger(), " said no: ", ran.message());
  }
  return std::nullopt;
}

}  // namespace capstan::task
