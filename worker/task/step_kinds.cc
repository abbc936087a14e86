// The list of step kinds.
#include "worker/task/step_kind.h"

namespace capstan::worker {

StepKinds MakeStepKinds(const StepTools& tools) {
  StepKinds kinds;
  kinds[v1::WorkflowStep::kLlm] = MakeModelStep(tools);
  kinds[v1::WorkflowStep::kCommand] = MakeCommandStep(tools);
  kinds[v1::WorkflowStep::kAction] =
      MakeActionStep(tools.catalog, tools.redactor, tools.database_now);
  kinds[v1::WorkflowStep::kHttp] = MakeHttpStep(tools);
  kinds[v1::WorkflowStep::kCheck] = MakeCheckStep(tools);
  return kinds;
}

std::string KindName(const v1::WorkflowStep& step) {
  const auto* const field = v1::WorkflowStep::descriptor()->FindFieldByNumber(step.kind_case());
  return field == nullptr ? "" : field->name();
}

}  // namespace capstan::worker
