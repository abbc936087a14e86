// Where a definition has templates, and what their values need. Pure.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "capstan/v1/workflow.pb.h"

namespace capstan::workflow {

// Of one field: its path below that of its owner, and its text.
using OnTemplate = std::function<void(const std::string& path, const std::string& text)>;

// What is rendered when an iteration of the step is worked on.
void EachTemplate(const v1::WorkflowStep& step, const std::string& path, const OnTemplate& on);
void EachTemplate(const v1::StepGate& gate, const std::string& path, const OnTemplate& on);
void EachTemplate(const v1::WorkflowTrigger& trigger, const std::string& path,
                  const OnTemplate& on);
// What is rendered to give the variable its value.
void EachTemplate(const v1::WorkflowVariable& variable, const std::string& path,
                  const OnTemplate& on);

// A script or a service gives its value.
bool IsFetched(const v1::WorkflowVariable& variable);

// Those that are fetched and that the templates of `owner` use, directly or through others; each
// after those that it uses itself. They live as long as `workflow`.
std::vector<const v1::WorkflowVariable*> FetchedFor(const v1::Workflow& workflow,
                                                    const v1::WorkflowStep& owner);
std::vector<const v1::WorkflowVariable*> FetchedFor(const v1::Workflow& workflow,
                                                    const v1::StepGate& owner);
std::vector<const v1::WorkflowVariable*> FetchedFor(const v1::Workflow& workflow,
                                                    const v1::WorkflowTrigger& owner);

}  // namespace capstan::workflow
