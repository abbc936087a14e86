// Triggers of workflows: programs and calls at certain moments of a task.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "worker/task/step_kind.h"
#include "worker/task/variables.h"

namespace capstan::worker {

// Runs those of a moment in order; what came of each. Where a no means something, none follows it.
// Also ends with `stop`.
std::vector<v1::TriggerRan> RunTriggers(const StepTools& tools, VariableSources& variables,
                                        StepContext& context, v1::WorkflowTrigger::When when,
                                        IterationTranscript& transcript, std::stop_token stop);

}  // namespace capstan::worker
