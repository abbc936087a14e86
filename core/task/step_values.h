// What the templates and conditions of a task's steps can refer to, from the task as its holder
// knows it. Pure.
#pragma once

#include <string>

#include "core/task/task_machine.h"
#include "core/workflow/task_values.h"
#include "core/workflow/values.h"

namespace capstan::task {

// "succeeded".
std::string StepStateName(v1::StepStatus::State state);

// For a step of the task, as it stands by `data` and `steps` (as in Values.steps).
workflow::Facts FactsFor(const Task& task, const TaskState& data, const nlohmann::json& steps,
                         const TaskState::Step& step);
workflow::Values ValuesFor(const Task& task, const TaskState& data, const nlohmann::json& steps,
                           const TaskState::Step& step);

}  // namespace capstan::task
